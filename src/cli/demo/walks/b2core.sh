# open a sign-in: its uuid
UUID=$(curl -sS @BASE@/api/v2/my/signin | sed -nE 's/.*"uuid":"([^"]+)".*/\1/p')

# the password: the next step is `2fa_sms_auth`, and a code is "sent" to the demo's terminal
curl -sS @BASE@/api/v2/my/signin -d uuid="$UUID" -d username=demo -d password=@PASSWORD@ -w '\n%{http_code}\n'
printf 'Code: '; read -r CODE

# the code ends the sign-in: 202, and signed tokens
ANSWER=$(curl -sS @BASE@/api/v2/my/2fa/sms -d uuid="$UUID" -d code="$CODE" -w '\n%{http_code}\n')
echo "$ANSWER"
TOKEN=$(echo "$ANSWER" | sed -nE 's/.*"accessToken":\{[^}]*"token":"([^"]+)".*/\1/p')

# the access token is in, it was born verified
curl -sS @BASE@@FILE@ -H "Authorization: Bearer $TOKEN" -w '\n%{http_code}\n'

# which methods are enabled
curl -sS @BASE@/api/v2/my/2fa -H "Authorization: Bearer $TOKEN" -w '\n%{http_code}\n'

# confirm one operation by a mailed code, which the demo's terminal shows too
CHALLENGE=$(curl -sS @BASE@/api/v2/my/2fa/challenge -H "Authorization: Bearer $TOKEN" | sed -nE 's/.*"token":"([^"]+)".*/\1/p')
printf 'Code: '; read -r CODE

# 200 and a success token: a route can ask for one before it forwards a change of password, say
curl -sS @BASE@/api/v2/my/2fa/challenge -d token="$CHALLENGE" -d code="$CODE" -H "Authorization: Bearer $TOKEN" -w '\n%{http_code}\n'
