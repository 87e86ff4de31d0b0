page-skip = Ir al contenido
page-support = ¿Necesita ayuda?
page-seconds = { $count ->
    [one] { $count } segundo
   *[other] { $count } segundos
}
page-minutes = { $count ->
    [one] { $count } minuto
   *[other] { $count } minutos
}
page-hours = { $count ->
    [one] { $count } hora
   *[other] { $count } horas
}
page-days = { $count ->
    [one] { $count } día
   *[other] { $count } días
}
page-error = Error: { $title }
