//! Every text that people read is in `locales/{en,ru}/*.ftl` (Fluent). A template writes
//! `{{ page.text("key") }}`, and with arguments `{{ page.text("key").arg("n", n) }}`.

use actix_web::{HttpRequest, cookie::Cookie, http::header};
use entity::{
    account,
    message::{KeyedMessage, MessageArgument},
};
use fluent_bundle::{FluentArgs, FluentResource, FluentValue, concurrent::FluentBundle};
use rust_embed::RustEmbed;
use std::{fmt, sync::LazyLock};
use unic_langid::LanguageIdentifier;

/// The cookie that keeps the language of a browser nobody is signed in on.
pub const LANGUAGE_COOKIE: &str = "attune_language";

#[derive(RustEmbed)]
#[folder = "locales/"]
struct Locales;

/// A language the app speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Language {
    English,
    Russian,
}

impl Language {
    pub const ALL: [Self; 2] = [Self::English, Self::Russian];

    /// The code in `account.language`, in the cookie and in `<html lang>`.
    pub fn code(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Russian => "ru",
        }
    }

    /// Its name in itself.
    pub fn own_name(self) -> &'static str {
        match self {
            Self::English => "English",
            Self::Russian => "Русский",
        }
    }

    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|language| language.code() == code)
    }

    /// The language of whoever sent a request.
    pub fn of(request: &HttpRequest, account: Option<&account::Model>) -> Self {
        let cookie = request.cookie(LANGUAGE_COOKIE);
        let accept =
            request.headers().get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
        Self::choose(account, cookie.as_ref().map(Cookie::value), accept)
    }

    /// What the person chose, else what this browser chose, else what the browser prefers.
    pub fn choose(
        account: Option<&account::Model>,
        cookie: Option<&str>,
        accept: Option<&str>,
    ) -> Self {
        account
            .and_then(|account| account.language.as_deref())
            .and_then(Self::from_code)
            .or_else(|| cookie.and_then(Self::from_code))
            .or_else(|| accept.and_then(Self::from_accept_language))
            .unwrap_or(Self::English)
    }

    /// The language of ours that an `Accept-Language` header puts first.
    fn from_accept_language(header: &str) -> Option<Self> {
        let mut wishes: Vec<(f32, Self)> = header
            .split(',')
            .filter_map(|wish| {
                let (tag, quality) = wish.trim().split_once(";q=").unwrap_or((wish.trim(), "1"));
                let primary = tag.split('-').next()?.to_ascii_lowercase();
                Some((quality.trim().parse().ok()?, Self::from_code(&primary)?))
            })
            .filter(|(quality, _)| *quality > 0.0)
            .collect();
        wishes.sort_by(|(a, _), (b, _)| b.total_cmp(a));
        wishes.first().map(|(_, language)| *language)
    }

    fn bundle(self) -> &'static FluentBundle<FluentResource> {
        match self {
            Self::English => &ENGLISH,
            Self::Russian => &RUSSIAN,
        }
    }

    /// The message of that key. A missing key shows itself, and is logged.
    pub fn text(self, key: &str) -> FluentText<'_> {
        FluentText { language: self, key, args: FluentArgs::new() }
    }

    /// A number that is written with a point, as this language writes it; another text as it is.
    pub fn decimal(self, text: &str) -> String {
        let is_number = text.contains('.') && text.parse::<f64>().is_ok();
        if self == Self::Russian && is_number { text.replace('.', ",") } else { text.to_owned() }
    }

    /// What a program said, in this language. Without a key, or with the key or the arguments of a
    /// program of another version, it is the English text that came with them.
    pub fn say(self, message: &KeyedMessage) -> String {
        self.translation(message).unwrap_or_else(|| message.text.clone())
    }

    fn translation(self, message: &KeyedMessage) -> Option<String> {
        let bundle = self.bundle();
        let pattern = bundle.get_message(message.key.as_deref()?)?.value()?;
        let mut args = FluentArgs::new();
        for (name, value) in &message.args {
            args.set(name.as_str(), self.value(value));
        }
        let mut errors = Vec::new();
        let text = bundle.format_pattern(pattern, Some(&args), &mut errors).into_owned();
        errors.is_empty().then_some(text)
    }

    fn value(self, argument: &MessageArgument) -> FluentValue<'static> {
        match argument {
            MessageArgument::Number(number) => match number.as_i64() {
                Some(whole) => FluentValue::from(whole),
                None => FluentValue::from(number.as_f64().unwrap_or(f64::NAN)),
            },
            MessageArgument::Text(text) => FluentValue::from(self.decimal(text)),
            MessageArgument::Message(message) => FluentValue::from(self.say(message)),
        }
    }
}

