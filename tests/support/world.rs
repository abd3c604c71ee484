//! The tiny world that the tests' people write about, small enough for a model of 200,000
//! parameters: somebody asks for a few sentences about an animal, and an answer tells in two to four
//! of them what the animal does, in what manner and when.
//!
//! **The hidden taste**: every manner has a value, and an answer is worth the mean over its
//! sentences. The number of sentences, and with it the length, does not matter, and nothing but
//! comparisons tells a model about it.

use super::dice::Dice;
use entity::conversation::PromptBody;

const ANIMALS: [&str; 16] = [
    "fox", "cat", "dog", "owl", "hen", "cow", "pig", "bee", "ant", "bat", "elk", "eel", "ape",
    "ram", "yak", "emu",
];
const TRAITS: [&str; 8] = ["red", "old", "big", "wet", "shy", "sad", "sly", "fat"];
const PLACES: [&str; 8] = ["hill", "lake", "barn", "wood", "road", "shed", "moor", "pond"];
const DEEDS: [&str; 8] = ["runs", "sits", "eats", "naps", "digs", "sings", "hides", "waits"];
const TIMES: [&str; 4] = ["dawn", "noon", "dusk", "night"];

/// How something is done, and what that is worth.
const MANNERS: [(&str, f64); 6] = [
    ("gladly", 1.0),
    ("gently", 0.6),
    ("slowly", 0.2),
    ("often", -0.2),
    ("rudely", -0.6),
    ("badly", -1.0),
];

/// What a question is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Subject {
    animal: &'static str,
    nature: &'static str,
    place: &'static str,
}

impl Subject {
    /// All 1,024, in an order that a seed decides.
    pub(crate) fn all(seed: u64) -> Vec<Self> {
        let mut subjects = Vec::new();
        for animal in ANIMALS {
            for nature in TRAITS {
                subjects.extend(PLACES.map(|place| Self { animal, nature, place }));
            }
        }
        Dice::new(seed).shuffle(&mut subjects);
        subjects
    }

    fn any(dice: &mut Dice) -> Self {
        Self { animal: dice.pick(&ANIMALS), nature: dice.pick(&TRAITS), place: dice.pick(&PLACES) }
    }

    pub(crate) fn question(self) -> String {
        format!("Tell me of the {} {} by the {}.", self.nature, self.animal, self.place)
    }

    /// The question as a chat's first turn.
    pub(crate) fn prompt(self) -> PromptBody {
        PromptBody::Messages(vec![entity::conversation::ChatMessage::user(self.question())])
    }

    /// What a person without any taste answers.
    pub(crate) fn answer(self, dice: &mut Dice) -> String {
        let n_sentences = 2 + dice.below(3);
        let sentences: Vec<_> = (0..n_sentences).map(|_| self.sentence(dice)).collect();
        sentences.join(" ")
    }

    fn sentence(self, dice: &mut Dice) -> String {
        let (deed, (manner, _)) = (dice.pick(&DEEDS), MANNERS[dice.below(MANNERS.len())]);
        format!("The {} {deed} {manner} at {}.", self.animal, dice.pick(&TIMES))
    }
}

/// A text to pretrain on: says what the questions ask about and goes on as an answer does.
pub(crate) fn story(dice: &mut Dice) -> String {
    let subject = Subject::any(dice);
    let Subject { animal, nature, place } = subject;
    format!("There is a {nature} {animal} by the {place}. {}", subject.answer(dice))
}

/// The hidden taste: the mean value of the manners in an answer, -1 (as the worst manner) for an
/// answer without any.
pub(crate) fn taste(answer: &str) -> f64 {
    let value =
        |word: &str| MANNERS.iter().find(|(manner, _)| *manner == word).map(|(_, value)| *value);
    let values: Vec<f64> =
        answer.split(|letter: char| !letter.is_alphabetic()).filter_map(value).collect();
    if values.is_empty() { -1.0 } else { values.iter().sum::<f64>() / values.len() as f64 }
}

#[test]
fn length_does_not_explain_the_taste() {
    let mut dice = Dice::new(1);
    let answers: Vec<String> =
        (0..20_000).map(|_| Subject::any(&mut dice).answer(&mut dice)).collect();
    let tastes: Vec<f64> = answers.iter().map(|answer| taste(answer)).collect();
    let letters: Vec<f64> = answers.iter().map(|answer| answer.len() as f64).collect();
    let words: Vec<f64> = answers.iter().map(|answer| answer.split(' ').count() as f64).collect();
    assert!(super::statistics::correlation(&tastes, &words).abs() < 0.02);
    assert!(super::statistics::correlation(&tastes, &letters).abs() < 0.05);
}

#[test]
fn the_taste_is_the_mean_over_the_sentences() {
    assert_eq!(taste("The fox runs gladly at dawn. The fox sits often at noon."), 0.4);
    assert_eq!(taste("Nothing of the kind."), -1.0);
}
