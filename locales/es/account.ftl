account-title = Su cuenta
account-who = Ha iniciado sesión como { $name }.
account-sessions = Dispositivos y sesiones
account-sessions-about = En todos ellos se ha confirmado su segundo factor. Cierre las sesiones que no reconozca y compruebe más abajo que nadie haya añadido un factor que no sea suyo.
account-no-sessions = En ningún dispositivo se ha confirmado un segundo factor.
account-this-device = este dispositivo
account-client = { $client } en { $system }
account-client-unknown = Dispositivo desconocido
account-last-used = Último uso:
account-confirmed = Confirmado:
account-address = Dirección:
account-end = Cerrar sesión
account-end-others = Cerrar todas las demás sesiones
account-factors = Segundos factores
account-no-factors = Todavía no tiene un segundo factor. Si añade uno, nadie podrá entrar solo con su contraseña o su enlace.
account-replace = Sustituir
account-remove = Eliminar
account-add = Añadir un segundo factor
account-factor-sms = SMS
account-factor-totp = Aplicación de autenticación
account-factor-email = Correo electrónico
account-factor-backup-code = Código de respaldo
account-factor-passkey = Llave de acceso
account-backup = Códigos de respaldo
account-backup-left = { $count ->
    [0] No tiene códigos de respaldo. Con ellos puede entrar aunque no tenga el teléfono.
    [one] Queda un código de respaldo.
   *[other] Quedan { $count } códigos de respaldo.
}
account-backup-make = Crear códigos de respaldo nuevos
account-done-session = La sesión se ha cerrado.
account-done-others = Todas las demás sesiones se han cerrado.
account-done-removed = El segundo factor se ha eliminado.
account-gone = Esta sesión ya estaba cerrada.
account-last = Es su último segundo factor, y solo quienes gestionan este servicio podrían configurar otro. Añada otro antes de eliminarlo.
account-sign-out = Cerrar sesión en este navegador
account-browsers = Navegadores recordados
account-browsers-about = Si inicia sesión en uno de ellos, basta con su contraseña. Olvide los que no reconozca o ya no use.
account-this-browser = este navegador
account-until = Recordado hasta:
account-no-end = Recordado sin límite de tiempo
account-forget = Olvidar
account-done-forgotten = El navegador se ha olvidado: el próximo inicio de sesión en él volverá a pedir su segundo factor.
