sign-in-title = Sign in
sign-in-name = Name or email address
sign-in-password = Password
sign-in-submit = Sign in
sign-in-incomplete = Type your name or email address, and your password.
