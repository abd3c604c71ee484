//! A batch of answers with their scores. Per-token values are packed: the answers' tokens one after
//! the other, N in all.

use super::rules::{REWARD_MODEL, RewardPart};
use crate::{
    answer::generate::{Completion, FinishReason},
    math::ops::deviation,
};
use serde_json::{Map, Value, json};
use tch::{Device, Kind, Tensor};
use trainer_base::rows::{PromptIds, TrainingExample};

/// What answers are rewarded with.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct AnswerScores {
    /// Of each answer.
    pub(crate) rewards: Vec<f32>,
    /// What they are the weighted sum of.
    pub(crate) parts: Vec<RewardPart>,
}

impl AnswerScores {
    /// The weighted sum of what is said of each answer.
    pub(crate) fn new(parts: Vec<RewardPart>) -> Self {
        let n = parts.first().map_or(0, |part| part.scores.len());
        let reward =
            |answer: usize| parts.iter().map(|part| part.weight * part.scores[answer]).sum();
        Self { rewards: (0..n).map(reward).collect(), parts }
    }
}

/// What the policy answered, and how it is rewarded for it.
pub(crate) struct ScoredAnswers {
    /// Prompt and answer.
    pub(crate) sequences: Vec<TrainingExample>,
    pub(crate) completions: Vec<Completion>,
    /// By the reward model and the rules, less the penalty for an answer that did not end by itself.
    pub(crate) scores: Vec<f32>,
    parts: Vec<RewardPart>,
}

impl ScoredAnswers {
    /// One answer and score to each prompt asked.
    pub(crate) fn new(
        asked: &[&PromptIds],
        completions: Vec<Completion>,
        scores: AnswerScores,
    ) -> Self {
        let sequence = |(prompt, completion): (&&PromptIds, &Completion)| TrainingExample {
            index: prompt.index,
            ids: [prompt.ids.as_slice(), &completion.token_ids].concat(),
            prompt_len: prompt.ids.len(),
        };
        let sequences = asked.iter().zip(&completions).map(sequence).collect();
        let AnswerScores { rewards: scores, parts } = scores;
        Self { sequences, completions, scores, parts }
    }

    pub(crate) fn n_answers(&self) -> usize {
        self.sequences.len()
    }

    /// Tokens of each answer.
    pub(crate) fn lengths(&self) -> Vec<i64> {
        self.sequences.iter().map(answer_length).collect()
    }

    /// Answer tokens in all: N.
    pub(crate) fn n_tokens(&self) -> usize {
        self.lengths().iter().sum::<i64>() as usize
    }

    /// The places, among the N tokens, of the answers at `picked`.
    pub(crate) fn places(&self, picked: &[usize], device: Device) -> Tensor {
        let ends: Vec<i64> = self
            .lengths()
            .iter()
            .scan(0, |end, length| {
                *end += length;
                Some(*end)
            })
            .collect();
        let places: Vec<i64> = picked
            .iter()
            .flat_map(|&i| ends[i] - answer_length(&self.sequences[i])..ends[i])
            .collect();
        Tensor::from_slice(&places).to_device(device)
    }

    /// How many answers ended by themselves.
    pub(crate) fn n_ended(&self) -> usize {
        let ended = |answer: &&Completion| answer.finish_reason == FinishReason::Stop;
        self.completions.iter().filter(ended).count()
    }

    /// What each part of the reward says, under TRL's names; nothing where there is but a reward model.
    pub(crate) fn part_metrics(&self) -> Map<String, Value> {
        if let [RewardPart { name: REWARD_MODEL, .. }] = self.parts.as_slice() {
            return Map::new();
        }
        let metrics = self.parts.iter().flat_map(|part| {
            let scores: Vec<f64> = part.scores.iter().copied().map(f64::from).collect();
            let mean = scores.iter().sum::<f64>() / scores.len() as f64;
            [("mean", mean), ("std", deviation(&scores))]
                .map(|(of, value)| (format!("rewards/{}/{of}", part.name), json!(value)))
        });
        metrics.collect()
    }

    /// Lengths under the names of TRL's GRPOTrainer and RLOOTrainer.
    pub(crate) fn length_metrics(&self) -> Map<String, Value> {
        let (lengths, n) = (self.lengths(), self.n_answers() as f64);
        let Value::Object(metrics) = json!({
            "completions/mean_length": self.n_tokens() as f64 / n,
            "completions/min_length": lengths.iter().min(),
            "completions/max_length": lengths.iter().max(),
            "completions/clipped_ratio": 1.0 - self.n_ended() as f64 / n,
        }) else {
            unreachable!("an object was written")
        };
        metrics
    }

    /// Whether sampling and training are one engine: by how much the log-probabilities of the tokens when
    /// they were drawn differ from those of a forward pass, (N). Names of TRL's GRPOTrainer, where the answers are
    /// another engine's. Nothing for answers whose log-probabilities were not kept.
    pub(crate) fn sampling_metrics(&self, logprobs: &Tensor) -> Map<String, Value> {
        let drawn: Vec<f32> =
            self.completions.iter().flat_map(|answer| &answer.logprobs).copied().collect();
        if drawn.len() != self.n_tokens() {
            return Map::new();
        }
        let differences = floats(logprobs).into_iter().zip(drawn);
        let differences: Vec<f64> =
            differences.map(|(forward, drawn)| f64::from((forward - drawn).abs())).collect();
        let mean = differences.iter().sum::<f64>() / differences.len() as f64;
        let most = differences.iter().copied().fold(0.0, f64::max);
        [("mean", mean), ("max", most)]
            .map(|(name, value)| {
                (format!("sampling/sampling_logp_difference/{name}"), json!(value))
            })
            .into_iter()
            .collect()
    }

    /// Means over the answers of what is summed over each answer's tokens: (N).
    pub(crate) fn per_answer(&self, tokens: &Tensor) -> f64 {
        floats(tokens).into_iter().map(f64::from).sum::<f64>() / self.n_answers() as f64
    }

    pub(crate) fn mean_score(&self) -> f64 {
        self.scores.iter().copied().map(f64::from).sum::<f64>() / self.n_answers() as f64
    }
}

fn answer_length(sequence: &TrainingExample) -> i64 {
    (sequence.ids.len() - sequence.prompt_len) as i64
}

pub(crate) fn floats(tensor: &Tensor) -> Vec<f32> {
    Vec::try_from(tensor.to_kind(Kind::Float).to_device(Device::Cpu)).expect("a row of numbers")
}
