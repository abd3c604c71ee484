//! Holds the Fluent files together.

use crate::support::binaries::root;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

/// Messages that are the same in both languages: names and signs.
const SAME_IN_BOTH: &[&str] = &[
    "app-name",
    "at-path",
    "checkpoint-differs-in",
    "count-ones",
    "one-after-another",
    "quoted",
    "setting-problem",
    "what-because-why",
];

/// The messages and attributes (`key.attribute`) of one language, from all its files.
fn messages(language: &str) -> BTreeMap<String, String> {
    let mut messages = BTreeMap::new();
    let folder = root().join("annotator/locales").join(language);
    for entry in std::fs::read_dir(&folder).expect("the language's folder").flatten() {
        let text = std::fs::read_to_string(entry.path()).expect("a text");
        for (key, value) in parse(&text) {
            assert!(messages.insert(key.clone(), value).is_none(), "{language} says {key} twice");
        }
    }
    assert!(messages.len() > 50, "{language} has only {} messages", messages.len());
    messages
}

/// Key and value of every message; lines that begin with a space belong to what is above.
fn parse(text: &str) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let is_key = |name: &str| {
            !name.is_empty()
                && name
                    .chars()
                    .all(|letter| letter.is_ascii_alphanumeric() || "-_".contains(letter))
        };
        match line.split_once('=') {
            Some((name, value))
                if !line.starts_with(' ') && is_key(name.trim().trim_start_matches('-')) =>
            {
                found.push((name.trim().to_owned(), value.trim().to_owned()));
            }
            _ => {
                if let Some((_, value)) = found.last_mut() {
                    value.push('\n');
                    value.push_str(line.trim());
                }
            }
        }
    }
    found.into_iter().map(|(key, value)| (key, value.trim().to_owned())).collect()
}

/// Everything in the program that could name a message.
fn sources() -> String {
    fn read(folder: &Path, all: &mut String) {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            match path.extension().and_then(|extension| extension.to_str()) {
                _ if path.is_dir() => read(&path, all),
                Some("rs" | "html" | "js") => {
                    all.push_str(&std::fs::read_to_string(&path).expect("a text"));
                }
                _ => {}
            }
        }
    }
    let mut all = String::new();
    let folders = ["annotator/src", "templates", "trainer/base/src", "trainer/src", "migrations"];
    folders.iter().for_each(|folder| read(&root().join(folder), &mut all));
    all.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

#[test]
fn both_languages_say_the_same_things() {
    let (english, russian) = (messages("en"), messages("ru"));
    let keys =
        |messages: &BTreeMap<String, String>| messages.keys().cloned().collect::<BTreeSet<_>>();
    let (in_english, in_russian) = (keys(&english), keys(&russian));
    let only: Vec<_> = in_english.symmetric_difference(&in_russian).collect();
    assert!(only.is_empty(), "said in one language alone: {only:?}");
}

#[test]
fn both_languages_take_the_same_arguments() {
    let (english, russian) = (messages("en"), messages("ru"));
    for (key, text) in &english {
        assert_eq!(arguments(text), arguments(&russian[key]), "{key}");
    }
}

fn arguments(text: &str) -> BTreeSet<&str> {
    let name =
        |rest: &'_ str| rest.find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    text.split('$').skip(1).map(|rest| &rest[..name(rest).unwrap_or(rest.len())]).collect()
}

#[test]
fn every_message_is_used() {
    let sources = sources();
    let quoted: BTreeSet<&str> = sources.split('"').collect();
    let english = messages("en");
    let referred: String = english.values().cloned().collect::<Vec<_>>().join("\n");
    let unused: Vec<_> = english
        .keys()
        .filter(|key| !quoted.contains(key.as_str()) && !referred.contains(&format!("{{ {key} }}")))
        .collect();
    assert!(unused.is_empty(), "nobody says: {unused:?}");
}

#[test]
fn every_message_that_is_asked_for_is_there() {
    let english = messages("en");
    for rest in sources().split("page.text(\"").skip(1) {
        let key = rest.split('"').next().unwrap_or_default();
        assert!(english.contains_key(key), "{key} is asked for and nowhere said");
    }
}

