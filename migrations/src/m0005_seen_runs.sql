-- Which ended runs the person who launched them has seen: until then they are told of them.

CREATE TABLE run_seen (
    run_id {id} PRIMARY KEY REFERENCES run (id),
    seen_at bigint NOT NULL
);

-- Nobody is told of runs that ended before there were notices.
INSERT INTO run_seen (run_id, seen_at)
SELECT id, finished_at FROM run WHERE finished_at IS NOT NULL;

CREATE INDEX run_created_by ON run (created_by);
