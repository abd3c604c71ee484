-- What models are trained on and what a run says while it works.

CREATE TABLE artifact (
    hash text PRIMARY KEY,
    n_bytes bigint NOT NULL,
    created_at bigint NOT NULL
);

CREATE TABLE dataset_version (
    id {id} PRIMARY KEY,
    project_id {id} NOT NULL REFERENCES project (id),
    kind text NOT NULL,
    hash text NOT NULL REFERENCES artifact (hash),
    counts {json} NOT NULL,
    created_by {id} REFERENCES account (id),
    created_at bigint NOT NULL,
    UNIQUE (project_id, kind, hash)
);

CREATE TABLE dataset_version_item (
    dataset_version_id {id} NOT NULL REFERENCES dataset_version (id),
    split text NOT NULL,
    position integer NOT NULL,
    prompt_id {id} NOT NULL REFERENCES prompt (id),
    judgement_id {id} REFERENCES judgement (id),
    PRIMARY KEY (dataset_version_id, split, position)
);

CREATE INDEX dataset_version_item_judgement ON dataset_version_item (judgement_id);

CREATE TABLE run_input (
    run_id {id} NOT NULL REFERENCES run (id),
    slot text NOT NULL,
    model_id {id} REFERENCES model (id),
    dataset_version_id {id} REFERENCES dataset_version (id),
    PRIMARY KEY (run_id, slot),
    CHECK ((model_id IS NULL) <> (dataset_version_id IS NULL))
);

CREATE INDEX run_input_model ON run_input (model_id);

CREATE INDEX run_input_dataset_version ON run_input (dataset_version_id);

CREATE TABLE run_event (
    run_id {id} NOT NULL REFERENCES run (id),
    sequence bigint NOT NULL,
    attempt integer NOT NULL,
    event {json} NOT NULL,
    created_at bigint NOT NULL,
    PRIMARY KEY (run_id, sequence)
);
