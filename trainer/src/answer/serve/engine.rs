//! The thread that owns the model: answers are asked for over a queue and come back piece by piece.

use super::{ServeArgs, text::TextStream};
use crate::{
    answer::generate::{self, AnswerRequest, DrawRule, SamplingSettings},
    model::Transformer,
    run::environment::ComputeEnvironment,
};
use anyhow::{Context, Result, anyhow};
use entity::report::FinishReason;
use prometheus_client::metrics::histogram::Histogram;
use std::{
    ops::ControlFlow,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::Instant,
};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use trainer_base::tokenizer::Tokenizer;

/// Answers that may wait in line; who comes later is told to try again.
const MOST_WAITING: usize = 64;

/// The answer that a client asks for.
#[derive(Clone, Debug)]
pub(super) struct WantedAnswer {
    pub ids: Vec<i64>,
    pub max_new_tokens: usize,
    pub rule: DrawRule,
    pub seed: u64,
    /// Texts before which the answer ends.
    pub stops: Vec<String>,
}

/// A piece of an answer: first texts, then one of the others.
#[derive(Debug)]
pub(super) enum AnswerPiece {
    Text(String),
    End { finish_reason: FinishReason, n_tokens: usize },
    Failed(String),
}

struct QueuedAnswer {
    wanted: WantedAnswer,
    sender: UnboundedSender<AnswerPiece>,
}

pub(super) struct AnswerEngine {
    jobs: mpsc::Sender<QueuedAnswer>,
    counts: Arc<EngineCounts>,
}

/// Bounds of the histogram of tokens, in seconds.
const TOKEN_SECONDS: [f64; 11] = [0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0];

/// How many answers wait, and what was done since the start.
#[derive(Debug)]
pub(super) struct EngineCounts {
    pub waiting: AtomicUsize,
    pub prompt_tokens: AtomicUsize,
    /// Tokens drawn.
    pub tokens: AtomicUsize,
    pub answers: AtomicUsize,
    pub failed_answers: AtomicUsize,
    /// Seconds from one token to the next, reading the prompt apart.
    pub token_durations: Histogram,
}

impl Default for EngineCounts {
    fn default() -> Self {
        Self {
            waiting: AtomicUsize::default(),
            prompt_tokens: AtomicUsize::default(),
            tokens: AtomicUsize::default(),
            answers: AtomicUsize::default(),
            failed_answers: AtomicUsize::default(),
            token_durations: Histogram::new(TOKEN_SECONDS),
        }
    }
}

impl AnswerEngine {
    /// Loads the model on a thread of its own; comes back when it can answer.
    pub(super) fn start(args: &ServeArgs, tokenizer: Arc<Tokenizer>) -> Result<Self> {
        let (jobs, queue) = mpsc::channel();
        let (ready, loaded) = mpsc::channel();
        let counts = Arc::new(EngineCounts::default());
        let (args, counted) = (args.clone(), Arc::clone(&counts));
        let work = move || match load(&args) {
            Ok(model) => {
                let _ = ready.send(Ok(()));
                work(&model, &tokenizer, &queue, &counted);
            }
            Err(error) => drop(ready.send(Err(error))),
        };
        thread::Builder::new().name("model".into()).spawn(work)?;
        loaded.recv().map_err(|_| anyhow!("the model could not be loaded"))??;
        Ok(Self { jobs, counts })
    }

    pub(super) fn counts(&self) -> Arc<EngineCounts> {
        self.counts.clone()
    }

    /// Answers that wait in line.
    pub(super) fn n_waiting(&self) -> usize {
        self.counts.waiting.load(Ordering::Relaxed)
    }

    /// Tokens drawn since the start.
    pub(super) fn n_tokens(&self) -> usize {
        self.counts.tokens.load(Ordering::Relaxed)
    }

