-- Prompts, answers, tasks, what people said of them, and the runs and models answers come from.

CREATE TABLE text (
    hash text PRIMARY KEY,
    body text,
    created_at bigint NOT NULL
);

CREATE TABLE prompt (
    id {id} PRIMARY KEY,
    project_id {id} NOT NULL REFERENCES project (id),
    text_hash text NOT NULL REFERENCES text (hash),
    created_at bigint NOT NULL,
    UNIQUE (project_id, text_hash)
);

CREATE TABLE run (
    id {id} PRIMARY KEY,
    project_id {id} NOT NULL REFERENCES project (id),
    kind text NOT NULL,
    config {json} NOT NULL,
    status text NOT NULL,
    attempt integer NOT NULL,
    worker text,
    lease_expires_at bigint,
    cancel_requested boolean NOT NULL,
    progress {real} NOT NULL,
    step bigint NOT NULL,
    n_steps bigint NOT NULL,
    tokens_per_second {real},
    seconds_left {real},
    error text,
    summary {json},
    environment {json},
    output_hash text,
    output_model_id {id},
    tasks_made_at bigint,
    created_by {id} REFERENCES account (id),
    created_at bigint NOT NULL,
    started_at bigint,
    finished_at bigint
);

CREATE INDEX run_project ON run (project_id, created_at);

CREATE INDEX run_status ON run (status, created_at);

CREATE TABLE model (
    id {id} PRIMARY KEY,
    project_id {id} REFERENCES project (id),
    name text NOT NULL UNIQUE,
    kind text NOT NULL,
    parent_id {id} REFERENCES model (id),
    run_id {id} UNIQUE REFERENCES run (id),
    artifact_hash text NOT NULL,
    n_parameters bigint NOT NULL,
    created_at bigint NOT NULL
);

CREATE TABLE completion (
    id {id} PRIMARY KEY,
    prompt_id {id} NOT NULL REFERENCES prompt (id),
    text_hash text NOT NULL REFERENCES text (hash),
    model_id {id} REFERENCES model (id),
    run_id {id} REFERENCES run (id),
    sample_index integer NOT NULL,
    finish_reason text,
    n_tokens integer,
    created_at bigint NOT NULL,
    UNIQUE (run_id, prompt_id, sample_index)
);

CREATE INDEX completion_prompt ON completion (prompt_id);

CREATE TABLE task (
    id {id} PRIMARY KEY,
    project_id {id} NOT NULL REFERENCES project (id),
    prompt_id {id} NOT NULL REFERENCES prompt (id),
    kind text NOT NULL,
    overlap integer NOT NULL,
    open_slots integer NOT NULL,
    run_id {id} REFERENCES run (id),
    origin text NOT NULL,
    created_at bigint NOT NULL,
    UNIQUE (project_id, origin),
    CHECK (open_slots >= 0 AND open_slots <= overlap)
);

CREATE INDEX task_open ON task (project_id, kind, id) WHERE open_slots > 0;

CREATE TABLE task_completion (
    task_id {id} NOT NULL REFERENCES task (id),
    position integer NOT NULL,
    completion_id {id} NOT NULL REFERENCES completion (id),
    PRIMARY KEY (task_id, position)
);

CREATE TABLE assignment (
    id {id} PRIMARY KEY,
    task_id {id} NOT NULL REFERENCES task (id),
    account_id {id} NOT NULL REFERENCES account (id),
    state text NOT NULL,
    expires_at bigint NOT NULL,
    order_seed bigint NOT NULL,
    created_at bigint NOT NULL,
    UNIQUE (task_id, account_id)
);

CREATE INDEX assignment_account ON assignment (account_id, state);

CREATE INDEX assignment_lease ON assignment (expires_at) WHERE state = 'leased';

CREATE TABLE draft (
    assignment_id {id} PRIMARY KEY REFERENCES assignment (id),
    body text NOT NULL,
    updated_at bigint NOT NULL
);

CREATE TABLE judgement (
    id {id} PRIMARY KEY,
    task_id {id} NOT NULL REFERENCES task (id),
    assignment_id {id} REFERENCES assignment (id),
    account_id {id} REFERENCES account (id),
    revision integer NOT NULL,
    payload {json} NOT NULL,
    shown_order {json} NOT NULL,
    idempotency_key text NOT NULL,
    lead_time_ms bigint,
    created_at bigint NOT NULL,
    UNIQUE (assignment_id, revision)
);

CREATE INDEX judgement_task ON judgement (task_id);

CREATE INDEX judgement_account ON judgement (account_id, created_at);

CREATE UNIQUE INDEX judgement_idempotency ON judgement (task_id, account_id, idempotency_key, revision);
