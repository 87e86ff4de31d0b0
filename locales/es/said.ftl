said-foreign-title = No se puede aceptar este formulario
said-foreign = El formulario llegó de otra página. Vuelva adonde empezó y abra la página otra vez.
said-stale-title = Esta página era demasiado antigua
said-stale = Desde que se abrió esta página, se ha confirmado o cerrado la sesión en su navegador. Vuelva atrás, recargue la página e inténtelo de nuevo.
said-malformed-title = Esto no se puede leer
said-malformed = No se puede aceptar la petición de su navegador. Vuelva adonde empezó; si ocurre otra vez, borre las cookies de este sitio.
said-not-found-title = Aquí no hay nada
said-not-found = No hay nada en esta dirección. Compruebe la dirección o vuelva atrás.
said-no-token-title = Todavía no le conocemos
said-no-token = Abra el enlace que recibió o inicie sesión y volverá aquí.
said-unknown-token-title = Ya no le conocemos
said-unknown-token = El enlace o la sesión con que llegó no se reconoce o ha caducado. Pida un enlace nuevo o vuelva a iniciar sesión.
said-share-only-title = Este enlace no tiene cuenta
said-share-only = Un enlace compartido solo abre su carpeta. Para su propia cuenta, inicie sesión primero.
said-no-cookie-title = Hacen falta cookies
said-no-cookie = Su navegador no devolvió nuestra cookie. Permita las cookies de este sitio e inténtelo de nuevo.
said-no-self-enrolment-title = Pida un segundo factor
said-no-self-enrolment = No tiene un segundo factor, y solo quienes gestionan este servicio pueden configurarle uno. Pídaselo.
said-unavailable-title = No es posible ahora
said-unavailable = Ahora no se puede comprobar. Inténtelo de nuevo dentro de unos segundos.
said-unchecked = Ahora no se puede comprobar. Inténtelo de nuevo dentro de { $span }.
said-delayed = Hubo demasiados códigos incorrectos. Espere { $span } e inténtelo de nuevo.
said-locked = Sus códigos están bloqueados tras demasiados errores. Pida a quienes gestionan este servicio que los desbloqueen.
said-no-recipient = No tenemos ningún número ni dirección para enviarle un código. Consulte a quien le dio acceso.
said-recipient-refused = No se pueden enviar códigos a su número. Consulte a quien le dio acceso.
said-too-many = Espere { $span } antes de pedir otro código. Si ya tiene uno, sigue siendo válido.
said-not-sent = No se pudo enviar el código. Inténtelo de nuevo dentro de { $span }.
said-no-digits = Escriba las cifras del código.
said-wrong-last = El código es incorrecto y ya no vale tras tantos intentos. Pida uno nuevo.
said-wrong-app = El código es incorrecto. Espere al siguiente de su aplicación e inténtelo de nuevo.
said-wrong = El código es incorrecto. Mire el mensaje más reciente e inténtelo de nuevo. { $left ->
    [one] Le queda un intento.
   *[other] Le quedan { $left } intentos.
}
said-gone = El código ha caducado o ya se ha usado. Pida uno nuevo.
said-never-sent = Todavía no se le ha enviado ningún código. Pida uno primero.
said-wrong-password = El nombre o la contraseña no son correctos. Compruebe ambos e inténtelo de nuevo.
said-delayed-password = Hubo demasiados intentos fallidos. Espere { $span } e inténtelo de nuevo.
