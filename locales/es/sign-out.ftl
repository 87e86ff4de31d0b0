sign-out-title = Cerrar sesión
sign-out-ask = Se cerrará su sesión de { $service } en este navegador.
sign-out-submit = Cerrar sesión
sign-out-done-title = Ha cerrado la sesión
sign-out-done = Nadie tiene la sesión iniciada en este navegador. Si también lo usan otras personas, cierre todas sus ventanas.
sign-out-again = Volver a iniciar sesión
