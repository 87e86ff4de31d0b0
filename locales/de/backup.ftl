backup-title = Ersatzcodes
backup-about = Wenn Ihr Telefon verloren oder kaputt ist, kommen Sie mit einem Ersatzcode hinein. Jeder gilt nur einmal. Neue Codes machen die älteren ungültig.
backup-left = { $count ->
    [0] Sie haben keine Ersatzcodes.
    [one] Ein Code ist übrig.
   *[other] { $count } Codes sind übrig.
}
backup-make = Neue Codes erstellen
backup-later = Jetzt nicht
backup-back = Zurück
backup-made = Das sind Ihre Ersatzcodes für { $service }. Die Codes werden nur dieses eine Mal angezeigt.
backup-by-hand = Drucken Sie diese Seite oder schreiben Sie die Codes ab, und bewahren Sie sie dort auf, wo Sie sie ohne Ihr Telefon finden.
backup-print = Drucken
backup-download = Herunterladen
backup-copy = Kopieren
backup-copied = Kopiert
backup-continue = Ich habe sie gesichert: weiter
