sign-in-title = Anmelden
sign-in-name = Name oder E-Mail-Adresse
sign-in-password = Passwort
sign-in-submit = Anmelden
sign-in-incomplete = Geben Sie Ihren Namen oder Ihre E-Mail-Adresse und Ihr Passwort ein.