    /// Puts an answer in line; none when the line is too long. Dropping the receiver stops it.
    pub(super) fn ask(&self, wanted: WantedAnswer) -> Option<UnboundedReceiver<AnswerPiece>> {
        if self.counts.waiting.fetch_add(1, Ordering::Relaxed) >= MOST_WAITING {
            self.counts.waiting.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        let (sender, receiver) = unbounded_channel();
        self.jobs.send(QueuedAnswer { wanted, sender }).ok()?;
        Some(receiver)
    }
}

fn load(args: &ServeArgs) -> Result<Transformer> {
    let started =
        ComputeEnvironment::start(args.device, args.dtype, &mut |_| ControlFlow::Continue(()))?;
    let environment = started.context("nobody asked to stop")?;
    Transformer::load_frozen(&args.model, environment.kind, environment.device)?.expect_language()
}

/// Answers one request after the other until nobody can ask any more.
fn work(
    model: &Transformer,
    tokenizer: &Tokenizer,
    queue: &mpsc::Receiver<QueuedAnswer>,
    counts: &EngineCounts,
) {
    while let Ok(QueuedAnswer { wanted, sender }) = queue.recv() {
        counts.waiting.fetch_sub(1, Ordering::Relaxed);
        if sender.is_closed() {
            continue;
        }
        // tch makes a panic of every refusal of libtorch; the next request may fare better.
        let answered =
            catch_unwind(AssertUnwindSafe(|| answer(model, tokenizer, &wanted, &sender, counts)));
        let end = answered.unwrap_or_else(|_| {
            counts.failed_answers.fetch_add(1, Ordering::Relaxed);
            let reason = "the model failed on this request, and the server's log says why; where \
                          memory ran out, a shorter prompt or answer needs less";
            AnswerPiece::Failed(reason.to_owned())
        });
        // First, so that whoever has the answer finds it counted.
        counts.answers.fetch_add(1, Ordering::Relaxed);
        let _ = sender.send(end);
    }
}

/// Sends the pieces of an answer but the last, which it returns.
fn answer(
    model: &Transformer,
    tokenizer: &Tokenizer,
    wanted: &WantedAnswer,
    sender: &UnboundedSender<AnswerPiece>,
    counts: &EngineCounts,
) -> AnswerPiece {
    let request = AnswerRequest { ids: &wanted.ids, n: 1, key: 0 };
    let settings = SamplingSettings {
        max_new_tokens: wanted.max_new_tokens,
        rule: wanted.rule,
        slots: 1,
        seed: wanted.seed,
        stop_ids: tokenizer.eos_ids(),
        logprobs: false,
        ends_after: None,
    };
    let mut text = TextStream::new(tokenizer, &wanted.stops);
    let mut finish_reason = FinishReason::Stop;
    counts.prompt_tokens.fetch_add(wanted.ids.len(), Ordering::Relaxed);
    let mut last = None::<Instant>;
    let flow = generate::generate(model, &[request], &settings, &mut |step| {
        for (_, token) in step.drawn {
            counts.tokens.fetch_add(1, Ordering::Relaxed);
            if let Some(last) = last.replace(Instant::now()) {
                counts.token_durations.observe(last.elapsed().as_secs_f64());
            }
            let piece = text.push(token);
            let is_gone = sender.is_closed()
                || (!piece.is_empty() && sender.send(AnswerPiece::Text(piece)).is_err());
            if is_gone || text.has_stopped() {
                return ControlFlow::Break(());
            }
        }
        for finished in step.finished {
            finish_reason = finished.completion.finish_reason;
        }
        ControlFlow::Continue(())
    });
    if flow.is_continue() {
        let rest = text.finish();
        if !rest.is_empty() {
            let _ = sender.send(AnswerPiece::Text(rest));
        }
    }
    // A stop text at the very end goes before the length.
    if text.has_stopped() {
        finish_reason = FinishReason::Stop;
    }
    AnswerPiece::End { finish_reason, n_tokens: text.n_tokens() }
}
