passkey-copied = Denne adgangsnøgle er måske blevet kopieret: Den tæller baglæns. Bekræft på en anden måde, og fjern den.
