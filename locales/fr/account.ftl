account-title = Votre compte
account-who = Vous êtes connecté en tant que { $name }.
account-sessions = Appareils et sessions
account-sessions-about = Votre second facteur a été confirmé sur tous ces appareils. Fermez les sessions que vous ne reconnaissez pas et vérifiez plus bas que personne n’a ajouté un facteur qui n’est pas le vôtre.
account-no-sessions = Aucun second facteur n’a été confirmé.
account-this-device = cet appareil
account-client = { $client } sur { $system }
account-client-unknown = Appareil inconnu
account-last-used = Dernière utilisation :
account-confirmed = Confirmation :
account-address = Adresse :
account-end = Fermer la session
account-end-others = Fermer toutes les autres sessions
account-factors = Seconds facteurs
account-no-factors = Vous n’avez pas encore de second facteur. Avec un second facteur, personne n’entre avec votre seul mot de passe ou votre seul lien.
account-replace = Remplacer
account-remove = Supprimer
account-add = Ajouter un second facteur
account-factor-sms = SMS
account-factor-totp = Application d’authentification
account-factor-email = E-mail
account-factor-backup-code = Code de secours
account-factor-passkey = Clé d’accès
account-backup = Codes de secours
account-backup-left = { $count ->
    [0] Vous n’avez pas de codes de secours. Ils vous permettent d’entrer même sans votre téléphone.
    [one] Il reste un code de secours.
   *[other] Il reste { $count } codes de secours.
}
account-backup-make = Créer de nouveaux codes de secours
account-done-session = La session est fermée.
account-done-others = Toutes les autres sessions sont fermées.
account-done-removed = Le second facteur est supprimé.
account-gone = Cette session est déjà fermée.
account-last = C’est votre dernier second facteur, et seuls les responsables de ce service pourraient en configurer un autre. Ajoutez-en un autre avant de le supprimer.
account-sign-out = Se déconnecter de ce navigateur
account-browsers = Navigateurs mémorisés
account-browsers-about = Dans ces navigateurs, votre mot de passe suffit pour vous connecter. Oubliez ceux que vous ne reconnaissez pas ou que vous n’utilisez plus.
account-this-browser = ce navigateur
account-until = Mémorisé jusqu’au :
account-no-end = Mémorisé sans limite de durée
account-forget = Oublier
account-done-forgotten = Le navigateur est oublié. La prochaine connexion y demandera de nouveau votre second facteur.
