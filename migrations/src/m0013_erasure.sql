-- What was removed for the law: texts by their hash and people by their id, with the reason.

CREATE TABLE erasure (
    id {id} PRIMARY KEY,
    kind text NOT NULL,
    subject text NOT NULL,
    reason text NOT NULL,
    erased_by {id} REFERENCES account (id),
    erased_at bigint NOT NULL,
    finished_at bigint,
    UNIQUE (kind, subject)
);

-- Its files are gone because of what stood in them. Its hash and who used it stay.
ALTER TABLE artifact ADD COLUMN erased_at bigint;
