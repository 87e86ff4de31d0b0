-- Clients that wait until a person lets them in. `code`, `pair`, `token` are keyed digests of 32 bytes;
-- `shown` is sealed: the code itself, the client's address and words, the host.

CREATE TABLE grants (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    code         BLOB    NOT NULL UNIQUE,
    pair         BLOB    NOT NULL UNIQUE,
    token        BLOB    NOT NULL,
    user_id      INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    device_label TEXT,
    route        TEXT    NOT NULL,
    shown        BLOB    NOT NULL,
    is_refused   INTEGER NOT NULL DEFAULT 0,
    asked_at     INTEGER NOT NULL,
    expires_at   INTEGER NOT NULL
) STRICT;
CREATE INDEX grants_user_id ON grants (user_id);
CREATE INDEX grants_expires_at ON grants (expires_at);
