-- Passkeys (WebAuthn), and the ceremonies that register and ask for them. `digest` and `bound_to` are
-- keyed digests of 32 bytes; `credential` and `state` are sealed.

CREATE TABLE passkeys (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    user_id      INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    digest       BLOB    NOT NULL UNIQUE,   -- of the realm and the authenticator's identifier for it
    host         TEXT    NOT NULL,
    name         TEXT    NOT NULL,
    credential   BLOB    NOT NULL,
    sign_count   INTEGER NOT NULL,
    created_at   INTEGER NOT NULL,
    last_used_at INTEGER
) STRICT;
CREATE INDEX passkeys_user_id ON passkeys (user_id);

-- One that was answered is deleted.
CREATE TABLE ceremonies (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    bound_to   BLOB    NOT NULL,
    purpose    TEXT    NOT NULL,
    user_id    INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    state      BLOB    NOT NULL,
    expires_at INTEGER NOT NULL,
    UNIQUE (bound_to, purpose)
) STRICT;
CREATE INDEX ceremonies_user_id ON ceremonies (user_id, id);
CREATE INDEX ceremonies_expires_at ON ceremonies (expires_at);
