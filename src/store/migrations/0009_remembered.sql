-- Browsers that are remembered for a user. `browser` is a keyed digest of the cookie's secret, `token` of the
-- token of the last sign-in there, both of 32 bytes; `whence` is sealed, as that of a session.

CREATE TABLE remembered (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    browser     BLOB    NOT NULL,
    user_id     INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    token       BLOB    NOT NULL,
    factor      TEXT    NOT NULL,
    whence      BLOB    NOT NULL,
    verified_at INTEGER NOT NULL,
    until       INTEGER,                   -- NULL: no end
    used_at     INTEGER NOT NULL,
    UNIQUE (browser, user_id)
) STRICT;
CREATE INDEX remembered_user_id ON remembered (user_id, id);
CREATE INDEX remembered_token ON remembered (token);
