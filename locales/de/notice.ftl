notice-success-token-title = Dieser Schritt muss bestätigt werden
notice-success-token = Bestätigen Sie ihn mit einem neuen Code in der Anwendung, aus der Sie kommen.
notice-denied-title = Geschlossen
notice-denied = Diese Adresse dürfen Sie nicht öffnen.
notice-out-of-scope-title = Außerhalb der Freigabe
notice-out-of-scope = Ihr Link öffnet nur seinen eigenen Ordner. Öffnen Sie noch einmal den Link, den Sie bekommen haben.
notice-too-many-tries-title = Zu viele falsche Passwörter
notice-too-many-tries = Warten Sie eine Weile, bevor Sie es noch einmal versuchen.
