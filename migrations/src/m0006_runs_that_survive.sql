-- How often a run was begun without getting any further.

ALTER TABLE run ADD COLUMN fruitless_attempts integer NOT NULL DEFAULT 0;

ALTER TABLE run ADD COLUMN furthest_step bigint NOT NULL DEFAULT 0;
