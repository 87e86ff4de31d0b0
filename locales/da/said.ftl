said-foreign-title = Formularen kan ikke modtages
said-foreign = Formularen kom fra en anden side. Gå tilbage til der, hvor du begyndte, og åbn siden igen.
said-stale-title = Siden var for gammel
said-stale = Din browser er blevet bekræftet eller logget ud, siden du åbnede siden. Gå tilbage, genindlæs siden, og prøv igen.
said-malformed-title = Det kan ikke læses
said-malformed = Din browsers forespørgsel kan ikke modtages. Gå tilbage til der, hvor du begyndte. Sker det igen, så slet dette websteds cookies.
said-not-found-title = Her er ikke noget
said-not-found = Der er ikke noget på denne adresse. Tjek adressen, eller gå tilbage.
said-no-token-title = Vi kender dig ikke endnu
said-no-token = Åbn det link, du har fået, eller log ind, så kommer du tilbage hertil.
said-unknown-token-title = Vi kender dig ikke længere
said-unknown-token = Linket eller det login, du kom med, er ukendt eller udløbet. Bed om et nyt link, eller log ind igen.
said-share-only-title = Linket har ingen konto
said-share-only = Et delingslink åbner kun sin mappe. Log ind først for at se din egen konto.
said-no-cookie-title = Cookies er nødvendige
said-no-cookie = Din browser sendte ikke vores cookie tilbage. Tillad cookies fra dette websted, og prøv igen.
said-no-self-enrolment-title = Bed om en ekstra faktor
said-no-self-enrolment = Du har ingen ekstra faktor, og kun de, der driver tjenesten, kan tilføje en for dig. Spørg dem.
said-unavailable-title = Ikke tilgængeligt lige nu
said-unavailable = Det kan ikke kontrolleres lige nu. Prøv igen om nogle sekunder.
said-unchecked = Det kan ikke kontrolleres lige nu. Prøv igen om { $span }.
said-delayed = Der var for mange forkerte koder. Vent { $span }, og prøv igen.
said-locked = Dine koder er spærret efter for mange forkerte. Bed dem, der driver tjenesten, om at låse dig op.
said-no-recipient = Vi har hverken et nummer eller en adresse at sende en kode til. Spørg den, der gav dig adgangen.
said-recipient-refused = Der kan ikke sendes koder til dit nummer. Spørg den, der gav dig adgangen.
said-too-many = Vent { $span }, før du beder om en ny kode. En kode, du allerede har fået, gælder stadig.
said-not-sent = Koden kunne ikke sendes. Prøv igen om { $span }.
said-no-digits = Indtast kodens cifre.
said-wrong-last = Koden er forkert og gælder ikke længere efter så mange forsøg. Bed om en ny.
said-wrong-app = Koden er forkert. Vent på den næste i din app, og prøv igen.
said-wrong = Koden er forkert. Se i den nyeste besked, og prøv igen. { $left ->
    [one] Du har ét forsøg tilbage.
   *[other] Du har { $left } forsøg tilbage.
}
said-gone = Koden er udløbet eller brugt. Bed om en ny.
said-never-sent = Du har ikke fået sendt en kode endnu. Bed om en først.
said-wrong-password = Navnet eller adgangskoden er forkert. Tjek begge dele, og prøv igen.
said-delayed-password = Der var for mange forkerte forsøg. Vent { $span }, og prøv igen.
