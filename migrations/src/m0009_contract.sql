-- Several models may fit one slot of a run.
CREATE TABLE run_input_placed (
    run_id {id} NOT NULL REFERENCES run (id),
    slot text NOT NULL,
    place integer NOT NULL,
    model_id {id} REFERENCES model (id),
    dataset_version_id {id} REFERENCES dataset_version (id),
    PRIMARY KEY (run_id, slot, place),
    CHECK ((model_id IS NULL) <> (dataset_version_id IS NULL))
);

INSERT INTO run_input_placed (run_id, slot, place, model_id, dataset_version_id)
SELECT run_id, slot, 0, model_id, dataset_version_id FROM run_input;

DROP TABLE run_input;

ALTER TABLE run_input_placed RENAME TO run_input;

CREATE INDEX run_input_model ON run_input (model_id);

CREATE INDEX run_input_dataset_version ON run_input (dataset_version_id);

-- A run is followed up by tasks, or by another run.
ALTER TABLE run RENAME COLUMN tasks_made_at TO followed_up_at;

-- Why a run failed, with the key and the arguments from which a page says it in the reader's language.
ALTER TABLE run ADD COLUMN error_message {json};

-- This index could refuse nothing: with a revision in it, every row is unique already. The same key
-- with the same words is one judgement because whoever submits locks the assignment first, and with
-- other words it is a new revision, which UNIQUE (assignment_id, revision) keeps apart.
DROP INDEX judgement_idempotency;
