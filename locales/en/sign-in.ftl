sign-in-title = Sign in
sign-in-name = Name or mail address
sign-in-password = Password
sign-in-submit = Sign in
sign-in-incomplete = Type your name or mail address, and your password.
