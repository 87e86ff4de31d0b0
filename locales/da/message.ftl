message-sms = { $code } er din kode til { $service }. Den udløber om { $span }.
message-sms-program = { $code } lukker et program ind hos { $service } i dit navn. Brug ikke koden, hvis du ikke selv har startet programmet. Den udløber om { $span }.
message-subject = Din kode til { $service }
message-mail =
    { $code } er din kode til { $service }.

    Den virker én gang og udløber om { $span }.
    Har du ikke bedt om den, så se bort fra denne e-mail, og giv ikke koden til nogen.
message-subject-program = Et program beder om adgang til { $service }
message-mail-program =
    { $code } lukker et program ind hos { $service } i dit navn.

    Koden virker én gang og udløber om { $span }.
    Har du ikke selv startet programmet lige nu, så brug ikke koden, og giv den ikke til nogen. I så fald kender en anden din adgangskode: Skift den.
