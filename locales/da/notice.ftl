notice-success-token-title = Dette trin skal bekræftes
notice-success-token = Bekræft det med en ny kode i det program, du kom fra.
notice-denied-title = Lukket
notice-denied = Du må ikke åbne denne adresse.
notice-out-of-scope-title = Uden for det delte
notice-out-of-scope = Dit link åbner kun sin egen mappe. Åbn igen det link, du har fået.
notice-too-many-tries-title = For mange forkerte adgangskoder
notice-too-many-tries = Vent lidt, før du prøver igen.
