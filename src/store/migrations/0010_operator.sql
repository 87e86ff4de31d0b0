-- What operators look for: events of a user, a kind or an address, and who is behind a counter.

-- `event` is JSON. Searches name these very expressions.
CREATE INDEX audit_user ON audit (json_extract(event, '$.user'));
CREATE INDEX audit_kind ON audit (json_extract(event, '$.kind'));
CREATE INDEX audit_address ON audit (json_extract(event, '$.address'));

-- Sealed, as JSON: the user, account or address that `subject` is the digest of. NULL: an older version
-- has counted, or nobody knew.
ALTER TABLE failures ADD COLUMN who BLOB;
