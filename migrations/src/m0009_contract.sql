-- Why a run failed, with the key and the arguments from which a page says it in the reader's language.
ALTER TABLE run ADD COLUMN error_message {json};

-- This index could refuse nothing: with a revision in it, every row is unique already. The same key
-- with the same words is one judgement because whoever submits locks the assignment first, and with
-- other words it is a new revision, which UNIQUE (assignment_id, revision) keeps apart.
DROP INDEX judgement_idempotency;
