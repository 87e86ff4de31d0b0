page-skip = Gå til indholdet
page-support = Brug for hjælp?
page-seconds = { $count ->
    [one] { $count } sekund
   *[other] { $count } sekunder
}
page-minutes = { $count ->
    [one] { $count } minut
   *[other] { $count } minutter
}
page-hours = { $count ->
    [one] { $count } time
   *[other] { $count } timer
}
page-days = { $count ->
    [one] { $count } dag
   *[other] { $count } dage
}
page-error = Fejl: { $title }
