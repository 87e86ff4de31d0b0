backup-title = Codes de secours
backup-about = Si votre téléphone est perdu ou cassé, un code de secours vous permet d’entrer. Chacun ne sert qu’une fois. De nouveaux codes annulent les anciens.
backup-left = { $count ->
    [0] Vous n’avez pas de codes de secours.
    [one] Il reste un code.
   *[other] Il reste { $count } codes.
}
backup-make = Créer de nouveaux codes
backup-later = Pas maintenant
backup-back = Retour
backup-made = Voici vos codes de secours pour { $service }. Ils ne s’affichent que cette fois.
backup-by-hand = Imprimez cette page ou notez les codes, et conservez-les là où vous les trouverez sans votre téléphone.
backup-print = Imprimer
backup-download = Télécharger
backup-copy = Copier
backup-copied = Copié
backup-continue = Je les ai enregistrés : continuer
