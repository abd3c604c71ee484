//! Simulated people at the real pages: they read what the page shows and send its forms.

use super::{
    dice::Dice,
    web::{Page, Visitor},
    world::{Subject, taste},
};

/// Differences in taste that a person does not see.
const INDIFFERENCE: f64 = 0.1;

/// How much a judgement varies from one time to the next.
const NOISE: f64 = 0.05;

/// How a simulated person compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Judging {
    ByTaste,
    /// As by taste, and then a coin decides which side is called better.
    ByCoin,
}

/// Writes answers until `enough` says so or nothing is left; how many.
pub(crate) async fn demonstrate(
    who: &Visitor,
    project: &str,
    seed: u64,
    enough: impl Fn(usize) -> bool,
) -> usize {
    let mut n_written = 0;
    let mut page = who.get(&format!("{project}/demonstrate")).await;
    while let (Some(subject), false) = (subject_of(&page), enough(n_written)) {
        // The dice depend on the question, so that the answers do not depend on who is fastest.
        let answer = subject.answer(&mut dice_for(seed, &subject.question()));
        page = who.submit(page.form(page.url.path()).with("answer", answer)).await;
        n_written += 1;
    }
    n_written
}

/// Compares until nothing is left; how many.
pub(crate) async fn compare(who: &Visitor, project: &str, seed: u64, judging: Judging) -> usize {
    let mut n_judged = 0;
    let mut page = who.get(&format!("{project}/compare")).await;
    while let Some([left, right]) = sides_of(&page) {
        let verdict = verdict(seed, judging, &left, &right);
        page = who.submit(page.form(page.url.path()).choosing("choice", verdict)).await;
        n_judged += 1;
    }
    n_judged
}

/// What the page asks about.
fn subject_of(page: &Page) -> Option<Subject> {
    let text = page.find_form(page.url.path()).map(|_| page.text())?;
    Subject::all(0).into_iter().find(|subject| text.contains(&subject.question()))
}

/// The two answers as shown.
fn sides_of(page: &Page) -> Option<[String; 2]> {
    page.texts(".side .prose").try_into().ok()
}

/// 1 (left much better) to 7 (right much better), or 0.
fn verdict(seed: u64, judging: Judging, left: &str, right: &str) -> u8 {
    if left == right {
        return 0;
    }
    let (first, second) = (left.min(right), left.max(right));
    let mut dice = dice_for(seed, &format!("{first}\n{second}"));
    // The noise belongs to the pair, not to its order.
    let noise = NOISE * dice.normal();
    let seen = taste(second) - taste(first) + noise;
    let towards_right = if (left, right) == (first, second) { seen } else { -seen };
    let towards_right = if judging == Judging::ByCoin && dice.below(2) == 0 {
        -towards_right
    } else {
        towards_right
    };
    let strength = match towards_right.abs() {
        small if small < INDIFFERENCE => return 0,
        slight if slight < 0.3 => 1,
        clear if clear < 0.7 => 2,
        _ => 3,
    };
    if towards_right > 0.0 { 4 + strength } else { 4 - strength }
}

/// Dice of a seed and a text (FNV-1a).
fn dice_for(seed: u64, text: &str) -> Dice {
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    Dice::new(seed ^ hash)
}

#[test]
fn the_better_side_wins_wherever_it_is_shown() {
    let (good, bad) = ("The fox runs gladly at dawn.", "The fox runs badly at dawn.");
    assert_eq!(verdict(1, Judging::ByTaste, good, bad), 1);
    assert_eq!(verdict(1, Judging::ByTaste, bad, good), 7);
    assert_eq!(verdict(1, Judging::ByTaste, good, good), 0);
    let by_coin = (0..200).filter(|seed| verdict(*seed, Judging::ByCoin, good, bad) < 4).count();
    assert!((70..130).contains(&by_coin), "{by_coin} of 200");
}