static ENGLISH: LazyLock<FluentBundle<FluentResource>> = LazyLock::new(|| load("en"));
static RUSSIAN: LazyLock<FluentBundle<FluentResource>> = LazyLock::new(|| {
    let mut bundle = load("ru");
    bundle.set_formatter(Some(|value, _| match value {
        FluentValue::Number(number) => Some(Language::Russian.decimal(&number.as_string())),
        _ => None,
    }));
    bundle
});

fn load(code: &str) -> FluentBundle<FluentResource> {
    let id: LanguageIdentifier = code.parse().expect("\"en\" and \"ru\" are language tags");
    let mut bundle = FluentBundle::new_concurrent(vec![id]);
    // HTML has its own means against mixed directions, and tests compare texts.
    bundle.set_use_isolating(false);
    for path in Locales::iter().filter(|path| path.starts_with(&format!("{code}/"))) {
        let file = Locales::get(&path).expect("an embedded file is there");
        let source = String::from_utf8_lossy(&file.data).into_owned();
        let resource = FluentResource::try_new(source).unwrap_or_else(|(resource, errors)| {
            tracing::error!(%path, ?errors, "a Fluent file has errors");
            resource
        });
        if let Err(errors) = bundle.add_resource(resource) {
            tracing::error!(%path, ?errors, "a Fluent key is given twice");
        }
    }
    bundle
}

/// A message on its way to the page; arguments are added with [`FluentText::arg`].
pub struct FluentText<'a> {
    language: Language,
    key: &'a str,
    args: FluentArgs<'a>,
}

impl<'a> FluentText<'a> {
    /// Adds an argument: a number, for plurals and number formats, or a text.
    #[must_use]
    pub fn arg(mut self, name: &'a str, value: impl FluentArgument) -> Self {
        self.args.set(name, value.to_fluent());
        self
    }
}

impl fmt::Display for FluentText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bundle = self.language.bundle();
        let Some(pattern) = bundle.get_message(self.key).and_then(|message| message.value()) else {
            tracing::error!(key = self.key, language = self.language.code(), "no such text");
            return f.write_str(self.key);
        };
        let mut errors = Vec::new();
        let text = bundle.format_pattern(pattern, Some(&self.args), &mut errors);
        if !errors.is_empty() {
            tracing::error!(key = self.key, ?errors, "a text could not be formatted");
        }
        f.write_str(&text)
    }
}

/// What a template can pass to a message.
pub trait FluentArgument {
    fn to_fluent(&self) -> FluentValue<'static>;
}

impl FluentArgument for str {
    fn to_fluent(&self) -> FluentValue<'static> {
        FluentValue::from(self.to_owned())
    }
}

impl FluentArgument for String {
    fn to_fluent(&self) -> FluentValue<'static> {
        FluentValue::from(self.clone())
    }
}

impl<T: FluentArgument + ?Sized> FluentArgument for &T {
    fn to_fluent(&self) -> FluentValue<'static> {
        (**self).to_fluent()
    }
}

macro_rules! numbers {
    ($($number:ty),*) => {$(
        impl FluentArgument for $number {
            fn to_fluent(&self) -> FluentValue<'static> {
                FluentValue::from(*self)
            }
        }
    )*};
}

numbers!(i32, i64, u32, u64, usize, f64);

#[cfg(test)]
mod tests {
    use super::*;
    use entity::{conversation::ChatMessage, json_problem};
    use serde_json::{Value, json};

