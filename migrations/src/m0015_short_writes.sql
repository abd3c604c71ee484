-- What is large is written in short transactions, one after another, and goes on where it was cut
-- short. The rows of a dataset version come first: until all are there nothing reads it.
ALTER TABLE dataset_version ADD COLUMN filling_since bigint;

-- How many of a sample run's answers, by the lines of their file, have become tasks.
ALTER TABLE run ADD COLUMN lines_followed_up integer NOT NULL DEFAULT 0;

-- Whether texts are still to go with the person who wrote them.
ALTER TABLE erasure ADD COLUMN texts_left boolean NOT NULL DEFAULT false;

-- What a person has not seen is found without looking through whatever they ever launched.
ALTER TABLE run ADD COLUMN seen_at bigint;

UPDATE run SET seen_at = (SELECT run_seen.seen_at FROM run_seen WHERE run_seen.run_id = run.id);

DROP TABLE run_seen;

CREATE INDEX run_unseen ON run (created_by, id) WHERE seen_at IS NULL;

DROP INDEX run_created_by;

CREATE INDEX run_created_by ON run (created_by, finished_at);

-- Lists go on after the last row that a page showed.
CREATE INDEX prompt_project ON prompt (project_id, id);

CREATE INDEX dataset_version_project ON dataset_version (project_id, id);

CREATE INDEX text_created ON text (created_at, hash);
