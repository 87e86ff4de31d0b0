-- What a person recognises a session by, and the end of all of a user's sessions but one.

ALTER TABLE sessions ADD COLUMN whence BLOB;      -- sealed: address and client; NULL: an older session
-- With kind 'user': the session that goes on. An older program on the same file, which does not know
-- it, forgets that one too, and finds it in the store again.
ALTER TABLE revocations ADD COLUMN spared INTEGER;

DROP VIEW held_sessions;
-- A session with its holder and its real end: it does not outlive its token.
CREATE VIEW held_sessions AS
SELECT x.id, x.key, x.user_id, t.name, t.realm, t.scope, t.original, x.factor, x.device_label,
       x.whence, x.verified_at, x.last_seen_at, min(x.expires_at, t.ends_at) AS ends_at
FROM sessions x
JOIN held_tokens t ON t.digest = x.token AND t.user_id = x.user_id;
