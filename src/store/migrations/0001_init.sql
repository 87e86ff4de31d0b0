-- Times are seconds since 1970 (UTC). `key`, `digest`, `code`, `recipient` and `subject` are keyed
-- digests of 32 bytes; `phone`, `email` and `password_hash` are sealed (see vault.rs).
-- AUTOINCREMENT: a number once given out never means something else later.

CREATE TABLE meta (
    id       INTEGER PRIMARY KEY CHECK (id = 1),
    data_key BLOB    NOT NULL,            -- sealed under the operator's store key
    pings    INTEGER NOT NULL DEFAULT 0   -- written to by health checks
) STRICT;

CREATE TABLE shares (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    path       TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER
) STRICT;
CREATE INDEX shares_expires_at ON shares (expires_at);

CREATE TABLE users (
    id             INTEGER PRIMARY KEY AUTOINCREMENT,
    realm          TEXT    NOT NULL,
    name           TEXT    NOT NULL,
    phone          BLOB,
    email          BLOB,
    password_hash  BLOB,
    can_edit_users INTEGER NOT NULL,
    share_id       INTEGER UNIQUE REFERENCES shares (id),  -- the share whose recipient this is
    created_at     INTEGER NOT NULL,
    UNIQUE (realm, name),
    UNIQUE (id, share_id)
) STRICT;

CREATE TABLE tokens (
    digest      BLOB    PRIMARY KEY,
    user_id     INTEGER NOT NULL REFERENCES users (id),
    issued_pair BLOB,
    scope       TEXT,
    share_id    INTEGER,
    issued_at   INTEGER NOT NULL,
    expires_at  INTEGER,
    FOREIGN KEY (user_id, share_id) REFERENCES users (id, share_id)  -- of that share's own user
) STRICT, WITHOUT ROWID;
CREATE INDEX tokens_user_id ON tokens (user_id, share_id);
CREATE INDEX tokens_share_id ON tokens (share_id);
CREATE INDEX tokens_expires_at ON tokens (expires_at);

CREATE TABLE sessions (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    key          BLOB    NOT NULL UNIQUE,
    token        BLOB    NOT NULL REFERENCES tokens (digest),
    user_id      INTEGER NOT NULL REFERENCES users (id),
    factor       TEXT    NOT NULL,
    device_label TEXT,
    verified_at  INTEGER NOT NULL,
    expires_at   INTEGER NOT NULL,
    last_seen_at INTEGER NOT NULL
) STRICT;
CREATE INDEX sessions_user_id ON sessions (user_id);
CREATE INDEX sessions_token ON sessions (token);
CREATE INDEX sessions_expires_at ON sessions (expires_at);

-- A token with its holder and its real end: a share's token ends with its share.
CREATE VIEW held_tokens AS
SELECT t.digest, t.user_id, t.issued_pair, t.scope, t.share_id, t.issued_at, t.expires_at,
       u.name, u.realm,
       min(coalesce(t.expires_at, 9223372036854775807),
           coalesce(s.expires_at, 9223372036854775807)) AS ends_at
FROM tokens t
JOIN users u ON u.id = t.user_id
LEFT JOIN shares s ON s.id = t.share_id;

-- A session with its holder and its real end: it does not outlive its token.
CREATE VIEW held_sessions AS
SELECT x.id, x.key, x.user_id, t.name, t.realm, t.scope, x.factor, x.device_label, x.verified_at,
       x.last_seen_at, min(x.expires_at, t.ends_at) AS ends_at
FROM sessions x
JOIN held_tokens t ON t.digest = x.token AND t.user_id = x.user_id;

CREATE TABLE revocations (
    seq     INTEGER PRIMARY KEY AUTOINCREMENT,
    kind    TEXT    NOT NULL CHECK (kind IN ('all', 'user', 'session')),
    target  INTEGER,
    at      INTEGER NOT NULL
) STRICT;
CREATE INDEX revocations_at ON revocations (at);

CREATE TABLE challenges (
    pair          BLOB    NOT NULL,
    purpose       TEXT    NOT NULL,
    user_id       INTEGER NOT NULL,
    factor        TEXT    NOT NULL,
    code          BLOB    NOT NULL,
    state         TEXT    NOT NULL CHECK (state IN ('pending', 'used', 'void')),
    attempts_left INTEGER NOT NULL,
    created_at    INTEGER NOT NULL,
    expires_at    INTEGER NOT NULL,
    PRIMARY KEY (pair, purpose)
) STRICT, WITHOUT ROWID;
CREATE INDEX challenges_user_id ON challenges (user_id);
CREATE INDEX challenges_expires_at ON challenges (expires_at);

CREATE TABLE sends (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    user_id   INTEGER NOT NULL,
    recipient BLOB    NOT NULL,
    prefix    TEXT    NOT NULL,
    at        INTEGER NOT NULL
) STRICT;
CREATE INDEX sends_user_id ON sends (user_id, at);
CREATE INDEX sends_recipient ON sends (recipient, at);
CREATE INDEX sends_prefix ON sends (prefix, at);
CREATE INDEX sends_at ON sends (at);

CREATE TABLE failures (
    subject       BLOB    PRIMARY KEY,
    failures      INTEGER NOT NULL,
    delayed_until INTEGER NOT NULL,
    locked        INTEGER NOT NULL,
    touched_at    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX failures_touched_at ON failures (touched_at);

CREATE TABLE audit (
    id    INTEGER PRIMARY KEY AUTOINCREMENT,
    at    INTEGER NOT NULL,
    event TEXT    NOT NULL
) STRICT;
CREATE INDEX audit_at ON audit (at);
