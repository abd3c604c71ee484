-- Why a run failed, with the key and the arguments from which a page says it in the reader's language.
ALTER TABLE run ADD COLUMN error_message {json};
