-- Share links for several people: each recipient is a user of its own, and the devices that a link was
-- opened on are counted. `link` and `device` are keyed digests of 32 bytes.

-- Of the link itself. Where there is one recipient, it is that user's token too.
ALTER TABLE shares ADD COLUMN link BLOB;
ALTER TABLE shares ADD COLUMN devices_max INTEGER;  -- NULL: any number
UPDATE shares SET link = (
    SELECT digest FROM tokens
    WHERE share_id = shares.id AND issued_pair IS NULL AND born_of IS NULL
);
CREATE UNIQUE INDEX shares_link ON shares (link);

-- `users.share_id` was UNIQUE, and SQLite drops no constraint: the table is made anew, as in
-- https://sqlite.org/lang_altertable.html#otheralter. Foreign keys are off while migrations run, and
-- are checked after them; the older way of renaming leaves views alone that name the table.
PRAGMA legacy_alter_table = ON;
CREATE TABLE users_new (
    id             INTEGER PRIMARY KEY AUTOINCREMENT,
    realm          TEXT    NOT NULL,
    name           TEXT    NOT NULL,
    phone          BLOB,
    email          BLOB,
    password_hash  BLOB,
    can_edit_users INTEGER NOT NULL,
    share_id       INTEGER REFERENCES shares (id),  -- the share of which this is a recipient
    created_at     INTEGER NOT NULL,
    email_digest   BLOB,
    UNIQUE (realm, name),
    UNIQUE (id, share_id)
) STRICT;
INSERT INTO users_new (id, realm, name, phone, email, password_hash, can_edit_users, share_id,
                       created_at, email_digest)
SELECT id, realm, name, phone, email, password_hash, can_edit_users, share_id, created_at, email_digest
FROM users;
-- A number once given out never means something else later.
DELETE FROM sqlite_sequence WHERE name = 'users_new';
INSERT INTO sqlite_sequence (name, seq) SELECT 'users_new', seq FROM sqlite_sequence WHERE name = 'users';
DROP TABLE users;
ALTER TABLE users_new RENAME TO users;
PRAGMA legacy_alter_table = OFF;
CREATE INDEX users_email_digest ON users (realm, email_digest);
CREATE INDEX users_share_id ON users (share_id) WHERE share_id IS NOT NULL;

-- A device is the token that it was given in exchange for the link, or the pair of the link itself.
CREATE TABLE share_devices (
    share_id  INTEGER NOT NULL REFERENCES shares (id) ON DELETE CASCADE,
    device    BLOB    NOT NULL,
    user_id   INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    opened_at INTEGER NOT NULL,  -- the last time that it was verified
    PRIMARY KEY (share_id, device)
) STRICT, WITHOUT ROWID;
CREATE INDEX share_devices_user_id ON share_devices (user_id);
INSERT INTO share_devices (share_id, device, user_id, opened_at)
SELECT t.share_id, CASE t.digest WHEN s.link THEN x.key ELSE coalesce(t.born_of, t.digest) END, x.user_id,
       max(x.verified_at)
FROM sessions x
JOIN tokens t ON t.digest = x.token AND t.user_id = x.user_id
JOIN shares s ON s.id = t.share_id
GROUP BY 1, 2;
