sign-in-title = Se connecter
sign-in-name = Nom ou adresse e-mail
sign-in-password = Mot de passe
sign-in-submit = Se connecter
sign-in-incomplete = Saisissez votre nom ou adresse e-mail et votre mot de passe.
