//! Words as they may stand elsewhere: blanks set otherwise, or letters composed in another of Unicode's
//! forms. Both are the same words.

use serde_json::Value;
use std::{collections::BTreeSet, iter, ops::Range};
use unicode_normalization::{UnicodeNormalization, char::canonical_combining_class};

/// An ASCII word of so many letters is told from most others, and alike in every form.
const TELLING: usize = 5;

/// A text, written in the one way in which whatever is alike is the same.
pub(super) struct PlainSpelling {
    spelt: String,
    /// Where each letter begins in `spelt`, and what it stands for in the text.
    letters: Vec<(usize, Range<usize>)>,
}

impl PlainSpelling {
    pub(super) fn of(text: &str) -> Self {
        let mut letters: Vec<(char, Range<usize>)> = Vec::new();
        for (start, letter) in text.char_indices() {
            let place = start..start + letter.len_utf8();
            for part in iter::once(letter).nfkd() {
                let part = if part.is_whitespace() { ' ' } else { part };
                match letters.last_mut() {
                    Some((' ', blanks)) if part == ' ' => blanks.end = place.end,
                    _ => letters.push((part, place.clone())),
                }
            }
        }
        // Marks of one letter stand in an order of their own.
        let class = |(letter, _): &(char, Range<usize>)| canonical_combining_class(*letter);
        for marks in letters.chunk_by_mut(|one, next| class(one) != 0 && class(next) != 0) {
            marks.sort_by_key(class);
        }
        let mut spelt = String::with_capacity(text.len());
        let mut placed = Vec::with_capacity(letters.len());
        for (letter, place) in letters {
            placed.push((spelt.len(), place));
            spelt.push(letter);
        }
        Self { spelt, letters: placed }
    }

    /// Without blanks around it.
    pub(super) fn spelt(&self) -> &str {
        self.spelt.trim_matches(' ')
    }

    /// Where words stand in the text that were spelt so.
    pub(super) fn places(&self, words: &str) -> Vec<Range<usize>> {
        let letter_at = |at: usize| self.letters.partition_point(|(start, _)| *start < at);
        let places = self.spelt.match_indices(words).filter_map(|(at, found)| {
            let found = &self.letters[letter_at(at)..letter_at(at + found.len())];
            let start = found.iter().map(|(_, place)| place.start).min()?;
            Some(start..found.iter().map(|(_, place)| place.end).max()?)
        });
        places.collect()
    }
}

/// A whole text as a row has it, to be compared with others: maybe as JSON.
pub(super) enum RowText {
    Plain(String),
    Json(Value),
}

impl RowText {
    pub(super) fn of(body: String) -> Self {
        match serde_json::from_str(&body) {
            Ok(json @ (Value::Array(_) | Value::Object(_) | Value::String(_))) => Self::Json(json),
            _ => Self::Plain(body),
        }
    }

    /// Whether two are the same but for blanks and how letters are composed. Most pairs are told apart
    /// by their first letters.
    pub(super) fn is_alike(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Plain(one), Self::Plain(other)) => letters(one).eq(letters(other)),
            (Self::Json(one), Self::Json(other)) => are_alike(one, other),
            _ => false,
        }
    }
}

fn are_alike(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::String(one), Value::String(other)) => letters(one).eq(letters(other)),
        (Value::Array(one), Value::Array(others)) => {
            one.len() == others.len()
                && one.iter().zip(others).all(|(one, other)| are_alike(one, other))
        }
        (Value::Object(one), Value::Object(others)) => {
            let alike = |(name, one): (&String, &Value)| {
                others.get(name).is_some_and(|other| are_alike(one, other))
            };
            one.len() == others.len() && one.iter().all(alike)
        }
        (one, other) => one == other,
    }
}

/// What [`PlainSpelling::spelt`] has, letter by letter.
fn letters(text: &str) -> impl Iterator<Item = char> {
    let mut letters = text.nfkd().peekable();
    let mut has_begun = false;
    iter::from_fn(move || {
        if letters.next_if(|letter| letter.is_whitespace()).is_some() {
            while letters.next_if(|letter| letter.is_whitespace()).is_some() {}
            if has_begun && letters.peek().is_some() {
                return Some(' ');
            }
        }
        has_begun = true;
        letters.next()
    })
}

