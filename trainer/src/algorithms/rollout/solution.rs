//! Whether an answer comes to the solution that its prompt has: a result that can be compared, as in GSM8K
//! (Cobbe et al. 2021) and the exact match of lm-evaluation-harness. TRL's `accuracy_reward` also takes
//! equal formulas for the same; here they have to be written alike.

use regex::{Captures, Regex};
use std::sync::LazyLock;

/// What marks a result in GSM8K.
const MARK: &str = "####";

/// A number with its sign and what stands before it, such as a dollar.
static NUMBER: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"([-−+]?)(?:\\?\$)?([-−+]?)((?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?|\.\d+)")
        .expect("an expression")
});

/// A result that answers are held against.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Solution {
    /// In digits, without thousands separators and zeros that say nothing.
    Number(String),
    /// As it is written, without blanks around it.
    Words(String),
}

impl Solution {
    /// The result in the solution of a row: what stands in its last `\boxed{…}`, else behind its last `####`
    /// to the end of that line, else all of it. None where that is nothing.
    pub(super) fn of(text: &str) -> Option<Self> {
        let result = result_of(text);
        match whole_number(result) {
            Some(number) => Some(Self::Number(number)),
            None => (!result.is_empty()).then(|| Self::Words(result.to_owned())),
        }
    }

    /// Whether an answer comes to it. Of a number: what stands in the answer's last `\boxed{…}` is a number
    /// and the same; without a box the first number behind the last `####` is, if there is one there; else
    /// the last number of the answer. Thousands separators, a dollar and zeros at the ends do not count;
    /// powers, fractions and names with digits are no numbers. Of anything else: the answer's result, found
    /// as the solution's, is the same to the letter.
    pub(super) fn is_reached(&self, answer: &str) -> bool {
        match self {
            Self::Words(words) => result_of(answer) == words,
            Self::Number(number) => number_of(answer).as_ref() == Some(number),
        }
    }
}

fn result_of(text: &str) -> &str {
    let marked = || Some(text.rsplit_once(MARK)?.1.lines().next().unwrap_or_default());
    last_box(text).or_else(marked).unwrap_or(text).trim()
}

fn number_of(answer: &str) -> Option<String> {
    if let Some(boxed) = last_box(answer) {
        return whole_number(boxed);
    }
    let marked = answer.rsplit_once(MARK);
    let marked = marked.and_then(|(_, behind)| numbers(behind.lines().next()?).next());
    marked.or_else(|| numbers(answer).last())
}

/// What stands in the last box whose brackets are closed.
fn last_box(text: &str) -> Option<&str> {
    let inside = |(at, open): (usize, &str)| {
        let inside = &text[at + open.len()..];
        let mut depth = 1;
        let end = inside.char_indices().find(|(_, letter)| {
            depth += match letter {
                '{' => 1,
                '}' => -1,
                _ => 0,
            };
            depth == 0
        });
        Some(&inside[..end?.0])
    };
    text.rmatch_indices(r"\boxed{").find_map(inside)
}

/// The number that a text is, if it is one.
fn whole_number(text: &str) -> Option<String> {
    let text = text.trim();
    let text = text.strip_suffix('.').unwrap_or(text);
    let found = NUMBER.captures(text)?;
    (found.get(0)?.as_str() == text).then(|| normal(&found))
}

/// The numbers of a text that stand by themselves, in their order.
fn numbers(text: &str) -> impl Iterator<Item = String> {
    NUMBER.captures_iter(text).filter_map(|found| {
        let (all, digits) = (found.get(0)?, found.get(3)?);
        let before = text[..all.start()].chars().next_back();
        let behind = text[digits.end()..].chars().next();
        if behind.is_some_and(|letter| letter.is_numeric() || "/^".contains(letter)) {
            return None;
        }
        let is_signed = !found[1].is_empty() || !found[2].is_empty();
        match before {
            // Between two numbers or names there is a minus, and no sign.
            Some(letter) if is_signed && (letter.is_alphanumeric() || letter == ')') => {
                Some(unsigned(digits.as_str()))
            }
            Some(letter) if letter.is_alphanumeric() || "_/^.".contains(letter) => None,
            _ => Some(normal(&found)),
        }
    })
}

