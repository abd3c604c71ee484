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

/// A whole text as a row has it, maybe as JSON, in the one spelling.
pub(super) fn spelt(body: &str) -> String {
    match serde_json::from_str(body) {
        Ok(mut json @ (Value::Array(_) | Value::Object(_))) => {
            spell(&mut json);
            json.to_string()
        }
        _ => PlainSpelling::of(body).spelt().to_owned(),
    }
}

fn spell(json: &mut Value) {
    match json {
        Value::String(text) => *text = PlainSpelling::of(text).spelt().to_owned(),
        Value::Array(values) => values.iter_mut().for_each(spell),
        Value::Object(fields) => fields.values_mut().for_each(spell),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
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
