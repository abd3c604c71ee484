-- How often something was kept or sent on an assignment. Whoever stores a draft or an answer says which
-- version they knew, so that an old window does not write over what a newer one has stored.
ALTER TABLE assignment ADD COLUMN draft_version bigint NOT NULL DEFAULT 0;

-- Which window wrote the draft, and its how many-eth save that was: a window that did not hear that it was
-- stored (it went out of sight, the line broke) may go on, and a save of its own that comes late is no news.
ALTER TABLE draft ADD COLUMN written_by text NOT NULL DEFAULT '';

ALTER TABLE draft ADD COLUMN n_writes bigint NOT NULL DEFAULT 0;
