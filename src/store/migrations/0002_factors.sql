-- The factors that users enrol, their backup codes, wizards and success tokens. `bound_to`, `digest`,
-- `code`, `email_digest`, `token`, `subject` and `opener` are keyed digests of 32 bytes; `value` and
-- `shown` are sealed.

ALTER TABLE users ADD COLUMN email_digest BLOB;  -- of the lower-cased address; older rows: at opening
CREATE INDEX users_email_digest ON users (realm, email_digest);

-- Codes live for minutes: those on their way at the upgrade are asked for again.
DROP TABLE challenges;
CREATE TABLE challenges (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    bound_to        BLOB    NOT NULL,
    purpose         TEXT    NOT NULL,
    user_id         INTEGER REFERENCES users (id) ON DELETE CASCADE,  -- NULL: nobody's
    factor          TEXT    NOT NULL,
    code            BLOB,                                             -- NULL: none was sent
    value           BLOB,                                             -- what an enrolment confirms
    replaces_others INTEGER NOT NULL,
    state           TEXT    NOT NULL CHECK (state IN ('pending', 'used', 'void')),
    attempts_left   INTEGER NOT NULL,
    created_at      INTEGER NOT NULL,
    expires_at      INTEGER NOT NULL,
    UNIQUE (bound_to, purpose)
) STRICT;
CREATE INDEX challenges_user_id ON challenges (user_id);
CREATE INDEX challenges_expires_at ON challenges (expires_at);

CREATE TABLE factors (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,  -- the newest comes first in the user's order
    user_id      INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    kind         TEXT    NOT NULL,
    value        BLOB,              -- NULL: turned off by the user, whatever the profile gives
    last_step    INTEGER,           -- of an authenticator's last right code
    confirmed_at INTEGER NOT NULL,
    UNIQUE (user_id, kind)
) STRICT;

CREATE TABLE factor_changes (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    user_id    INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    kind       TEXT    NOT NULL,
    is_enabled INTEGER NOT NULL,
    at         INTEGER NOT NULL
) STRICT;
CREATE INDEX factor_changes_user_id ON factor_changes (user_id, at, id);

CREATE TABLE backup_sets (
    user_id    INTEGER PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    salt       BLOB    NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

-- A spent code is deleted.
CREATE TABLE backup_codes (
    user_id INTEGER NOT NULL REFERENCES backup_sets (user_id) ON DELETE CASCADE,
    code    BLOB    NOT NULL,
    PRIMARY KEY (user_id, code)
) STRICT, WITHOUT ROWID;

CREATE TABLE wizards (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    digest       BLOB    NOT NULL UNIQUE,
    kind         TEXT    NOT NULL,
    stage        TEXT    NOT NULL,
    realm        TEXT    NOT NULL,
    user_id      INTEGER REFERENCES users (id) ON DELETE CASCADE,
    factor       TEXT,
    token        BLOB,
    device_label TEXT,
    subject      BLOB,
    shown        BLOB,
    opener       BLOB    NOT NULL,
    expires_at   INTEGER NOT NULL
) STRICT;
CREATE INDEX wizards_user_id ON wizards (user_id);
CREATE INDEX wizards_expires_at ON wizards (expires_at);
CREATE INDEX wizards_opener ON wizards (opener, id);
CREATE INDEX wizards_without_token ON wizards (id) WHERE token IS NULL;

CREATE TABLE success_tokens (
    digest     BLOB    PRIMARY KEY,
    user_id    INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    token      BLOB,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX success_tokens_user_id ON success_tokens (user_id);
CREATE INDEX success_tokens_expires_at ON success_tokens (expires_at);
