-- The tasks that wait for somebody, in the order in which they are given out. No other index has that
-- order: from the order of the ids alone PostgreSQL may take the primary key instead, and pass over
-- everything that is done.
CREATE INDEX task_waiting ON task (project_id, kind, created_at, id) WHERE open_slots > 0;

DROP INDEX task_open;
