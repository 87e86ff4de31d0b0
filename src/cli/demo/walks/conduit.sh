# sign in on the device `laptop`: a token
TOKEN=$(curl -sS @BASE@/api/authtoken -d '{"username":"demo","password":"@PASSWORD@","deviceId":"laptop"}' | sed -nE 's/.*"token": ?"([^"]+)".*/\1/p')

# begin to verify: which method it is, and a code that is "sent" to the demo's terminal
curl -sS -X POST @BASE@/authentication/twoFa/authorize -H "Authorization: Bearer $TOKEN" -w '\n%{http_code}\n'
printf 'Code: '; read -r CODE

# the code: this token is in, and so is the signed one that it is answered with
ANSWER=$(curl -sS @BASE@/authentication/twoFa/verify -d code="$CODE" -H "Authorization: Bearer $TOKEN" -w '\n%{http_code}\n')
echo "$ANSWER"
ACCESS=$(echo "$ANSWER" | sed -nE 's/.*"accessToken":"([^"]+)".*/\1/p')
curl -sS @BASE@@FILE@ -H "Authorization: Bearer $ACCESS" -w '\n%{http_code}\n'

# ten backup codes, for the day the phone is lost
ANSWER=$(curl -sS @BASE@/authentication/twoFa/generate -H "Authorization: Bearer $TOKEN" -w '\n%{http_code}\n')
echo "$ANSWER"
BACKUP=$(echo "$ANSWER" | sed -nE 's/.*"codes":\["([0-9]{4} [0-9]{4})".*/\1/p')

# that day, on another device: a new token, and a backup code in place of the message
TOKEN=$(curl -sS @BASE@/api/authtoken -d '{"username":"demo","password":"@PASSWORD@","deviceId":"tablet"}' | sed -nE 's/.*"token": ?"([^"]+)".*/\1/p')
curl -sS @BASE@/authentication/twoFa/recover --data-urlencode code="$BACKUP" -H "Authorization: Bearer $TOKEN" -w '\n%{http_code}\n'
curl -sS @BASE@@FILE@ -H "Authorization: Bearer $TOKEN" -w '\n%{http_code}\n'
