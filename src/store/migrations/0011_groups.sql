-- When a user's groups were said, by the operator or by whose tokens name them: an older word does not
-- replace a newer one. 0: nothing was said, or nobody knows when.

ALTER TABLE users ADD COLUMN groups_at INTEGER NOT NULL DEFAULT 0;