fn normal(found: &Captures) -> String {
    let number = unsigned(&found[3]);
    let is_negative = [&found[1], &found[2]].iter().any(|sign| ["-", "−"].contains(sign));
    if is_negative && number != "0" { format!("-{number}") } else { number }
}

/// Digits without thousands separators, without zeros at the front and at the end behind a point.
fn unsigned(digits: &str) -> String {
    let digits = digits.replace(',', "");
    let (whole, part) = digits.split_once('.').unwrap_or((&digits, ""));
    let (whole, part) = (whole.trim_start_matches('0'), part.trim_end_matches('0'));
    let whole = if whole.is_empty() { "0" } else { whole };
    if part.is_empty() { whole.to_owned() } else { format!("{whole}.{part}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reached(solution: &str, answer: &str) -> bool {
        Solution::of(solution).expect("a solution").is_reached(answer)
    }

    #[test]
    fn results_are_found_where_gsm8k_and_lm_evaluation_harness_find_them() {
        for (solution, answer, is_reached) in [
            // ANS_RE of openai/grade-school-math: "#### (\-?[0-9\.\,]+)", commas taken out.
            ("48 / 2 = 24\n48 + 24 = 72\n#### 72", "It is 72 in all.\n#### 72", true),
            ("#### 72", "#### 72 clips", true),
            ("#### 1,000", "#### 1000", true),
            ("#### 72", "72\n#### 27", false),
            // The flexible match of lm-evaluation-harness: the last number.
            ("72", "First 48, then 24, so the answer is 72.", true),
            ("72", "It is $72.00.", true),
            ("72", "72 and not 71", false),
            ("1000", "It costs 1,000 dollars", true),
            ("-3", "so x = -3", true),
            ("-3", "so x = −3", true),
            ("3", "it is 5-3", true),
            ("3", "so x = -3", false),
            ("0.5", "It is .50", true),
            ("42", "The box of \\boxed{42}", true),
            ("\\boxed{42}", "Of 100 it is \\boxed{42}, which is 42 %.", true),
            ("42", "\\boxed{41} rather than 42", false),
            ("42", "\\boxed{x = 42}", false),
            ("5", "They have 5kg", true),
            ("72", "", false),
            ("72", "seventy-two", false),
        ] {
            assert_eq!(reached(solution, answer), is_reached, "{solution:?}, {answer:?}");
        }
    }

    #[test]
    fn what_has_digits_and_is_no_number_by_itself_is_none() {
        for answer in ["1/2", "x2", "H2O", "2^2", "v1.2", "1,2345", "a_2"] {
            assert!(!reached("2", answer), "{answer}");
        }
        assert!(reached("2", "1, 2") && reached("2", "(2)") && reached("2", "**2**"));
        // A heading is no result: it has no number.
        assert!(reached("42", "#### The result\nSo it is 42."));
    }

    #[test]
    fn what_is_no_number_is_the_same_to_the_letter() {
        for (solution, answer, is_reached) in [
            ("Paris", " Paris\n", true),
            ("Paris", "paris", false),
            ("Paris", "It is Paris", false),
            ("#### Paris", "Where the tower is.\n#### Paris ", true),
            (r"\frac{1}{2}", r"so \boxed{\frac{1}{2}} it is", true),
            (r"\frac{1}{2}", r"so \boxed{0.5} it is", false),
            (r"\boxed{A}", r"\boxed{B}, no, \boxed{A}", true),
            // A box that nobody closed is none.
            ("A", r"\boxed{B} and \boxed{A", false),
            ("1/2", "1/2", true),
        ] {
            assert_eq!(reached(solution, answer), is_reached, "{solution:?}, {answer:?}");
        }
    }

    #[test]
    fn a_solution_without_a_result_is_none() {
        for text in ["", "  \n", "It is\n#### ", r"\boxed{ }"] {
            assert_eq!(Solution::of(text), None, "{text:?}");
        }
        assert_eq!(Solution::of("$1,250.50"), Some(Solution::Number("1250.5".into())));
        assert_eq!(Solution::of("-0.0"), Some(Solution::Number("0".into())));
        assert_eq!(Solution::of("007"), Some(Solution::Number("7".into())));
    }
}
