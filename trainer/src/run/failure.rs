//! How the program tells that it failed: one message on stderr, with what to do, and for a program
//! that watches an event on stdout.

use super::reporter::print_json;
use crate::ffi::panic_text;
use entity::{message, message::KeyedMessage, report::RunReport};
use std::{
    panic::{self, AssertUnwindSafe},
    process::ExitCode,
};
use trainer_base::errors::message_of;

/// How a panic begins that is no bug: the weights came to this, and a person can do something.
pub(crate) const NOT_NUMBERS: &str = "the model's outputs are not numbers";

/// Why nothing came of a command.
#[derive(Debug)]
pub(crate) enum VerbFailure {
    /// The command line or its file is wrong; nothing was started.
    Usage(String),
    /// What was started did not work.
    Run(anyhow::Error),
    Panic(KeyedMessage),
}

impl From<anyhow::Error> for VerbFailure {
    fn from(error: anyhow::Error) -> Self {
        Self::Run(error)
    }
}

impl VerbFailure {
    /// What it says, with what to do.
    pub(crate) fn message(&self) -> KeyedMessage {
        match self {
            Self::Usage(text) => KeyedMessage::technical(text),
            Self::Run(error) => with_remedy(message_of(error)),
            Self::Panic(message) => message.clone(),
        }
    }

    /// Prints the message and gives the exit code: 2 for usage, else 1.
    pub(crate) fn tell(&self) -> ExitCode {
        eprintln!("error: {}", self.message().text.trim_end());
        ExitCode::from(if matches!(self, Self::Usage(_)) { 2 } else { 1 })
    }

    /// Says it to the program that watches, as the last line on stdout.
    pub(crate) fn report(&self) {
        // Whoever watched may be gone.
        let _ = print_json(&RunReport::Failed { message: self.message() });
    }
}

/// A full disk can be met wherever something is written.
fn with_remedy(message: KeyedMessage) -> KeyedMessage {
    if message.text.contains("No space left on device") {
        message!(
            "disk-full-while",
            "{what}; the disk is full: free some space, or name another place with --out, and start the same command again (a run of training goes on from its last checkpoint)",
            what = message
        )
    } else {
        message
    }
}

/// Runs `work`; a panic, as tch makes of every refusal of libtorch, becomes a message.
pub(crate) fn catching(work: impl FnOnce() -> Result<(), VerbFailure>) -> Result<(), VerbFailure> {
    if std::env::var_os("RUST_BACKTRACE").is_none() {
        panic::set_hook(Box::new(|_| {}));
    }
    panic::catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|payload| Err(VerbFailure::Panic(of_panic(&panic_text(&*payload)))))
}

/// What a panic says, without libtorch's stack and with what to do.
fn of_panic(text: &str) -> KeyedMessage {
    if text.starts_with(NOT_NUMBERS) {
        return KeyedMessage::keyed("model-no-numbers", text);
    }
    let Some((_, refusal)) = text.split_once("Torch(\"") else {
        return message!(
            "program-broke-off",
            "the program broke off: {text}; this is a bug: set RUST_BACKTRACE=1 to see where",
            text = KeyedMessage::technical(text)
        );
    };
    // C++ exceptions are followed by where they were raised; the text is escaped, as Debug does it.
    let refusal = refusal.split("\\nException raised from").next().unwrap_or(refusal);
    let refusal = refusal.trim_end_matches("\")").replace("\\n", " ").replace("\\\"", "\"");
    let is_memory =
        ["out of memory", "not enough memory"].iter().any(|words| refusal.contains(words));
    let refusal = KeyedMessage::technical(refusal);
    if is_memory {
        message!(
            "libtorch-out-of-memory",
            "libtorch ran out of memory: {refusal}; use --gradient-checkpointing true, a smaller --batch-size with more --grad-accum, or a smaller --max-length",
            refusal = refusal
        )
    } else {
        message!(
            "libtorch-refused",
            "libtorch refused: {refusal}; set RUST_BACKTRACE=1 to see where",
            refusal = refusal
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_of_libtorch_is_a_sentence_without_its_stack() {
        let text = r#"called `Result::unwrap()` on an `Err` value: Torch("mat1 and mat2 shapes cannot be multiplied (2x3 and 2x3)\nException raised from meta at ../aten/LinearAlgebra.cpp:1 (most recent call first):\n#0: c10")"#;
        assert_eq!(
            of_panic(text).text,
            "libtorch refused: mat1 and mat2 shapes cannot be multiplied (2x3 and 2x3); \
             set RUST_BACKTRACE=1 to see where"
        );
        let text = r#"Torch("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes.")"#;
        assert!(of_panic(text).text.contains("a smaller --batch-size"));
    }
}
