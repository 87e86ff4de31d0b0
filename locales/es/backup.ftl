backup-title = Códigos de respaldo
backup-about = Si pierde el teléfono o se le rompe, puede entrar con un código de respaldo. Cada uno sirve una vez. Los códigos nuevos anulan los anteriores.
backup-left = { $count ->
    [0] No tiene códigos de respaldo.
    [one] Queda un código.
   *[other] Quedan { $count } códigos.
}
backup-make = Crear códigos nuevos
backup-later = Ahora no
backup-back = Volver
backup-made = Estos son sus códigos de respaldo para { $service }. Solo se muestran esta vez.
backup-by-hand = Imprima esta página o anote los códigos, y guárdelos donde los encuentre sin su teléfono.
backup-print = Imprimir
backup-download = Descargar
backup-copy = Copiar
backup-copied = Copiado
backup-continue = Los he guardado: continuar
