//! Passkeys, through the use cases.
