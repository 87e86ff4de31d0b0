passkey-copied = Es posible que esta llave de acceso se haya copiado: cuenta hacia atrás. Confirme de otra manera y elimínela.
