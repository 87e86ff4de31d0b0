passkey-copied = Cette clé d’accès a peut-être été copiée et n’a pas été acceptée. Confirmez par un autre moyen, puis supprimez-la de votre compte.
