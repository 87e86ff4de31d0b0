account-title = Su cuenta
account-who = Ha iniciado sesión como { $name }.
account-sessions = Dispositivos y sesiones
account-sessions-about = Todos ellos han superado su segundo factor. Cierre las sesiones que no reconozca y compruebe más abajo que nadie haya añadido un factor ajeno.
account-no-sessions = Ningún dispositivo ha superado un segundo factor.
account-this-device = este dispositivo
account-client = { $client } en { $system }
account-client-unknown = Dispositivo desconocido
account-last-used = Último uso:
account-confirmed = Confirmado:
account-address = Dirección:
account-end = Cerrar sesión
account-end-others = Cerrar todas las demás sesiones
account-factors = Segundos factores
account-no-factors = Todavía no tiene un segundo factor. Con él, nadie entra solo con su contraseña o su enlace.
account-replace = Sustituir
account-remove = Quitar
account-add = Añadir un segundo factor
account-factor-sms = Mensaje de texto
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
account-done-removed = El segundo factor se ha quitado.
account-gone = Esta sesión ya estaba cerrada.
account-last = Es su último segundo factor, y solo quienes gestionan este servicio podrían configurar otro. Añada otro antes de quitarlo.
account-sign-out = Cerrar sesión en este navegador
