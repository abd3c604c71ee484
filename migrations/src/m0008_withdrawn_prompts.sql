-- Prompts that are asked no more: what was said of them stays.

ALTER TABLE prompt ADD COLUMN withdrawn_at bigint;

-- They are few, and every claim of a task leaves them out.
CREATE INDEX prompt_withdrawn ON prompt (project_id) WHERE withdrawn_at IS NOT NULL;
