passkey-copied = Cette clé d’accès a peut-être été copiée : elle compte à rebours. Confirmez d’une autre manière, puis supprimez-la.
