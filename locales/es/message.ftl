message-sms = { $code } es su clave para { $service }. Caduca en { $span }.
message-sms-program = { $code } deja entrar a un programa en { $service } en su nombre. Si no lo ha iniciado usted, no use esta clave. Caduca en { $span }.
message-subject = Su código para { $service }
message-mail =
    { $code } es su código para { $service }.

    Sirve una sola vez y caduca en { $span }.
    Si no lo ha pedido, no haga caso de este correo y no le diga el código a nadie.
message-subject-program = Un programa pide entrar en { $service }
message-mail-program =
    { $code } deja entrar a un programa en { $service } en su nombre.

    El código sirve una sola vez y caduca en { $span }.
    Si no acaba de iniciar usted mismo ese programa, no use el código ni se lo diga a nadie. En ese caso, otra persona conoce su contraseña: cámbiela.
