message-sms = { $code } ist Ihr Code für { $service }. Er gilt noch { $span }.
message-sms-program = { $code } lässt ein Programm bei { $service } in Ihrem Namen hinein. Wenn Sie es nicht selbst gestartet haben, benutzen Sie diesen Code nicht. Er gilt noch { $span }.
message-subject = Ihr Code für { $service }
message-mail =
    { $code } ist Ihr Code für { $service }.

    Er gilt einmal und noch { $span }.
    Wenn Sie ihn nicht angefordert haben, ignorieren Sie diese E-Mail und sagen Sie den Code niemandem.
message-subject-program = Ein Programm möchte bei { $service } hinein
message-mail-program =
    { $code } lässt ein Programm bei { $service } in Ihrem Namen hinein.

    Der Code gilt einmal und noch { $span }.
    Wenn Sie dieses Programm nicht gerade selbst gestartet haben, geben Sie den Code nirgends ein und sagen Sie ihn niemandem. Dann kennt jemand anderes Ihr Passwort: Ändern Sie es.
