backup-title = Reservekoder
backup-about = Hvis din telefon er væk eller i stykker, kommer du ind med en reservekode. Hver kode virker én gang. Nye koder gør de gamle ugyldige.
backup-left = { $count ->
    [0] Du har ingen reservekoder.
    [one] Der er én kode tilbage.
   *[other] Der er { $count } koder tilbage.
}
backup-make = Lav nye koder
backup-later = Ikke nu
backup-back = Tilbage
backup-made = Her er dine reservekoder til { $service }. De vises kun denne ene gang.
backup-by-hand = Udskriv siden, eller skriv koderne ned, og gem dem et sted, hvor du kan finde dem uden din telefon.
backup-print = Udskriv
backup-download = Hent
backup-copy = Kopiér
backup-copied = Kopieret
backup-continue = Jeg har gemt koderne: fortsæt
