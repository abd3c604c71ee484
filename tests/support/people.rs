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
    /// As by taste, and then a coin decides which side is called better. Fair as it is, a few hundred
    /// throws lean one way by chance and a model learns that; so this one makes up for its past: what
    /// it has given to the taste, it takes next. (Efron's biased coin, at its most biased.)
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

/// Compares until `enough` says so or nothing is left; how many.
pub(crate) async fn compare(
    who: &Visitor,
    project: &str,
    seed: u64,
    judging: Judging,
    enough: impl Fn(usize) -> bool,
) -> usize {
    let mut n_judged = 0;
    let mut lean = 0.0;
    let mut page = who.get(&format!("{project}/compare")).await;
    while let (Some([left, right]), false) = (sides_of(&page), enough(n_judged)) {
        let seen = towards_right(seed, &left, &right);
        let said = match judging {
            Judging::ByTaste => seen,
            Judging::ByCoin if lean > 0.0 => -seen,
            Judging::ByCoin => seen,
        };
        lean += said.abs() * (said * seen).signum();
        let verdict = verdict(said);
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

/// By how much the right answer suits the taste better, as a person sees it.
fn towards_right(seed: u64, left: &str, right: &str) -> f64 {
    if left == right {
        return 0.0;
    }
    let (first, second) = (left.min(right), left.max(right));
    // The noise belongs to the pair, not to its order.
    let noise = NOISE * dice_for(seed, &format!("{first}\n{second}")).normal();
    let seen = taste(second) - taste(first) + noise;
    if (left, right) == (first, second) { seen } else { -seen }
}

/// 1 (left much better) to 7 (right much better), or 0.
fn verdict(towards_right: f64) -> u8 {
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
    assert_eq!(verdict(towards_right(1, good, bad)), 1);
    assert_eq!(verdict(towards_right(1, bad, good)), 7);
    assert_eq!(verdict(towards_right(1, good, good)), 0);
}
