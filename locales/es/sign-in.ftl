sign-in-title = Iniciar sesión
sign-in-name = Nombre o correo electrónico
sign-in-password = Contraseña
sign-in-submit = Iniciar sesión
sign-in-incomplete = Escriba su nombre o correo electrónico y su contraseña.
