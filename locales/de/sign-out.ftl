sign-out-title = Abmelden
sign-out-ask = Sie werden in diesem Browser von { $service } abgemeldet.
sign-out-submit = Abmelden
sign-out-done-title = Sie sind abgemeldet
sign-out-done = In diesem Browser ist niemand angemeldet. Wenn auch andere ihn benutzen, schließen Sie alle seine Fenster.
sign-out-again = Wieder anmelden
