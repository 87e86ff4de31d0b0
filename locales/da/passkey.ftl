passkey-copied = Denne adgangsnøgle er måske blevet kopieret og blev ikke godkendt. Bekræft på en anden måde, og fjern den fra din konto.