/// A text in which large and small letters are the same, too.
pub(super) fn caseless(text: &str) -> String {
    letters(text).flat_map(char::to_uppercase).flat_map(char::to_lowercase).collect()
}

/// Whether words that were made [`caseless`] stand in a text as a row has it, maybe as JSON.
pub(super) fn holds(body: &str, words: &str) -> bool {
    fn says(json: &Value, words: &str) -> bool {
        match json {
            Value::String(text) => caseless(text).contains(words),
            Value::Array(values) => values.iter().any(|value| says(value, words)),
            Value::Object(fields) => fields.values().any(|value| says(value, words)),
            Value::Null | Value::Bool(_) | Value::Number(_) => false,
        }
    }
    caseless(body).contains(words)
        || serde_json::from_str(body).is_ok_and(|json: Value| says(&json, words))
}

/// Letters in a row, each large or small, as a database can look for them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct CaselessSign(Vec<BTreeSet<char>>);

/// So many letters in a row tell enough.
const LETTERS: usize = 40;

impl CaselessSign {
    /// For SQLite's `GLOB`.
    pub(super) fn glob(&self) -> String {
        let letter = |cases: &BTreeSet<char>| match cases.first() {
            Some(letter) if cases.len() == 1 && !"*?[".contains(*letter) => letter.to_string(),
            _ => format!("[{}]", cases.iter().collect::<String>()),
        };
        format!("*{}*", self.0.iter().map(letter).collect::<String>())
    }

    /// A regular expression for PostgreSQL.
    pub(super) fn regular(&self) -> String {
        let letter = |cases: &BTreeSet<char>| match cases.first() {
            Some(letter) if cases.len() == 1 && letter.is_ascii_punctuation() => {
                format!("\\{letter}")
            }
            Some(letter) if cases.len() == 1 => letter.to_string(),
            _ => format!("[{}]", cases.iter().collect::<String>()),
        };
        self.0.iter().map(letter).collect()
    }
}

/// The same letter, large and small; none where that takes more than one letter, or where there are
/// more of it (σ and ς; s and ſ, and twice of it ß).
fn cases(letter: char) -> Option<BTreeSet<char>> {
    let only = |mut letters: Box<dyn Iterator<Item = char>>| {
        letters.next().filter(|_| letters.next().is_none())
    };
    let large = only(Box::new(letter.to_uppercase()))?;
    let small = only(Box::new(letter.to_lowercase()))?;
    let has_others = matches!(large, 'S' | 'Σ' | 'İ') || small == 'ı';
    (!has_others).then(|| BTreeSet::from([letter, large, small]))
}

/// What stands in every text that holds some words in whatever case, as one of these. None when
/// nothing is to be told: then every text is to be looked at.
pub(super) fn caseless_signs(words: &str) -> BTreeSet<CaselessSign> {
    let composed: String = words.nfc().collect();
    // ASCII is alike in every form; a mark after it would go with its last letter.
    let telling = longest_run(&composed, |letter| letter.is_ascii().then(|| cases(letter))?);
    if telling.len() >= TELLING {
        return BTreeSet::from([CaselessSign(telling)]);
    }
    let forms: [String; 4] =
        [composed, words.nfd().collect(), words.nfkc().collect(), words.nfkd().collect()];
    let runs = forms.iter().map(|form| longest_run(form, cases));
    let signs: BTreeSet<CaselessSign> = runs.map(CaselessSign).collect();
    if signs.iter().any(|sign| sign.0.is_empty()) { BTreeSet::new() } else { signs }
}

/// The longest run of letters without blanks and without what JSON writes otherwise.
fn longest_run(text: &str, cases: impl Fn(char) -> Option<BTreeSet<char>>) -> Vec<BTreeSet<char>> {
    let (mut longest, mut run) = (Vec::new(), Vec::new());
    for letter in text.chars().map(Some).chain([None]) {
        let is_told = |letter: &char| {
            !letter.is_whitespace() && !letter.is_control() && !matches!(letter, '"' | '\\')
        };
        match letter.filter(is_told).and_then(&cases) {
            Some(letter) if run.len() < LETTERS => run.push(letter),
            next => {
                if run.len() > longest.len() {
                    longest = std::mem::take(&mut run);
                }
                run = next.into_iter().collect();
            }
        }
    }
    longest
}

