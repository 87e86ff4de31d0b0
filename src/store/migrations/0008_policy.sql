-- What the policy asks about users and sessions: the groups of a user, and how long a session was left
-- alone.

ALTER TABLE users ADD COLUMN group_names TEXT NOT NULL DEFAULT '';  -- one in each line, in order

-- The longest time in seconds between two requests since the verification, up to `last_seen_at`. Of
-- sessions from before, only the most that it can be is known.
ALTER TABLE sessions ADD COLUMN longest_pause INTEGER NOT NULL DEFAULT 0;
UPDATE sessions SET longest_pause = max(0, last_seen_at - verified_at);

DROP VIEW held_sessions;
DROP VIEW held_tokens;

-- A token with its holder and its real end: a share's token ends with its share, one that stands for
-- another with that one or when that changes hands, one of a family with its family.
CREATE VIEW held_tokens AS
SELECT t.digest, t.user_id, t.issued_pair, t.scope, t.share_id, t.issued_at, t.expires_at,
       t.born_of, t.original, u.name, u.realm, u.group_names,
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
SELECT x.id, x.key, x.user_id, t.name, t.realm, t.group_names, t.scope, t.original, x.factor,
       x.device_label, x.whence, x.verified_at, x.last_seen_at, x.longest_pause,
       min(x.expires_at, t.ends_at) AS ends_at
FROM sessions x
JOIN held_tokens t ON t.digest = x.token AND t.user_id = x.user_id;
