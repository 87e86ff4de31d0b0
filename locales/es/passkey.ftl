passkey-copied = Es posible que esta llave de acceso se haya copiado, y no se ha aceptado. Confirme de otra manera y elimínela de su cuenta.
