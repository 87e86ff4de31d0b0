page-skip = Aller au contenu
page-support = Besoin d’aide ?
page-seconds = { $count ->
    [one] { $count } seconde
   *[other] { $count } secondes
}
page-minutes = { $count ->
    [one] { $count } minute
   *[other] { $count } minutes
}
page-hours = { $count ->
    [one] { $count } heure
   *[other] { $count } heures
}
page-days = { $count ->
    [one] { $count } jour
   *[other] { $count } jours
}
page-error = Erreur : { $title }
