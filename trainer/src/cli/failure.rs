//! How the program tells that it failed: one message on stderr, with what to do.

use crate::{answer::generate::NOT_NUMBERS, run::execute::VerbFailure};
use std::{
    any::Any,
    panic::{self, AssertUnwindSafe},
    process::ExitCode,
};

/// Prints the message and gives the exit code: 2 for usage, else 1.
pub(super) fn tell(failure: VerbFailure) -> ExitCode {
    let (message, code) = match failure {
        VerbFailure::Usage(message) => (message, 2),
        VerbFailure::Run(error) => (with_remedy(&format!("{error:#}")), 1),
        VerbFailure::Panic(message) => (message, 1),
    };
    eprintln!("error: {}", message.trim_end());
    ExitCode::from(code)
}

/// A full disk can be met wherever something is written.
fn with_remedy(message: &str) -> String {
    if message.contains("No space left on device") {
        format!(
            "{message}; the disk is full: free some space, or name another folder with --out. \
             The same command goes on from the last checkpoint"
        )
    } else {
        message.to_owned()
    }
}

/// Runs `work`; a panic, as tch makes of every refusal of libtorch, becomes a message.
pub(super) fn catching(work: impl FnOnce() -> Result<(), VerbFailure>) -> Result<(), VerbFailure> {
    if std::env::var_os("RUST_BACKTRACE").is_none() {
        panic::set_hook(Box::new(|_| {}));
    }
    panic::catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|payload| Err(VerbFailure::Panic(sentence(&panic_text(&*payload)))))
}

fn panic_text(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    text.or(payload.downcast_ref::<&str>().copied()).unwrap_or("no reason given").to_owned()
}

/// What a panic says, without libtorch's stack and with what to do.
fn sentence(text: &str) -> String {
    if text.starts_with(NOT_NUMBERS) {
        return text.to_owned();
    }
    let Some((_, refusal)) = text.split_once("Torch(\"") else {
        return format!(
            "the program broke off: {text}; this is a bug: set RUST_BACKTRACE=1 to see where"
        );
    };
    // C++ exceptions are followed by where they were raised; the text is escaped, as Debug does it.
    let refusal = refusal.split("\\nException raised from").next().unwrap_or(refusal);
    let refusal = refusal.trim_end_matches("\")").replace("\\n", " ").replace("\\\"", "\"");
    if ["out of memory", "not enough memory"].iter().any(|words| refusal.contains(words)) {
        format!(
            "libtorch ran out of memory: {refusal}; use a smaller --batch-size with more \
             --grad-accum, or a smaller --max-length"
        )
    } else {
        format!("libtorch refused: {refusal}; set RUST_BACKTRACE=1 to see where")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_of_libtorch_is_a_sentence_without_its_stack() {
        let text = r#"called `Result::unwrap()` on an `Err` value: Torch("mat1 and mat2 shapes cannot be multiplied (2x3 and 2x3)\nException raised from meta at ../aten/LinearAlgebra.cpp:1 (most recent call first):\n#0: c10")"#;
        assert_eq!(
            sentence(text),
            "libtorch refused: mat1 and mat2 shapes cannot be multiplied (2x3 and 2x3); \
             set RUST_BACKTRACE=1 to see where"
        );
        let text = r#"Torch("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes.")"#;
        assert!(sentence(text).contains("use a smaller --batch-size"));
    }
}