/// What stands in every text that is alike, as one of these: the word that tells most, which has no
/// blanks, in every form; also as JSON quotes it.
pub(super) fn signs(words: &str) -> BTreeSet<String> {
    let longest = |text: &str, fits: fn(&str) -> bool| {
        text.split_whitespace()
            .filter(|word| fits(word))
            .max_by_key(|word| word.len())
            .map(str::to_owned)
    };
    let telling = longest(words, |word| word.is_ascii() && word.len() >= TELLING);
    let forms: [String; 4] = [
        words.nfc().collect(),
        words.nfd().collect(),
        words.nfkc().collect(),
        words.nfkd().collect(),
    ];
    let signs: Vec<String> = match telling {
        Some(word) => vec![word],
        None => forms.iter().filter_map(|form| longest(form, |_| true)).collect(),
    };
    let quoted = |sign: &String| {
        let quoted = Value::from(sign.as_str()).to_string();
        quoted[1..quoted.len() - 1].to_owned()
    };
    signs.iter().map(quoted).chain(signs.iter().cloned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_held_in_whatever_case_and_form_and_within_json() {
        let words = caseless("  zo\u{eb}  STRASSE ");
        assert!(holds("Von Zoe\u{308} Stra\u{df}e her", &words));
        assert!(holds(r#"[{"role":"user","content":"ZO\u00cb\nstrasse"}]"#, &words));
        assert!(holds("\"Zo\u{cb}\\nStra\u{df}e\"", &words), "a prompt that is plain text");
        assert!(!holds("Zoe Stra\u{df}e", &words));
        assert_eq!(
            caseless("\u{3a3}\u{3bf}\u{3c6}\u{3cc}\u{3c2}"),
            caseless("\u{3c3}\u{3bf}\u{3c6}\u{3cc}\u{3c3}")
        );
    }

    #[test]
    fn texts_are_alike_that_differ_by_blanks_and_forms_alone() {
        let row = |body: &str| RowText::of(body.to_owned());
        let alike = |one: &str, other: &str| row(one).is_alike(&row(other));
        assert!(alike("Zo\u{eb}  trinkt\u{a0}Tee ", "\n Zoe\u{308} trinkt\r\n Tee"));
        assert!(!alike("Zo\u{eb} trinkt Tee", "Zoe trinkt Tee"));
        assert!(!alike("Zo\u{eb} trinkt Tee", "Zo\u{eb} trinkt Tee."));
        assert!(alike(
            r#"[{"role":"user","content":" a  b"}]"#,
            r#"[{"content":"a\nb ", "role":"user"}]"#
        ));
        assert!(!alike(
            r#"[{"role":"user","content":"a"}]"#,
            r#"[{"role":"user","content":"a"},1]"#
        ));
        assert!(!alike(r#"["a b"]"#, "a b"));
        for text in ["", " ", "\u{a8}x \u{fdfa}", "o\u{302}\u{323}  o\u{323}\u{302} \u{fb03}"] {
            assert_eq!(letters(text).collect::<String>(), PlainSpelling::of(text).spelt());
        }
    }

    #[test]
    fn a_database_looks_for_letters_large_and_small() {
        let signs = |words| caseless_signs(words).into_iter().collect::<Vec<_>>();
        let ascii = signs("at [no] Quxtrop*s");
        assert_eq!(ascii.len(), 1);
        assert_eq!(ascii[0].glob(), "*[Qq][Uu][Xx][Tt][Rr][Oo][Pp][*]*");
        assert_eq!(ascii[0].regular(), "[Qq][Uu][Xx][Tt][Rr][Oo][Pp]\\*");
        let globs: Vec<String> = signs("\u{451}\u{436}").iter().map(CaselessSign::glob).collect();
        assert_eq!(
            globs,
            ["*[\u{401}\u{451}][\u{416}\u{436}]*", "*[\u{415}\u{435}]\u{308}[\u{416}\u{436}]*"]
        );
        assert_eq!(signs("a\"\u{3c3}").len(), 1, "what JSON writes otherwise ends a run");
        assert!(signs("\u{3c3}").is_empty());
    }
}
