# `nora` has no second factor yet. She signs in: a token, which alone opens nothing
TOKEN=$(curl -sS @BASE@/api/authtoken -d '{"username":"nora","password":"@PASSWORD@","deviceId":"laptop"}' | sed -nE 's/.*"token": ?"([^"]+)".*/\1/p')
curl -sS @BASE@@FILE@ -H "Authorization: Bearer $TOKEN" -w '\n%{http_code}\n'

# a key for her authenticator app
KEY=$(curl -sS @BASE@/api/two-factor/secret -H "Authorization: Bearer $TOKEN" | sed -nE 's/.*"secret_key":"([^"]+)".*/\1/p')

# her method is to be `google`, the app, with this key
curl -sS -X PATCH @BASE@/api/two-factor -d method=google -d secret_key="$KEY" -H "Authorization: Bearer $TOKEN" -w '%{http_code}\n'

# the key as an image, for a phone to scan: qr.png
curl -sS @BASE@/api/two-factor/qr -H "Authorization: Bearer $TOKEN" | sed -nE 's/.*base64,([^"]+)".*/\1/p' | base64 -d > qr.png

# verify what the app shows now (oathtool is an app for the terminal): 204, the app is hers and she is in
curl -sS @BASE@/api/two-factor/verify -d key="$(oathtool --totp --base32 "$KEY")" -H "Authorization: Bearer $TOKEN" -w '%{http_code}\n'

# her settings; the key is never shown again
curl -sS @BASE@/api/two-factor -H "Authorization: Bearer $TOKEN" -w '\n%{http_code}\n'

# the same request as before
curl -sS @BASE@@FILE@ -H "Authorization: Bearer $TOKEN" -w '\n%{http_code}\n'
