-- Deleted models and projects: their rows stay for the lineage, their files leave the disk.

ALTER TABLE model ADD COLUMN deleted_at bigint;

ALTER TABLE model ADD COLUMN deleted_by {id} REFERENCES account (id);

ALTER TABLE project ADD COLUMN deleted_at bigint;

ALTER TABLE project ADD COLUMN deleted_by {id} REFERENCES account (id);

ALTER TABLE project ADD COLUMN purged_at bigint;

-- Who needs an artifact, and which answers a model wrote.
CREATE INDEX model_artifact ON model (artifact_hash);

CREATE INDEX dataset_version_hash ON dataset_version (hash);

CREATE INDEX run_output ON run (output_hash);

CREATE INDEX completion_model ON completion (model_id);
