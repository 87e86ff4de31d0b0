sign-out-title = Se déconnecter
sign-out-ask = Vous serez déconnecté de { $service } dans ce navigateur.
sign-out-submit = Se déconnecter
sign-out-done-title = Vous êtes déconnecté
sign-out-done = Personne n’est connecté dans ce navigateur. Si d’autres l’utilisent aussi, fermez toutes ses fenêtres.
sign-out-again = Se reconnecter
