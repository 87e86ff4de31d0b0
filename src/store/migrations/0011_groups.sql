-- Of when a user's phone, email and groups are, by the operator's word or that of whose tokens name them: an
-- older word does not replace a newer one. 0: nothing was said. And the token whose word it is, if it was one's:
-- of two of the same second, the one that was heard first does not come back.

ALTER TABLE users ADD COLUMN profile_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE users ADD COLUMN profile_by BLOB;

-- What is known already was said, at the latest, when the last token was heard.
UPDATE users
SET profile_at = max(created_at, coalesce((SELECT max(issued_at) FROM tokens WHERE user_id = users.id), 0))
WHERE phone IS NOT NULL OR email IS NOT NULL OR group_names <> '';
