passkey-copied = Dieser Passkey wurde womöglich kopiert und deshalb nicht angenommen. Bestätigen Sie auf einem anderen Weg und entfernen Sie ihn aus Ihrem Konto.
