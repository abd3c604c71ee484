//! Answers from a model: prefill once per prompt, decode all live sequences as one batch, refill a
//! slot as soon as its sequence ends.
//!
//! Each draw is a function of (seed, prompt, sample, position), so an answer does not depend on
//! which others were decoded beside it.

use crate::model::{
    PackedBatch, Transformer,
    kv_cache::{KvCache, PromptCache},
};
use draw::DrawnToken;
pub use entity::report::FinishReason;
use std::{collections::VecDeque, ops::ControlFlow, rc::Rc};
use tch::Tensor;
use trainer_base::random;

mod draw;
pub use draw::DrawRule;
#[cfg(test)]
mod tests;

/// Below this temperature the likeliest token is drawn anyway, and logits divided by it are no numbers.
const SHARPEST: f64 = 1e-5;

/// A prompt that waits for `n` answers.
pub struct AnswerRequest<'a> {
    pub ids: &'a [i64],
    pub n: usize,
    /// Stands for the prompt in the key of each draw.
    pub key: u64,
}

/// Whether a sequence has ended with these tokens.
pub type EndRule<'a> = &'a dyn Fn(&[i64]) -> bool;

pub struct SamplingSettings<'a> {
    pub max_new_tokens: usize,
    pub rule: DrawRule,
    /// Sequences decoded at once.
    pub slots: usize,
    pub seed: u64,
    /// A sequence ends with any of these, which is then its last token.
    pub stop_ids: &'a [i64],
    /// Whether each token's log-probability is kept.
    pub logprobs: bool,
    /// Whether a sequence ends after these tokens, whatever comes.
    pub ends_after: Option<EndRule<'a>>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Completion {
    pub token_ids: Vec<i64>,
    pub finish_reason: FinishReason,
    /// log p of each token when it was drawn, at the settings' temperature; empty unless it was asked for,
    /// and where the likeliest tokens were taken.
    pub logprobs: Vec<f32>,
}

/// What one step of decoding brought.
pub struct DecodingStep {
    /// Tokens drawn since the start.
    pub n_tokens: u64,
    /// The tokens of this step: which request each belongs to, by position, and its id.
    pub drawn: Vec<(usize, i64)>,
    pub finished: Vec<FinishedAnswer>,
}

pub struct FinishedAnswer {
    /// Which request it answers, by position.
    pub request: usize,
    pub sample: usize,
    pub completion: Completion,
}

/// Answers every request; `on_step` receives answers as they end and may stop the work.
pub fn generate(
    model: &Transformer,
    requests: &[AnswerRequest],
    settings: &SamplingSettings,
    on_step: &mut dyn FnMut(DecodingStep) -> ControlFlow<()>,
) -> ControlFlow<()> {
    let _no_grad = tch::no_grad_guard();
    let longest = requests.iter().map(|request| request.ids.len()).max().unwrap_or(0);
    let n_answers: usize = requests.iter().map(|request| request.n).sum();
    let slots = settings.slots.min(n_answers).max(1);
    let mut decoder = Decoder {
        model,
        requests,
        settings,
        slots,
        cache: KvCache::new(model, slots, longest + settings.max_new_tokens),
        next_request: 0,
        waiting: VecDeque::new(),
        live: Vec::new(),
        finished: Vec::new(),
        drawn: Vec::new(),
        n_tokens: 0,
    };
    loop {
        decoder.refill();
        let done = decoder.live.is_empty();
        if !done {
            decoder.decode();
        }
        let finished = std::mem::take(&mut decoder.finished);
        let drawn = std::mem::take(&mut decoder.drawn);
        on_step(DecodingStep { n_tokens: decoder.n_tokens, drawn, finished })?;
        if done {
            return ControlFlow::Continue(());
        }
    }
}

/// Answers every request, in order: `[request][sample]`.
pub fn generate_all(
    model: &Transformer,
    requests: &[AnswerRequest],
    settings: &SamplingSettings,
) -> Vec<Vec<Completion>> {
    let all = generate_while(model, requests, settings, &mut || ControlFlow::Continue(()));
    all.expect("nobody asks to stop")
}

/// [`generate_all`] unless `tick`, called at every token, says to stop.
pub fn generate_while(
    model: &Transformer,
    requests: &[AnswerRequest],
    settings: &SamplingSettings,
    tick: &mut dyn FnMut() -> ControlFlow<()>,
) -> Option<Vec<Vec<Completion>>> {
    let mut answers: Vec<Vec<Option<Completion>>> =
        requests.iter().map(|request| vec![None; request.n]).collect();
    let flow = generate(model, requests, settings, &mut |step| {
        for finished in step.finished {
            answers[finished.request][finished.sample] = Some(finished.completion);
        }
        tick()
    });
    let answers = answers.into_iter().map(|row| row.into_iter().flatten().collect());
    flow.is_continue().then(|| answers.collect())
}

/// An answer whose first token is drawn and that waits for a slot.
struct WaitingAnswer {
    request: usize,
    sample: usize,
    first_token: DrawnToken,
    prompt: Rc<PromptCache>,
}

/// An answer that is being decoded; its slot in the cache is its place in `Decoder::live`.
struct LiveAnswer {
    request: usize,
    sample: usize,
    tokens: Vec<i64>,
    logprobs: Vec<f32>,
}

struct Decoder<'a> {
    model: &'a Transformer,
    requests: &'a [AnswerRequest<'a>],
    settings: &'a SamplingSettings<'a>,
    slots: usize,
    cache: KvCache,
    next_request: usize,
    waiting: VecDeque<WaitingAnswer>,
    live: Vec<LiveAnswer>,
    finished: Vec<FinishedAnswer>,
    drawn: Vec<(usize, i64)>,
    n_tokens: u64,
}

