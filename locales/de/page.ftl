page-skip = Zum Inhalt springen
page-support = Brauchen Sie Hilfe?
page-seconds = { $count ->
    [one] { $count } Sekunde
   *[other] { $count } Sekunden
}
page-minutes = { $count ->
    [one] { $count } Minute
   *[other] { $count } Minuten
}
page-hours = { $count ->
    [one] { $count } Stunde
   *[other] { $count } Stunden
}
page-days = { $count ->
    [one] { $count } Tag
   *[other] { $count } Tage
}
page-error = Fehler: { $title }
