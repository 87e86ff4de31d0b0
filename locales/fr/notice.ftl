notice-success-token-title = Cette étape doit être confirmée
notice-success-token = Confirmez-la avec un nouveau code dans l’application d’où vous venez.
notice-denied-title = Fermé
notice-denied = Vous ne pouvez pas ouvrir cette adresse.
notice-out-of-scope-title = En dehors du partage
notice-out-of-scope = Votre lien n’ouvre que son propre dossier. Rouvrez le lien que vous avez reçu.
notice-too-many-tries-title = Trop de mots de passe incorrects
notice-too-many-tries = Patientez un moment avant de réessayer.
