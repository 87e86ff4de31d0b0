account-title = Your account
account-who = You are signed in as { $name }.
account-sessions = Devices and sessions
account-sessions-about = Your second factor was confirmed on each of these. End any that you do not recognise, and check below that nobody has added a factor of their own.
account-no-sessions = Your second factor has not been confirmed on any device yet.
account-this-device = this device
account-client = { $client } on { $system }
account-client-unknown = Unknown device
account-last-used = Last used:
account-confirmed = Confirmed:
account-address = Address:
account-end = End session
account-end-others = End all other sessions
account-factors = Second factors
account-no-factors = You have no second factor yet. With one, nobody gets in with your password or link alone.
account-replace = Replace
account-remove = Remove
account-add = Add a second factor
account-factor-sms = Text message
account-factor-totp = Authenticator app
account-factor-email = Email
account-factor-backup-code = Backup code
account-factor-passkey = Passkey
account-backup = Backup codes
account-backup-left = { $count ->
    [0] You have no backup codes. With them, you can get in even without your phone.
    [one] One backup code is left.
   *[other] { $count } backup codes are left.
}
account-backup-make = Make new backup codes
account-done-session = The session has ended.
account-done-others = All other sessions have ended.
account-done-removed = The second factor has been removed.
account-gone = This session has already ended.
account-last = This is your last second factor, and only the people who run this service could set up another one. Add another one before you remove it.
account-sign-out = Sign out of this browser
account-browsers = Remembered browsers
account-browsers-about = In these browsers, your password is enough to sign in. Forget any that you do not recognise or no longer use.
account-this-browser = this browser
account-until = Remembered until:
account-no-end = Remembered without an end
account-forget = Forget
account-done-forgotten = The browser is forgotten: the next sign-in there asks for your second factor again.
