passkey-copied = This passkey may have been copied and was not accepted. Confirm in another way, then remove it from your account.
