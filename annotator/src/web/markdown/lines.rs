//! What stands at a place of a line: markers, fences, runs of a sign.

use std::collections::HashMap;

/// The last place of every length of a run of backticks: a run with none behind it opens no code.
pub(super) fn last_ticks(source: &str) -> HashMap<usize, usize> {
    let mut last = HashMap::new();
    let mut at = 0;
    while let Some(found) = source[at..].find('`') {
        let n = run(source, at + found, b'`');
        last.insert(n, at + found);
        at += found + n;
    }
    last
}

/// How often a byte stands at a place.
pub(super) fn run(source: &str, at: usize, byte: u8) -> usize {
    source.as_bytes()[at..].iter().take_while(|each| **each == byte).count()
}

/// Letters of scripts that put blanks between words, and digits: elsewhere stars inside of a sentence
/// are meant.
pub(super) fn is_of_a_word(letter: char) -> bool {
    letter.is_alphanumeric() && letter < '\u{0E00}'
}

/// `$10, or 20$ a day` is no formula.
pub(super) fn is_a_price(latex: &str) -> bool {
    let is_word = |word: &str| word.len() > 1 && word.chars().all(char::is_alphabetic);
    latex.starts_with(|first: char| first.is_ascii_digit()) && latex.split_whitespace().any(is_word)
}

pub(super) fn is_blank_line(rest: &str) -> bool {
    rest.trim_start_matches([' ', '\t', '\r']).starts_with('\n')
}

/// The length of a marker of a quote or of a list's item.
pub(super) fn marker(rest: &str) -> usize {
    let digits = rest.bytes().take(10).take_while(u8::is_ascii_digit).count();
    let (n, needs_blank) = match rest.as_bytes().get(digits) {
        Some(b'>') if digits == 0 => (1, false),
        Some(b'-' | b'+' | b'*') if digits == 0 => (1, true),
        Some(b'.' | b')') if digits > 0 => (digits + 1, true),
        _ => return 0,
    };
    let is_marker = !needs_blank || rest[n..].starts_with([' ', '\t', '\n', '\r']);
    if is_marker { n } else { 0 }
}

/// Where the code ends that a fence opens here; the end of the text when nothing closes it.
pub(super) fn fence_end(rest: &str) -> Option<usize> {
    let sign = rest.bytes().next().filter(|sign| matches!(sign, b'`' | b'~'))?;
    let n = run(rest, 0, sign);
    let mut lines = rest.split_inclusive('\n');
    let first = lines.next()?;
    if n < 3 || (sign == b'`' && first[n..].contains('`')) {
        return None;
    }
    let mut end = first.len();
    for line in lines {
        let inner = line.trim_start_matches([' ', '\t', '>']);
        let closing = run(inner, 0, sign);
        if closing >= n && inner[closing..].trim().is_empty() {
            return Some(end);
        }
        end += line.len();
    }
    Some(end)
}

/// `[name]: …`, which would be shown nowhere.
pub(super) fn defines_a_link(rest: &str) -> bool {
    let Some(inner) = rest.strip_prefix('[') else { return false };
    inner.find(['[', ']', '\n']).is_some_and(|at| inner[at..].starts_with("]:"))
}
