-- Vestibule's own tokens. A family is what one sign-in has issued: an access token at a time, and the
-- refresh tokens that it is renewed with. `original`, `private` are sealed; `born_of`, `digest` are
-- keyed digests of 32 bytes.

CREATE TABLE families (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    user_id      INTEGER NOT NULL REFERENCES users (id),
    device_label TEXT,
    scope        TEXT,
    share_id     INTEGER,
    born_of      BLOB,              -- the token that its tokens stand for …
    original     BLOB,              -- … and its text
    factor       TEXT,              -- how its device was verified last; NULL: it is not
    verified_at  INTEGER,
    ends_at      INTEGER NOT NULL   -- of all that it has issued, and of what its device has verified
) STRICT;
CREATE INDEX families_user_id ON families (user_id);
CREATE INDEX families_born_of ON families (born_of) WHERE born_of IS NOT NULL;
CREATE INDEX families_ends_at ON families (ends_at);

CREATE TABLE refresh_tokens (
    digest     BLOB    PRIMARY KEY,
    family_id  INTEGER NOT NULL REFERENCES families (id) ON DELETE CASCADE,
    spent      INTEGER NOT NULL DEFAULT 0,
    issued_at  INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX refresh_tokens_family_id ON refresh_tokens (family_id);
CREATE INDEX refresh_tokens_expires_at ON refresh_tokens (expires_at);

CREATE TABLE signing_keys (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    kid        TEXT    NOT NULL UNIQUE,
    algorithm  TEXT    NOT NULL,
    private    BLOB    NOT NULL,
    created_at INTEGER NOT NULL,
    signs_from INTEGER NOT NULL,
    ends_at    INTEGER
) STRICT;

ALTER TABLE tokens ADD COLUMN family_id INTEGER REFERENCES families (id);
-- No reference: what was born of a token is dead without it, and is swept up later.
ALTER TABLE tokens ADD COLUMN born_of BLOB;
ALTER TABLE tokens ADD COLUMN original BLOB;
CREATE INDEX tokens_family_id ON tokens (family_id) WHERE family_id IS NOT NULL;
CREATE INDEX tokens_born_of ON tokens (born_of) WHERE born_of IS NOT NULL;

DROP VIEW held_sessions;
DROP VIEW held_tokens;

-- A token with its holder and its real end: a share's token ends with its share, one that stands for
-- another with that one or when that changes hands, one of a family with its family.
CREATE VIEW held_tokens AS
SELECT t.digest, t.user_id, t.issued_pair, t.scope, t.share_id, t.issued_at, t.expires_at,
       t.born_of, t.original, u.name, u.realm,
       min(coalesce(t.expires_at, 9223372036854775807),
           coalesce(s.expires_at, 9223372036854775807),
           CASE WHEN t.born_of IS NULL THEN 9223372036854775807
                WHEN r.digest IS NULL THEN 0
                ELSE coalesce(r.expires_at, 9223372036854775807) END,
           coalesce(f.ends_at, 9223372036854775807)) AS ends_at
FROM tokens t
JOIN users u ON u.id = t.user_id
LEFT JOIN shares s ON s.id = t.share_id
LEFT JOIN tokens r ON r.digest = t.born_of AND r.user_id = t.user_id
LEFT JOIN families f ON f.id = t.family_id;

-- A session with its holder and its real end: it does not outlive its token.
CREATE VIEW held_sessions AS
SELECT x.id, x.key, x.user_id, t.name, t.realm, t.scope, t.original, x.factor, x.device_label,
       x.verified_at, x.last_seen_at, min(x.expires_at, t.ends_at) AS ends_at
FROM sessions x
JOIN held_tokens t ON t.digest = x.token AND t.user_id = x.user_id;
