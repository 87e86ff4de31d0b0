backup-title = Codes de secours
backup-about = Si votre téléphone est perdu ou cassé, un code de secours vous laisse entrer. Chacun sert une fois. De nouveaux codes annulent les anciens.
backup-left = { $count ->
    [0] Vous n’avez pas de code de secours.
    [one] Il reste un code.
   *[other] Il reste { $count } codes.
}
backup-make = Créer de nouveaux codes
backup-later = Pas maintenant
backup-back = Retour
backup-made = Voici vos codes de secours pour { $service }. Ils ne sont affichés que cette fois.
backup-by-hand = Imprimez cette page ou notez les codes, et gardez-les là où vous les trouverez sans votre téléphone.
backup-print = Imprimer
backup-download = Télécharger
backup-copy = Copier
backup-copied = Copié
backup-continue = Je les ai gardés : continuer
