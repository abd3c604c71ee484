//! Whatever lies in a model folder, a wheel or a file of rows: files are broken at random, and the real
//! readers must end in time, without a panic, and in memory that the file warrants.
//!
//! Each reader is fuzzed in a process of its own, so that its memory can be measured. `ATTUNE_FUZZ=900`
//! goes on for as many seconds; `ATTUNE_FUZZ_SEED` repeats the rounds of another run.

mod broken;
mod gguf;
mod process;
mod rows;
mod template;
mod tokenizer;
mod weights;

/// What came of the rounds, to see that they get everywhere.
#[derive(Default, Debug)]
pub(crate) struct RoundTally {
    /// What was read to its end.
    pub(crate) n_read: u64,
    /// What was refused with a sentence.
    pub(crate) n_refused: u64,
}

impl RoundTally {
    /// Counts how a reader ended; a refusal has to say something.
    pub(crate) fn count<T, E: std::fmt::Display>(&mut self, ended: Result<T, E>) -> Option<T> {
        match ended {
            Ok(read) => {
                self.n_read += 1;
                Some(read)
            }
            Err(why) => {
                self.n_refused += 1;
                assert!(!why.to_string().trim().is_empty(), "it says nothing");
                None
            }
        }
    }
}

#[test]
fn weights_of_whatever_kind_are_read_or_refused() {
    process::fuzz("weights_of_whatever_kind_are_read_or_refused", weights::round);
}

#[test]
fn a_gguf_file_of_whatever_kind_is_read_or_refused() {
    process::fuzz("a_gguf_file_of_whatever_kind_is_read_or_refused", gguf::round);
}

#[test]
fn a_tokenizer_of_whatever_kind_is_read_or_refused() {
    process::fuzz("a_tokenizer_of_whatever_kind_is_read_or_refused", tokenizer::round);
}

#[test]
fn a_chat_template_of_whatever_kind_is_read_or_refused() {
    process::fuzz("a_chat_template_of_whatever_kind_is_read_or_refused", template::round);
}

#[test]
fn rows_of_whatever_kind_are_read_or_refused() {
    process::fuzz("rows_of_whatever_kind_are_read_or_refused", rows::round);
}