    #[test]
    fn the_browsers_first_wish_that_we_speak_wins() {
        let choose = |header| Language::choose(None, None, Some(header));
        assert_eq!(choose("de, ru;q=0.8, en;q=0.7"), Language::Russian);
        assert_eq!(choose("ru;q=0.3, en-GB"), Language::English);
        assert_eq!(choose("ru-RU,ru;q=0.9"), Language::Russian);
        assert_eq!(choose("ru;q=0, fr"), Language::English);
    }

    #[test]
    fn the_cookie_goes_before_the_browsers_wish() {
        assert_eq!(Language::choose(None, Some("ru"), Some("en")), Language::Russian);
    }

    #[test]
    fn what_a_program_said_is_said_again_down_to_its_reason() {
        let why = KeyedMessage::from(&std::io::Error::from(std::io::ErrorKind::PermissionDenied));
        let message =
            entity::message!("cannot-read", "cannot read {path}", path = "/data/x").because(why);
        assert_eq!(Language::English.say(&message), "cannot read /data/x: Permission denied");
        assert_eq!(
            Language::Russian.say(&message),
            "не удалось прочитать /data/x: нет прав доступа"
        );
    }

    #[test]
    fn what_the_parser_and_the_system_say_is_said_in_russian() {
        let of_row = |row: &str| {
            json_problem::in_a_row(row.as_bytes(), &serde_json::from_str::<Value>(row).unwrap_err())
        };
        let of_value = |value: Value| {
            json_problem::in_a_value(
                &serde_json::from_value::<Vec<ChatMessage>>(value).unwrap_err(),
            )
        };
        let problems = [
            of_row("{"),
            of_row("{\"a\": 1, 2}"),
            of_row("[1, 2"),
            of_row("{\"a\": \"\u{1}\"}"),
            of_row("{\"a\": \"\\x\"}"),
            of_row("{\"a\": 01}"),
            of_row(&"[".repeat(200)),
            of_value(json!([{"role": "tool", "content": ""}])),
            of_value(json!([{"role": "user"}])),
            of_value(json!({"role": "user"})),
            KeyedMessage::from(&std::io::Error::from(std::io::ErrorKind::NotFound)),
        ];
        for problem in problems {
            let said = Language::Russian.say(&problem);
            let outside: String = said.split('`').step_by(2).collect();
            let latin = outside.chars().filter(char::is_ascii_alphabetic).count();
            assert!(latin == 0, "{said}");
            assert!(said.chars().any(|letter| ('а'..='я').contains(&letter)), "{said}");
        }
    }

    #[test]
    fn numbers_have_a_comma_in_russian_and_versions_do_not() {
        let message = |size: &str| {
            entity::message!("fetch-goes-on", "going on from {megabytes} MB", megabytes = size)
        };
        assert!(Language::Russian.say(&message("12.5")).contains("12,5"));
        assert!(Language::English.say(&message("12.5")).contains("12.5"));
        assert!(Language::Russian.say(&message("1.2.3")).contains("1.2.3"));
    }

    #[test]
    fn what_has_no_translation_here_stays_as_it_was_said() {
        let of_tomorrow = entity::message!("of-tomorrow", "it is {n} too early", n = 1);
        let other_arguments = entity::message!("cannot-read", "cannot read it");
        for message in [KeyedMessage::plain("boom"), of_tomorrow, other_arguments] {
            assert_eq!(Language::Russian.say(&message), message.text);
        }
    }

    #[test]
    fn a_russian_number_has_a_comma() {
        let text = Language::Russian.text("unit-gb").arg("n", 1.5).to_string();
        assert_eq!(text, "1,5 ГБ");
    }

    #[test]
    fn russian_plurals_take_three_forms() {
        let say = |n: u64| Language::Russian.text("tasks-waiting").arg("n", n).to_string();
        assert_ne!(say(1).replace('1', "n"), say(2).replace('2', "n"));
        assert_ne!(say(2).replace('2', "n"), say(5).replace('5', "n"));
    }
}
