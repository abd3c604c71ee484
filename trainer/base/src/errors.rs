//! Errors that keep the key of what they say, so that a page can say it in its reader's language.
//!
//! A [`KeyedMessage`] is an error itself: `bail!(message!(…))`, `ensure!(…, message!(…))`.
//! [`WithMessage`] puts one before what went wrong, as `anyhow::Context` puts a text there; behind a
//! text the message would be found no more.

use entity::{json_problem, message, message::KeyedMessage};
use std::{
    error::Error,
    fmt, io,
    panic::{self, AssertUnwindSafe},
    path::Path,
};

/// Says what could not be done, before why.
pub trait WithMessage<T> {
    fn with_message(self, message: impl FnOnce() -> KeyedMessage) -> anyhow::Result<T>;
}

impl<T, E: Into<anyhow::Error>> WithMessage<T> for Result<T, E> {
    fn with_message(self, message: impl FnOnce() -> KeyedMessage) -> anyhow::Result<T> {
        self.map_err(|why| CausedError { message: message(), why: why.into() }.into())
    }
}

impl<T> WithMessage<T> for Option<T> {
    fn with_message(self, message: impl FnOnce() -> KeyedMessage) -> anyhow::Result<T> {
        self.ok_or_else(|| message().into())
    }
}

#[derive(Debug)]
struct CausedError {
    message: KeyedMessage,
    why: anyhow::Error,
}

impl fmt::Display for CausedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.message.fmt(f)
    }
}

impl Error for CausedError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(self.why.as_ref())
    }
}

/// The whole error: its text is that of `{error:#}`.
pub fn message_of(error: &anyhow::Error) -> KeyedMessage {
    let mut links = error.chain().map(own_message).collect::<Vec<_>>().into_iter().rev();
    let root = links.next().unwrap_or_else(|| KeyedMessage::technical(error.to_string()));
    links.fold(root, |why, what| what.because(why))
}

/// What is at the bottom of the error.
pub fn root_message(error: &anyhow::Error) -> KeyedMessage {
    own_message(error.root_cause())
}

/// What one link of the chain says.
fn own_message(link: &(dyn Error + 'static)) -> KeyedMessage {
    if let Some(message) = link.downcast_ref::<KeyedMessage>() {
        message.clone()
    } else if let Some(caused) = link.downcast_ref::<CausedError>() {
        caused.message.clone()
    } else if let Some(error) = link.downcast_ref::<io::Error>() {
        error.into()
    } else if let Some(error) = link.downcast_ref::<serde_json::Error>() {
        json_problem::in_a_file(error)
    } else {
        KeyedMessage::technical(link.to_string())
    }
}

/// What a library's reader panics about is an error of what it reads: files come from anywhere.
pub fn without_panic<T>(read: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
    panic::catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|_| {
        Err(message!("reader-gave-up", "it contradicts itself, and its reader gave up").into())
    })
}

pub fn cannot_read(path: &Path) -> KeyedMessage {
    message!("cannot-read", "cannot read {path}", path = path.display())
}

pub fn cannot_write(path: &Path) -> KeyedMessage {
    message!("cannot-write", "cannot write {path}", path = path.display())
}

pub fn cannot_make(path: &Path) -> KeyedMessage {
    message!("cannot-make", "cannot make {path}", path = path.display())
}

pub fn is_damaged(path: &Path) -> KeyedMessage {
    message!("file-damaged", "{path} is damaged", path = path.display())
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::{Context, anyhow};
    use std::fs;

    #[test]
    fn a_message_is_found_behind_others_and_the_text_is_the_whole_chain() {
        let refused = || -> anyhow::Result<()> {
            fs::read("/nowhere/at/all").with_message(|| cannot_read(Path::new("/nowhere")))?;
            Ok(())
        };
        let error = refused()
            .with_message(|| message!("data-no-rows", "{file} has no rows", file = "a.jsonl"))
            .unwrap_err();
        let message = message_of(&error);
        assert_eq!(message.text, format!("{error:#}"));
        let because = message!("cannot-read", "cannot read {path}", path = "/nowhere")
            .because(KeyedMessage::from(&io::Error::from_raw_os_error(2)));
        let whole = message!("data-no-rows", "{file} has no rows", file = "a.jsonl");
        assert_eq!(message, whole.because(because));
        assert_eq!(root_message(&error).key.as_deref(), Some("system-not-found"));
    }

    #[test]
    fn what_has_no_key_keeps_its_words() {
        let error = anyhow!("boom").context("while it ran");
        let message = message_of(&error);
        assert_eq!(message.text, "while it ran: boom");
        assert_eq!(
            message,
            KeyedMessage::technical("while it ran").because(KeyedMessage::technical("boom"))
        );
        assert_eq!(None::<()>.context("nothing").unwrap_err().to_string(), "nothing");
    }
}
