message-sms = { $code } est votre code pour { $service }. Il expire dans { $span }.
message-sms-program = { $code } laisse entrer un programme sur { $service } en votre nom. Si ce n'est pas vous qui l'avez lancé, n'utilisez pas ce code. Il expire dans { $span }.
message-subject = Votre code pour { $service }
message-mail =
    { $code } est votre code pour { $service }.

    Il ne sert qu’une fois et expire dans { $span }.
    Si vous ne l’avez pas demandé, ignorez cet e-mail et ne communiquez le code à personne.
message-subject-program = Un programme demande à entrer sur { $service }
message-mail-program =
    { $code } laisse entrer un programme sur { $service } en votre nom.

    Le code ne sert qu’une fois et expire dans { $span }.
    Si vous ne venez pas de lancer ce programme vous-même, n’utilisez pas ce code et ne le communiquez à personne. Quelqu’un d’autre connaît alors votre mot de passe : changez-le.
