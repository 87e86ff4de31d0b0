account-title = Din konto
account-who = Du er logget ind som { $name }.
account-sessions = Enheder og sessioner
account-sessions-about = Alle disse enheder er bekræftet med din ekstra faktor. Afslut dem, du ikke kender, og se nedenfor, om nogen har tilføjet en faktor, der ikke er din.
account-no-sessions = Ingen enhed er bekræftet med en ekstra faktor.
account-this-device = denne enhed
account-client = { $client } på { $system }
account-client-unknown = Ukendt enhed
account-last-used = Sidst brugt:
account-confirmed = Bekræftet:
account-address = Adresse:
account-end = Afslut session
account-end-others = Afslut alle andre sessioner
account-factors = Ekstra faktorer
account-no-factors = Du har ingen ekstra faktor endnu. Med en ekstra faktor kommer ingen ind blot med din adgangskode eller dit link.
account-replace = Udskift
account-remove = Fjern
account-add = Tilføj en ekstra faktor
account-factor-sms = Sms
account-factor-totp = Godkendelsesapp
account-factor-email = E-mail
account-factor-backup-code = Reservekode
account-factor-passkey = Adgangsnøgle
account-backup = Reservekoder
account-backup-left = { $count ->
    [0] Du har ingen reservekoder. Med dem kan du komme ind, også uden din telefon.
    [one] Der er én reservekode tilbage.
   *[other] Der er { $count } reservekoder tilbage.
}
account-backup-make = Lav nye reservekoder
account-done-session = Sessionen er afsluttet.
account-done-others = Alle andre sessioner er afsluttet.
account-done-removed = Den ekstra faktor er fjernet.
account-gone = Denne session er allerede afsluttet.
account-last = Det er din sidste ekstra faktor, og kun de, der driver tjenesten, kan tilføje en ny for dig. Tilføj en anden, før du fjerner den.
account-sign-out = Log ud i denne browser
account-browsers = Browsere, der huskes
account-browsers-about = Når du logger ind i en af dem, er din adgangskode nok. Glem dem, du ikke kender eller ikke bruger mere.
account-this-browser = denne browser
account-until = Huskes indtil:
account-no-end = Huskes på ubestemt tid
account-forget = Glem
account-done-forgotten = Browseren er glemt. Næste gang du logger ind der, skal du bruge din ekstra faktor igen.