/// A `message!` of the sources: a key, and the English text that goes with it.
struct Told {
    key: String,
    english: String,
    arguments: BTreeSet<String>,
}

/// Every `message!("key", "text {argument}", argument = …)`.
fn told(sources: &str) -> Vec<Told> {
    let found = sources.split("message!(").skip(1).filter_map(|rest| {
        let (key, rest) = literal(rest)?;
        let (text, _) = literal(rest.trim_start().strip_prefix(',')?)?;
        let arguments = named(&text).into_iter().map(str::to_owned).collect();
        Some(Told { key, english: in_fluent(&text), arguments })
    });
    found.collect()
}

/// A string literal at the beginning, and what follows it.
fn literal(source: &str) -> Option<(String, &str)> {
    let source = source.trim_start().strip_prefix('"')?;
    let mut text = String::new();
    let mut letters = source.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return Some((text, &source[at + 1..])),
            '\\' => text.push(letters.next()?.1),
            _ => text.push(letter),
        }
    }
    None
}

/// The arguments that a text names: `{path}`; `{{` is a bracket.
fn named(text: &str) -> Vec<&str> {
    let is_name = |part: &&str| part.chars().all(|c| c.is_ascii_lowercase() || c == '_');
    let parts = text.split('{').skip(1).filter_map(|part| part.split_once('}'));
    parts.map(|(name, _)| name).filter(|name| !name.is_empty() && is_name(name)).collect()
}

/// The text as a Fluent file has it.
fn in_fluent(text: &str) -> String {
    let mut fluent = text.replace("{{", "\u{1}").replace("}}", "\u{2}");
    for name in named(text) {
        fluent = fluent.replace(&format!("{{{name}}}"), &format!("{{ ${name} }}"));
    }
    fluent.replace('\u{1}', "{\"{\"}").replace('\u{2}', "{\"}\"}")
}

#[test]
fn what_programs_say_stands_in_the_english_file_as_in_their_sources() {
    let (english, russian) = (messages("en"), messages("ru"));
    let told = told(&sources());
    assert!(told.len() > 150, "only {} messages were found", told.len());
    for Told { key, english: text, arguments: taken } in told {
        let Some(fluent) = english.get(&key) else { panic!("nobody translates {key}: {text}") };
        assert_eq!(*fluent, text, "{key}");
        let taken: BTreeSet<&str> = taken.iter().map(String::as_str).collect();
        assert_eq!(arguments(&russian[&key]), taken, "{key}");
    }
}

#[test]
fn messages_are_found_in_sources() {
    let source = r#"bail!(message!(
        "row-no-object",
        "not {{\"a\": {what}}} of {file}",
        what = 1,
        file = path.display()
    )); message!("empty", "nothing")"#;
    let told = told(source);
    assert_eq!(told.len(), 2);
    assert_eq!(told[0].english, "not {\"{\"}\"a\": { $what }{\"}\"} of { $file }");
    assert_eq!((told[1].key.as_str(), told[1].english.as_str()), ("empty", "nothing"));
}

#[test]
fn the_russian_is_russian() {
    let english = messages("en");
    for (key, text) in messages("ru") {
        let is_same = english.get(&key) == Some(&text);
        assert!(is_same == SAME_IN_BOTH.contains(&key.as_str()), "{key}: {text}");
    }
}

#[test]
fn fluent_files_are_read_as_fluent_reads_them() {
    let text = "# a comment\n-brand = Attune\nhello = Hello, { $name }!\n    again\nmany =\n    { $n ->\n        [one] one\n       *[other] many\n    }\n";
    let parsed = parse(text);
    let keys: Vec<&str> = parsed.iter().map(|(key, _)| key.as_str()).collect();
    assert_eq!(keys, ["-brand", "hello", "many"]);
    assert_eq!(parsed[1].1, "Hello, { $name }!\nagain");
    assert_eq!(arguments(&parsed[2].1), BTreeSet::from(["n"]));
}
