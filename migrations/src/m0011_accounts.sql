-- What a session began with: a password that is changed or reset, and a lock, raise the account's
-- stamp, and whatever carries an older one is nobody's.
ALTER TABLE account ADD COLUMN stamp bigint NOT NULL DEFAULT 0;

-- When a one-time password signs nobody in any more, none for other passwords.
ALTER TABLE account ADD COLUMN password_expires_at bigint;

-- A week more for those that somebody was told, not for that of the very first start, which is its owner's alone.
UPDATE account SET password_expires_at = {now} + 604800000
WHERE password_is_one_time AND login <> 'admin';

-- The one link with which a person sets their password: the link holds a token, the row its hash.
CREATE TABLE account_link (
    account_id {id} PRIMARY KEY REFERENCES account (id) ON DELETE CASCADE,
    token_hash text NOT NULL UNIQUE,
    purpose text NOT NULL,
    expires_at bigint NOT NULL
);

-- Where something was done, or none where it concerns the whole installation.
ALTER TABLE audit_log ADD COLUMN project_id {id} REFERENCES project (id);

CREATE INDEX audit_log_project ON audit_log (project_id, id);

CREATE INDEX audit_log_account ON audit_log (account_id, id);

CREATE INDEX audit_log_subject ON audit_log (subject, action, created_at);
