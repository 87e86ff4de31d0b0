# sign in on the device `laptop`: a token
TOKEN=$(curl -sS @BASE@/api/authtoken -d '{"username":"demo","password":"@PASSWORD@","deviceId":"laptop"}' | sed -nE 's/.*"token": ?"([^"]+)".*/\1/p')

# the token alone opens nothing: 401, and where to go from there
curl -sS @BASE@@FILE@ -H "Authorization: Bearer $TOKEN" -w '\n%{http_code}\n'

# ask for a code: it is "sent" to the demo's terminal
curl -sS @BASE@/api/apiauth/twofactorsms/$TOKEN -H "Authorization: Bearer $TOKEN" -w '\n%{http_code}\n'
printf 'Code: '; read -r CODE

# verify: from now on this token is in, on this device
curl -sS "@BASE@/api/apiauth/twofactorsms/$TOKEN?authcode=$CODE" -H "Authorization: Bearer $TOKEN" -w '\n%{http_code}\n'

# the same request as before
curl -sS @BASE@@FILE@ -H "Authorization: Bearer $TOKEN" -w '\n%{http_code}\n'
