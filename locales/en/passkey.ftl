passkey-copied = This passkey may have been copied: it counts backwards. Verify in another way, and remove it.
