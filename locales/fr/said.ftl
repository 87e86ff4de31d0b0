said-foreign-title = Ce formulaire ne peut pas être accepté
said-foreign = Le formulaire venait d’une autre page. Revenez là où vous avez commencé et rouvrez la page.
said-stale-title = Cette page était trop ancienne
said-stale = Depuis l’ouverture de cette page, votre navigateur a été confirmé ou déconnecté. Revenez en arrière, rechargez la page et réessayez.
said-malformed-title = Ceci est illisible
said-malformed = La requête de votre navigateur ne peut pas être acceptée. Revenez là où vous avez commencé ; si cela se reproduit, supprimez les cookies de ce site.
said-not-found-title = Il n’y a rien ici
said-not-found = Il n’y a rien à cette adresse. Vérifiez l’adresse ou revenez en arrière.
said-no-token-title = Nous ne vous connaissons pas encore
said-no-token = Ouvrez le lien que vous avez reçu ou connectez-vous, et vous reviendrez ici.
said-unknown-token-title = Nous ne vous connaissons plus
said-unknown-token = Le lien ou la connexion qui vous a amené ici est inconnu ou a expiré. Demandez un nouveau lien ou reconnectez-vous.
said-share-only-title = Ce lien ne correspond à aucun compte
said-share-only = Un lien de partage n’ouvre que son dossier. Pour votre propre compte, connectez-vous d’abord.
said-no-cookie-title = Les cookies sont nécessaires
said-no-cookie = Votre navigateur n’a pas renvoyé notre cookie. Autorisez les cookies de ce site et réessayez.
said-no-self-enrolment-title = Demandez un second facteur
said-no-self-enrolment = Vous n’avez pas de second facteur, et seuls les responsables de ce service peuvent vous en configurer un. Adressez-vous à eux.
said-unavailable-title = Impossible pour l’instant
said-unavailable = Ceci ne peut pas être vérifié pour l’instant. Réessayez dans quelques secondes.
said-unchecked = Ceci ne peut pas être vérifié pour l’instant. Réessayez dans { $span }.
said-delayed = Il y a eu trop de codes incorrects. Attendez { $span } et réessayez.
said-locked = Vos codes sont bloqués après trop d’erreurs. Demandez aux responsables de ce service de les débloquer.
said-no-recipient = Nous n’avons ni numéro ni adresse où vous envoyer un code. Adressez-vous à la personne qui vous a donné cet accès.
said-recipient-refused = Aucun code ne peut être envoyé à votre numéro. Adressez-vous à la personne qui vous a donné cet accès.
said-too-many = Attendez { $span } avant de demander un autre code. Un code que vous avez déjà reste valable.
said-not-sent = Le code n’a pas pu être envoyé. Réessayez dans { $span }.
said-no-digits = Saisissez les chiffres du code.
said-wrong-last = Le code est incorrect et n’est plus valable après autant d’essais. Demandez-en un nouveau.
said-wrong-app = Le code est incorrect. Attendez le suivant dans votre application et réessayez.
said-wrong = Le code est incorrect. Regardez le message le plus récent et réessayez. { $left ->
    [one] Il vous reste un essai.
   *[other] Il vous reste { $left } essais.
}
said-gone = Le code a expiré ou a déjà servi. Demandez-en un nouveau.
said-never-sent = Aucun code ne vous a encore été envoyé. Demandez-en un d’abord.
said-wrong-password = Le nom ou le mot de passe est incorrect. Vérifiez les deux et réessayez.
said-delayed-password = Il y a eu trop d’essais incorrects. Attendez { $span } et réessayez.
