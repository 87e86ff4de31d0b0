account-title = Ihr Konto
account-who = Sie sind als { $name } angemeldet.
account-sessions = Geräte und Sitzungen
account-sessions-about = Auf all diesen Geräten wurde Ihr zweiter Faktor bestätigt. Beenden Sie Sitzungen, die Sie nicht kennen, und sehen Sie unten nach, ob jemand einen eigenen Faktor hinzugefügt hat.
account-no-sessions = Auf keinem Gerät wurde ein zweiter Faktor bestätigt.
account-this-device = dieses Gerät
account-client = { $client } auf { $system }
account-client-unknown = Unbekanntes Gerät
account-last-used = Zuletzt benutzt:
account-confirmed = Bestätigt:
account-address = Adresse:
account-end = Sitzung beenden
account-end-others = Alle anderen Sitzungen beenden
account-factors = Zweite Faktoren
account-no-factors = Sie haben noch keinen zweiten Faktor. Mit einem kommt niemand nur mit Ihrem Passwort oder Link hinein.
account-replace = Ersetzen
account-remove = Entfernen
account-add = Zweiten Faktor hinzufügen
account-factor-sms = SMS
account-factor-totp = Authenticator-App
account-factor-email = E-Mail
account-factor-backup-code = Ersatzcode
account-factor-passkey = Passkey
account-backup = Ersatzcodes
account-backup-left = { $count ->
    [0] Sie haben keine Ersatzcodes. Mit ihnen kommen Sie auch ohne Ihr Telefon hinein.
    [one] Ein Ersatzcode ist übrig.
   *[other] { $count } Ersatzcodes sind übrig.
}
account-backup-make = Neue Ersatzcodes erstellen
account-done-session = Die Sitzung ist beendet.
account-done-others = Alle anderen Sitzungen sind beendet.
account-done-removed = Der zweite Faktor ist entfernt.
account-gone = Diese Sitzung ist schon beendet.
account-last = Das ist Ihr letzter zweiter Faktor, und nur die Betreiber dieses Dienstes könnten einen neuen einrichten. Fügen Sie einen anderen hinzu, bevor Sie diesen entfernen.
account-sign-out = Diesen Browser abmelden
account-browsers = Gemerkte Browser
account-browsers-about = Wenn Sie sich in einem davon anmelden, genügt Ihr Passwort. Entfernen Sie alle, die Sie nicht kennen oder nicht mehr benutzen.
account-this-browser = dieser Browser
account-until = Gemerkt bis:
account-no-end = Auf unbestimmte Zeit gemerkt
account-forget = Nicht mehr merken
account-done-forgotten = Der Browser wird nicht mehr gemerkt: Die nächste Anmeldung dort verlangt wieder Ihren zweiten Faktor.
