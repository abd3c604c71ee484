-- Who may sign in and what they may do where.

CREATE TABLE account (
    id {id} PRIMARY KEY,
    login text NOT NULL UNIQUE,
    display_name text NOT NULL,
    password_hash text NOT NULL,
    password_is_one_time boolean NOT NULL,
    is_admin boolean NOT NULL,
    language text,
    created_at bigint NOT NULL,
    disabled_at bigint
);

CREATE TABLE session (
    key_hash text PRIMARY KEY,
    account_id {id} REFERENCES account (id) ON DELETE CASCADE,
    state text NOT NULL,
    expires_at bigint NOT NULL
);

CREATE INDEX session_account ON session (account_id);

CREATE INDEX session_expiry ON session (expires_at);

CREATE TABLE project (
    id {id} PRIMARY KEY,
    name text NOT NULL UNIQUE,
    guidelines text NOT NULL,
    comparison_overlap integer NOT NULL CHECK (comparison_overlap > 0),
    created_at bigint NOT NULL
);

CREATE TABLE membership (
    id {id} PRIMARY KEY,
    account_id {id} NOT NULL REFERENCES account (id),
    project_id {id} NOT NULL REFERENCES project (id),
    role text NOT NULL,
    created_at bigint NOT NULL,
    UNIQUE (account_id, project_id, role)
);

CREATE INDEX membership_project ON membership (project_id);

CREATE TABLE audit_log (
    id {id} PRIMARY KEY,
    account_id {id} REFERENCES account (id),
    action text NOT NULL,
    subject text NOT NULL,
    details {json} NOT NULL,
    created_at bigint NOT NULL
);
