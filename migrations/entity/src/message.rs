//! A sentence for a person that both programs pass on: in English, and beside it the key and the
//! arguments from which a page says the same in the reader's language.

use serde::{Deserialize, Serialize};
use serde_json::Number;
use std::{collections::BTreeMap, error, fmt, io, path};

/// Said in full by [`Self::text`]; the key names a Fluent text of the web app, which takes the
/// arguments. Rows of older programs have the text alone, and are shown as they are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyedMessage {
    #[serde(rename = "message")]
    pub text: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub args: BTreeMap<String, MessageArgument>,
}

/// A part of the sentence that is the same in every language, or that has a key of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum MessageArgument {
    Number(Number),
    Text(String),
    Message(Box<KeyedMessage>),
}

/// A message with its English text: `message!("data-no-rows", "{file} has no rows", file = file.display())`.
///
/// The test of the texts reads these from the sources: the key and the sentence stand there as
/// literals, and the sentence names arguments only.
#[macro_export]
macro_rules! message {
    ($key:literal, $text:literal $(, $name:ident = $value:expr)* $(,)?) => {{
        $(let $name = &$value;)*
        $crate::message::KeyedMessage {
            text: ::std::format!($text),
            key: ::std::option::Option::Some(::std::string::String::from($key)),
            args: ::std::collections::BTreeMap::from([$((
                ::std::string::String::from(stringify!($name)),
                $crate::message::ToArgument::to_argument($name),
            )),*]),
        }
    }};
}

impl KeyedMessage {
    /// What has no key: a program's own words.
    pub fn plain(text: impl Into<String>) -> Self {
        Self { text: text.into(), key: None, args: BTreeMap::new() }
    }

    /// A text that is made elsewhere, with the key that says the same; see [`message!`] for others.
    pub fn keyed(key: &str, text: impl Into<String>) -> Self {
        Self { key: Some(key.to_owned()), ..Self::plain(text) }
    }

    /// With an argument of its key.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl ToArgument) -> Self {
        self.args.insert(name.to_owned(), value.to_argument());
        self
    }

    /// The words of a library or of the system, for which no translation is known.
    pub fn technical(text: impl Into<String>) -> Self {
        let text = text.into();
        message!("technical-detail", "{text}", text = text)
    }

    /// `self: why`, as errors are told with their causes.
    #[must_use]
    pub fn because(self, why: Self) -> Self {
        message!("what-because-why", "{what}: {why}", what = self, why = why)
    }

    /// One sentence after another.
    #[must_use]
    pub fn then(self, next: Self) -> Self {
        message!("one-after-another", "{first} {second}", first = self, second = next)
    }
}

impl fmt::Display for KeyedMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl error::Error for KeyedMessage {}

/// What the system says of a file or a connection; the usual reasons have keys, and so has an error
/// that was made of a message.
impl From<&io::Error> for KeyedMessage {
    fn from(error: &io::Error) -> Self {
        if let Some(message) = error.get_ref().and_then(|own| own.downcast_ref::<Self>()) {
            return message.clone();
        }
        use io::ErrorKind::{NotADirectory, NotFound, PermissionDenied, StorageFull};
        let key = match error.kind() {
            NotFound => "system-not-found",
            PermissionDenied => "system-no-permission",
            NotADirectory => "system-no-directory",
            StorageFull => "system-disk-full",
            _ => return Self::technical(error.to_string()),
        };
        Self::keyed(key, error.to_string())
    }
}

/// What a sentence can name.
pub trait ToArgument {
    fn to_argument(&self) -> MessageArgument;
}

impl<T: ToArgument + ?Sized> ToArgument for &T {
    fn to_argument(&self) -> MessageArgument {
        (**self).to_argument()
    }
}

impl ToArgument for KeyedMessage {
    fn to_argument(&self) -> MessageArgument {
        MessageArgument::Message(Box::new(self.clone()))
    }
}

macro_rules! texts {
    ($($text:ty),*) => {$(
        impl ToArgument for $text {
            fn to_argument(&self) -> MessageArgument {
                MessageArgument::Text(self.to_string())
            }
        }
    )*};
}

texts!(str, String, char, path::Display<'_>, fmt::Arguments<'_>);

macro_rules! numbers {
    ($($number:ty),*) => {$(
        impl ToArgument for $number {
            fn to_argument(&self) -> MessageArgument {
                MessageArgument::Number((*self).into())
            }
        }
    )*};
}

numbers!(u8, u16, u32, u64, usize, i32, i64);

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_message_of_an_older_program_is_its_text() {
        let old: KeyedMessage = serde_json::from_value(json!({"message": "no rows"})).unwrap();
        assert_eq!(old, KeyedMessage::plain("no rows"));
        assert_eq!(serde_json::to_value(&old).unwrap(), json!({"message": "no rows"}));
    }

    #[test]
    fn a_message_keeps_its_arguments_and_what_it_was_because_of() {
        let what = message!("data-line", "{file}, line {line}", file = "a.jsonl", line = 3_usize);
        let why = KeyedMessage::from(&io::Error::from(io::ErrorKind::NotFound));
        let both = what.because(why.clone());
        assert_eq!(both.to_string(), format!("a.jsonl, line 3: {why}"));
        let there_and_back: KeyedMessage =
            serde_json::from_str(&serde_json::to_string(&both).unwrap()).unwrap();
        assert_eq!(there_and_back, both);
        let MessageArgument::Message(what) = &both.args["what"] else { panic!("{both:?}") };
        assert_eq!(what.args["line"], MessageArgument::Number(3.into()));
        assert_eq!(both.args["why"], why.to_argument());
    }
}
