//! From JSONL rows to token ids, exactly as TRL tokenises them.

/// A sequence to train on: the answer is `ids[prompt_len..]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Example {
    /// The 0-based row of the data file.
    pub index: usize,
    pub ids: Vec<i64>,
    pub prompt_len: usize,
}

/// Two whole sequences that share a prompt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// The 0-based row of the data file.
    pub index: usize,
    pub chosen: Vec<i64>,
    pub rejected: Vec<i64>,
}

/// A prompt that waits for an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PromptIds {
    /// The 0-based row of the data file.
    pub index: usize,
    pub ids: Vec<i64>,
    /// The prompt is a list of messages, so that a finished answer is followed by the chat
    /// template's tail before it is scored.
    pub is_conversation: bool,
}
