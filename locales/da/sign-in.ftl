sign-in-title = Log ind
sign-in-name = Navn eller e-mailadresse
sign-in-password = Adgangskode
sign-in-submit = Log ind
sign-in-incomplete = Indtast dit navn eller din e-mailadresse og din adgangskode.
