//! What a model answers now: to the same few prompts at the start of a run, along its way and at
//! its end, so that a person can read what it learns.

use crate::{
    answer::generate::{self, AnswerRequest, Completion, DrawRule, SamplingSettings},
    model::Transformer,
};
use entity::report::RunReport;
use std::time::{Duration, Instant};
use trainer_base::{progress::RunProgress, tokenizer::Tokenizer};

/// Prompts that are answered.
const PROMPTS: usize = 3;

/// Tokens of an answer, where the run has no length of its own: showing stays cheap beside training.
pub(crate) const MAX_NEW_TOKENS: usize = 64;

/// Answers are shown about this often in a run at the most, beside its start and its end.
const SHOWN: u64 = 10;

/// The part of a run's time that showing answers may take.
const MOST_OF_THE_TIME: f64 = 0.02;

/// When a run shows answers: at its start and its end, and between them as often as its time allows.
#[derive(Debug)]
pub(crate) struct ShowSchedule {
    n_steps: u64,
    started: Instant,
    budget: ShowBudget,
}

impl ShowSchedule {
    /// For a run that starts now, or goes on.
    pub(crate) fn new(n_steps: u64) -> Self {
        Self { n_steps, started: Instant::now(), budget: ShowBudget::default() }
    }

    /// Whether answers are to be shown after `step`.
    pub(crate) fn is_due(&self, step: u64) -> bool {
        let is_an_end = step == 0 || step == self.n_steps;
        ShownPrompts::is_due(step, self.n_steps)
            && (is_an_end || self.budget.allows(self.started.elapsed()))
    }

    /// Shows answers, and counts the time that it takes: it is no work, and comes again at the end.
    pub(crate) fn show<T>(&mut self, progress: &mut RunProgress, show: impl FnOnce() -> T) -> T {
        let began = Instant::now();
        let shown = show();
        let took = began.elapsed();
        self.budget.spend(took);
        progress.set_aside(took, took);
        shown
    }
}

/// How much time went into showing answers.
#[derive(Debug, Default)]
struct ShowBudget {
    spent: Duration,
    /// What it took the last time, and so about what it will take the next.
    last: Duration,
}

impl ShowBudget {
    fn spend(&mut self, took: Duration) {
        self.spent += took;
        self.last = took;
    }

    /// Whether answers can be shown `elapsed` into the run, and all of them together still take no
    /// more than their part of its time.
    fn allows(&self, elapsed: Duration) -> bool {
        self.spent + self.last <= (elapsed + self.last).mul_f64(MOST_OF_THE_TIME)
    }
}

/// The prompts of a run that are answered again and again.
pub(crate) struct ShownPrompts<'a> {
    prompts: Vec<&'a [i64]>,
    max_new_tokens: usize,
}

impl<'a> ShownPrompts<'a> {
    /// The first prompts that say something and leave room for an answer.
    pub(crate) fn new(
        model: &Transformer,
        prompts: impl IntoIterator<Item = &'a [i64]>,
        max_new_tokens: usize,
    ) -> Self {
        let context = model.config.max_positions as usize;
        let fits = |ids: &&[i64]| !ids.is_empty() && ids.len() + max_new_tokens <= context;
        let prompts = prompts.into_iter().filter(fits).take(PROMPTS).collect();
        Self { prompts, max_new_tokens }
    }

    /// Whether answers are shown after `step` of `n_steps`, if there is time for it.
    fn is_due(step: u64, n_steps: u64) -> bool {
        step == 0 || step == n_steps || step.is_multiple_of(n_steps.div_ceil(SHOWN).max(1))
    }

    /// How many answers there are.
    pub(crate) fn len(&self) -> usize {
        self.prompts.len()
    }

    /// The likeliest answers. They draw nothing at random, so a run's numbers do not depend on them.
    pub(crate) fn answers(&self, model: &Transformer, tokenizer: &Tokenizer) -> Vec<Completion> {
        let request = |(key, ids): (u64, &&'a [i64])| AnswerRequest { ids, n: 1, key };
        let requests: Vec<AnswerRequest> = (0..).zip(&self.prompts).map(request).collect();
        let settings = SamplingSettings {
            max_new_tokens: self.max_new_tokens,
            rule: DrawRule::at(0.0),
            slots: PROMPTS,
            seed: 0,
            stop_ids: tokenizer.eos_ids(),
            logprobs: false,
            ends_after: None,
        };
        generate::generate_all(model, &requests, &settings).concat()
    }

    /// The answers as events, with their scores where there are any.
    pub(crate) fn events(
        &self,
        tokenizer: &Tokenizer,
        step: u64,
        answers: &[Completion],
        scores: Option<&[f32]>,
    ) -> Vec<RunReport> {
        let event = |(at, answer): (usize, &Completion)| RunReport::Sample {
            step,
            prompt: tokenizer.prompt_text(self.prompts[at]),
            completion: tokenizer.completion_text(&answer.token_ids),
            finish_reason: answer.finish_reason,
            score: scores.map(|scores| scores[at].into()),
        };
        answers.iter().enumerate().map(event).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::fixture_path;
    use tch::{Device, Kind};

    #[test]
    fn answers_are_shown_at_the_start_at_the_end_and_ten_times_between() {
        let due =
            |n_steps| (0..=n_steps).filter(|step| ShownPrompts::is_due(*step, n_steps)).count();
        assert_eq!((due(1), due(5), due(1000)), (2, 6, 11));
        assert!(ShownPrompts::is_due(7, 7));
    }

    #[test]
    fn showing_answers_takes_no_more_than_two_percent_of_a_run() {
        let seconds = Duration::from_secs;
        let mut budget = ShowBudget::default();
        assert!(budget.allows(seconds(0)), "nobody knows yet how long it takes");
        budget.spend(seconds(2));
        assert!(!budget.allows(seconds(197)));
        assert!(budget.allows(seconds(198)), "4 of 200 seconds");
        budget.spend(seconds(2));
        assert!(!budget.allows(seconds(200)) && budget.allows(seconds(298)), "6 of 300 seconds");
    }

    #[test]
    fn a_run_that_has_no_time_for_it_shows_its_first_and_its_last_answers() {
        let mut schedule = ShowSchedule::new(1000);
        schedule.show(&mut RunProgress::new(1000, 1.0), || {
            std::thread::sleep(Duration::from_millis(20));
        });
        let due: Vec<u64> = (0..=1000).filter(|step| schedule.is_due(*step)).collect();
        assert_eq!(due, [0, 1000]);
    }

    #[test]
    fn prompts_without_room_for_an_answer_are_passed_over() {
        let folder = fixture_path("tiny_llama");
        let model = Transformer::load_frozen(&folder, Kind::Float, Device::Cpu).unwrap();
        let tokenizer = Tokenizer::load(&folder).unwrap();
        let long = vec![1; model.config.max_positions as usize];
        let prompts: [&[i64]; 6] = [&[], &long, &[1], &[2], &[3], &[4]];
        let shown = ShownPrompts::new(&model, prompts, 8);
        assert_eq!(shown.prompts, [[1], [2], [3]]);
        let answers = shown.answers(&model, &tokenizer);
        assert_eq!(answers, shown.answers(&model, &tokenizer), "the same model says the same");
        let events = shown.events(&tokenizer, 4, &answers, Some(&[0.5, 1.0, 1.5]));
        assert!(matches!(events[1], RunReport::Sample { step: 4, score: Some(1.0), .. }));
    }
}
