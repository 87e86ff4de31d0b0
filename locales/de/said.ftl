said-foreign-title = Dieses Formular kann nicht angenommen werden
said-foreign = Das Formular kam von einer anderen Seite. Gehen Sie dorthin zurück, wo Sie angefangen haben, und öffnen Sie die Seite noch einmal.
said-stale-title = Diese Seite war zu alt
said-stale = Seit diese Seite geöffnet wurde, ist Ihr Browser bestätigt oder abgemeldet worden. Gehen Sie zurück, laden Sie die Seite neu und versuchen Sie es noch einmal.
said-malformed-title = Das ist nicht lesbar
said-malformed = Die Anfrage Ihres Browsers kann nicht angenommen werden. Gehen Sie dorthin zurück, wo Sie angefangen haben. Wenn es wieder geschieht, löschen Sie die Cookies dieser Website.
said-not-found-title = Hier ist nichts
said-not-found = Unter dieser Adresse gibt es nichts. Prüfen Sie die Adresse oder gehen Sie zurück.
said-no-token-title = Wir kennen Sie noch nicht
said-no-token = Öffnen Sie den Link, den Sie bekommen haben, oder melden Sie sich an; danach kommen Sie hierher zurück.
said-unknown-token-title = Wir kennen Sie nicht mehr
said-unknown-token = Der Link oder die Anmeldung, über die Sie gekommen sind, ist nicht bekannt oder abgelaufen. Bitten Sie um einen neuen Link oder melden Sie sich neu an.
said-share-only-title = Zu diesem Link gehört kein Konto
said-share-only = Ein Freigabelink öffnet nur seinen Ordner. Für Ihr eigenes Konto melden Sie sich zuerst an.
said-no-cookie-title = Cookies sind nötig
said-no-cookie = Ihr Browser hat unser Cookie nicht zurückgeschickt. Erlauben Sie dieser Website, Cookies zu setzen, und versuchen Sie es noch einmal.
said-no-self-enrolment-title = Bitten Sie um einen zweiten Faktor
said-no-self-enrolment = Sie haben keinen zweiten Faktor, und nur die Betreiber dieses Dienstes können Ihnen einen einrichten. Wenden Sie sich an sie.
said-unavailable-title = Das geht gerade nicht
said-unavailable = Das lässt sich gerade nicht prüfen. Versuchen Sie es in ein paar Sekunden noch einmal.
said-unchecked = Das lässt sich gerade nicht prüfen. Versuchen Sie es in { $span } noch einmal.
said-delayed = Es gab zu viele falsche Codes. Warten Sie { $span } und versuchen Sie es dann noch einmal.
said-locked = Nach zu vielen falschen Codes sind Ihre Codes gesperrt. Bitten Sie die Betreiber dieses Dienstes, Sie zu entsperren.
said-no-recipient = Wir haben keine Nummer oder Adresse, an die wir einen Code schicken könnten. Wenden Sie sich an die Person, die Ihnen den Zugang gegeben hat.
said-recipient-refused = An Ihre Nummer können keine Codes geschickt werden. Wenden Sie sich an die Person, die Ihnen den Zugang gegeben hat.
said-too-many = Warten Sie { $span }, bevor Sie einen weiteren Code anfordern. Ein Code, den Sie schon haben, gilt weiterhin.
said-not-sent = Der Code konnte nicht geschickt werden. Versuchen Sie es in { $span } noch einmal.
said-no-digits = Geben Sie die Ziffern des Codes ein.
said-wrong-last = Der Code ist falsch und gilt nach so vielen Versuchen nicht mehr. Lassen Sie sich einen neuen schicken.
said-wrong-app = Der Code ist falsch. Warten Sie auf den nächsten in Ihrer App und versuchen Sie es noch einmal.
said-wrong = Der Code ist falsch. Sehen Sie in der neuesten Nachricht nach und versuchen Sie es noch einmal. { $left ->
    [one] Sie haben noch einen Versuch.
   *[other] Sie haben noch { $left } Versuche.
}
said-gone = Der Code ist abgelaufen oder wurde schon benutzt. Lassen Sie sich einen neuen schicken.
said-never-sent = Ihnen wurde noch kein Code geschickt. Lassen Sie sich zuerst einen schicken.
said-wrong-password = Der Name oder das Passwort ist falsch. Prüfen Sie beides und versuchen Sie es noch einmal.
said-delayed-password = Es gab zu viele falsche Versuche. Warten Sie { $span } und versuchen Sie es dann noch einmal.
