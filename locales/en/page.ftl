page-skip = Skip to the content
page-support = Need help?
page-seconds = { $count ->
    [one] { $count } second
   *[other] { $count } seconds
}
page-minutes = { $count ->
    [one] { $count } minute
   *[other] { $count } minutes
}
page-hours = { $count ->
    [one] { $count } hour
   *[other] { $count } hours
}
page-days = { $count ->
    [one] { $count } day
   *[other] { $count } days
}
page-error = Error: { $title }
