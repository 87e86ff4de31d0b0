passkey-copied = Dieser Passkey wurde womöglich kopiert: Er zählt rückwärts. Bestätigen Sie auf einem anderen Weg, und entfernen Sie ihn.
