-- Files of rows on their way into a project. The file itself is in the data folder until it is in.
CREATE TABLE import (
    id {id} PRIMARY KEY,
    project_id {id} NOT NULL REFERENCES project (id),
    created_by {id} REFERENCES account (id),
    file_name text,
    file_hash text NOT NULL,
    n_bytes bigint NOT NULL,
    leaves_out boolean NOT NULL,
    state text NOT NULL,
    cancel_requested boolean NOT NULL,
    n_lines bigint NOT NULL,
    n_rows bigint NOT NULL,
    n_refused bigint NOT NULL,
    n_done bigint NOT NULL,
    line_done bigint NOT NULL,
    counts {json} NOT NULL,
    refused {json} NOT NULL,
    reason {json},
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL,
    finished_at bigint
);

CREATE INDEX import_project ON import (project_id, created_at);

CREATE INDEX import_unfinished ON import (created_at) WHERE finished_at IS NULL;