impl Decoder<'_> {
    /// Puts waiting answers into free slots, prefilling as many prompts as that takes.
    fn refill(&mut self) {
        while self.live.len() < self.slots {
            let Some(next) = self.waiting.pop_front() else {
                if self.prefill() {
                    continue;
                }
                return;
            };
            let live = LiveAnswer {
                request: next.request,
                sample: next.sample,
                tokens: vec![next.first_token.id],
                logprobs: next.first_token.logprob.into_iter().collect(),
            };
            if let Some(finish_reason) = self.finish_reason(&live.tokens) {
                self.finish(live, finish_reason);
            } else {
                self.cache.fill(self.live.len(), &next.prompt);
                self.live.push(live);
            }
        }
    }

    /// Runs the next prompts, as many as the free slots have room for, and draws the first token
    /// of each answer. False when no prompt is left.
    fn prefill(&mut self) -> bool {
        let free = self.slots - self.live.len();
        let first = self.next_request;
        let mut n_answers = 0;
        while n_answers < free && self.next_request < self.requests.len() {
            n_answers += self.requests[self.next_request].n;
            self.next_request += 1;
        }
        let requests = &self.requests[first..self.next_request];
        if requests.is_empty() {
            return false;
        }
        let prompts: Vec<&[i64]> = requests.iter().map(|request| request.ids).collect();
        let batch = PackedBatch::new(&prompts, self.model.device);
        let (hidden, prompts) = self.model.prefill(&batch); // (P, D)
        let keys: Vec<_> = (first..self.next_request)
            .flat_map(|request| (0..self.requests[request].n).map(move |sample| (request, sample)))
            .collect();
        let first_tokens = self.draw_first(&hidden, &keys, first);
        let prompts: Vec<_> = prompts.into_iter().map(Rc::new).collect();
        for ((request, sample), first_token) in keys.into_iter().zip(first_tokens) {
            self.drawn.push((request, first_token.id));
            let prompt = Rc::clone(&prompts[request - first]);
            self.waiting.push_back(WaitingAnswer { request, sample, first_token, prompt });
        }
        true
    }

    /// The first token of each answer, a key being (request, sample): hidden (P, D) is that of the
    /// requests from `first` on. At most as many at a time as are decoded at once, whatever `n` is:
    /// each takes a row of logits.
    fn draw_first(
        &mut self,
        hidden: &Tensor,
        keys: &[(usize, usize)],
        first: usize,
    ) -> Vec<DrawnToken> {
        let mut tokens = Vec::with_capacity(keys.len());
        for keys in keys.chunks(self.slots) {
            let rows: Vec<i64> =
                keys.iter().map(|&(request, _)| (request - first) as i64).collect();
            let rows = Tensor::from_slice(&rows).to_device(self.model.device);
            let hidden = hidden.index_select(0, &rows);
            tokens.extend(self.draw(&hidden, keys.iter().map(|&(r, s)| (r, s, 0))));
        }
        tokens
    }

    /// Draws the next token of every live answer; ended ones leave their slot to the last one.
    fn decode(&mut self) {
        let last: Vec<i64> =
            self.live.iter().map(|live| *live.tokens.last().expect("a first token")).collect();
        let ids = Tensor::from_slice(&last).to_device(self.model.device);
        let hidden = self.model.decode(&ids, &mut self.cache); // (B, D)
        let keys: Vec<_> =
            self.live.iter().map(|live| (live.request, live.sample, live.tokens.len())).collect();
        let tokens = self.draw(&hidden, keys.into_iter());
        for (live, token) in self.live.iter_mut().zip(tokens) {
            live.tokens.push(token.id);
            live.logprobs.extend(token.logprob);
            self.drawn.push((live.request, token.id));
        }
        for slot in (0..self.live.len()).rev() {
            if let Some(finish_reason) = self.finish_reason(&self.live[slot].tokens) {
                self.cache.remove(slot);
                let live = self.live.swap_remove(slot);
                self.finish(live, finish_reason);
            }
        }
    }

    /// A token for each row of hidden (B, D); a key is (request, sample, position).
    fn draw(
        &mut self,
        hidden: &Tensor,
        keys: impl ExactSizeIterator<Item = (usize, usize, usize)>,
    ) -> Vec<DrawnToken> {
        self.n_tokens += keys.len() as u64;
        let logits = self.model.lm_logits(hidden); // (B, V)
        let SamplingSettings { seed, rule, logprobs, .. } = *self.settings;
        if rule.temperature < SHARPEST {
            return draw::greedy(&logits);
        }
        let uniforms: Vec<f64> = keys
            .map(|(request, sample, position)| {
                let prompt = self.requests[request].key;
                random::uniform(&[seed, prompt, sample as u64, position as u64])
            })
            .collect();
        draw::by_chance(&logits, rule, &uniforms, logprobs)
    }

    fn finish_reason(&self, tokens: &[i64]) -> Option<FinishReason> {
        let last = tokens.last().expect("a first token");
        let ends = self.settings.ends_after.is_some_and(|ends| ends(tokens));
        if self.settings.stop_ids.contains(last) || ends {
            Some(FinishReason::Stop)
        } else if tokens.len() >= self.settings.max_new_tokens {
            Some(FinishReason::Length)
        } else {
            None
        }
    }

    fn finish(&mut self, live: LiveAnswer, finish_reason: FinishReason) {
        let (token_ids, logprobs) = (live.tokens, live.logprobs);
        let completion = Completion { token_ids, finish_reason, logprobs };
        self.finished.push(FinishedAnswer {
            request: live.request,
            sample: live.sample,
            completion,
        });
    }
}
