//! How long rows are in tokens, and what a batch of them is to a model.

use crate::{
    batches::RowBatches,
    length_groups::like_lengths,
    packing,
    rows::{AnswerPair, LabelledAnswer, PreferencePair, PromptIds, SupervisedExample},
};
use entity::run_config::OptimiserSettings;

/// Sequences up to this long keep the attention weights of every pair of places (`MATMUL_UP_TO`).
const PAIRS_UP_TO: u64 = 512;

/// Micro-batches that are looked at for the largest.
const MOST_BATCHES: usize = 20_000;

/// Rows of micro-batches that are looked at.
const MOST_ROWS: usize = 1_000_000;

/// Tokens of a row, as training sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowLength {
    /// Of its sequence, or of the two of a pair.
    sequences: [u64; 2],
    /// Those among them that have a log-probability.
    answers: u64,
}

impl RowLength {
    pub fn of_one(tokens: u64, answers: u64) -> Self {
        Self { sequences: [tokens, 0], answers }
    }

    pub fn of_pair(chosen: u64, rejected: u64, answers: u64) -> Self {
        Self { sequences: [chosen, rejected], answers }
    }

    /// Those of all its tokens that are learnt.
    pub fn learnt(&self) -> u64 {
        self.answers
    }

    /// Of its longer sequence.
    pub fn longest(&self) -> u64 {
        self.sequences[0].max(self.sequences[1])
    }

    /// Of all its sequences.
    pub fn tokens(&self) -> u64 {
        self.sequences[0] + self.sequences[1]
    }

    fn sequences(&self) -> impl Iterator<Item = u64> {
        self.sequences.into_iter().filter(|tokens| *tokens > 0)
    }

    /// A prompt with an answer behind it.
    fn answered(self, tokens: u64) -> Self {
        Self::of_one(self.sequences[0] + tokens, tokens)
    }
}

impl From<&SupervisedExample> for RowLength {
    fn from(row: &SupervisedExample) -> Self {
        Self::of_one(row.ids.len() as u64, row.n_learnt() as u64)
    }
}

impl From<&AnswerPair> for RowLength {
    /// A reward model reads and has no log-probabilities.
    fn from(row: &AnswerPair) -> Self {
        Self::of_pair(row.chosen.len() as u64, row.rejected.len() as u64, 0)
    }
}

impl From<&PreferencePair> for RowLength {
    fn from(row: &PreferencePair) -> Self {
        let (chosen, rejected) = (row.chosen.len() as u64, row.rejected.len() as u64);
        Self::of_pair(chosen, rejected, chosen + rejected - 2 * row.prompt_len as u64)
    }
}

impl From<&LabelledAnswer> for RowLength {
    /// The mismatched answer is read without a gradient, which takes less.
    fn from(row: &LabelledAnswer) -> Self {
        let tokens = row.ids.len() as u64;
        Self::of_one(tokens, tokens - row.prompt_len as u64)
    }
}

impl From<&PromptIds> for RowLength {
    fn from(row: &PromptIds) -> Self {
        Self::of_one(row.ids.len() as u64, 0)
    }
}

/// The rows that a run learns from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowLengths {
    rows: Vec<RowLength>,
    /// Those that share a place of a batch; none where each has its own.
    packs: Option<Vec<Vec<usize>>>,
}

impl<R: Into<RowLength>> FromIterator<R> for RowLengths {
    fn from_iter<I: IntoIterator<Item = R>>(rows: I) -> Self {
        Self { rows: rows.into_iter().map(Into::into).collect(), packs: None }
    }
}

impl RowLengths {
    pub fn n_rows(&self) -> usize {
        self.rows.len()
    }

    /// With several rows in each place of a batch, up to so many tokens.
    pub fn packed(self, most: usize) -> Self {
        let lengths: Vec<usize> = self.rows.iter().map(|row| row.tokens() as usize).collect();
        Self { packs: Some(packing::packed(&lengths, most)), ..self }
    }

    /// Tokens of the longer sequence of the row that so large a part of the rows does not exceed.
    pub fn quantile(&self, part: f64) -> u64 {
        let mut longest: Vec<u64> = self.rows.iter().map(RowLength::longest).collect();
        longest.sort_unstable();
        let last = longest.len().saturating_sub(1);
        longest.get((part * last as f64).round() as usize).copied().unwrap_or(0)
    }

    /// Prompts that are answered with so many tokens.
    pub(super) fn answered(&self, tokens: u64) -> Self {
        self.rows.iter().map(|row| row.answered(tokens)).collect()
    }

    /// The micro-batches of a run with these settings, the first [`MOST_BATCHES`] of them and not
    /// many more than [`MOST_ROWS`] rows; each row is there so many times, one after the other.
    pub(super) fn batches(&self, settings: &OptimiserSettings, times: usize) -> Vec<BatchLoad> {
        if self.rows.is_empty() {
            return Vec::new();
        }
        let n_places = self.packs.as_ref().map_or(self.rows.len(), Vec::len);
        let batches = RowBatches::new(n_places, settings);
        let rows_at = |places: Vec<usize>| match &self.packs {
            Some(packs) => places.into_iter().flat_map(|place| packs[place].clone()).collect(),
            None => places,
        };
        let mut n_rows = 0;
        let few = |rows: &Vec<usize>| {
            n_rows += rows.len();
            n_rows - rows.len() < MOST_ROWS
        };
        let load = |rows: &[usize]| BatchLoad::new(rows.iter().map(|row| self.rows[*row]));
        let loads = |rows: Vec<usize>| {
            // A batch of one row alone is as large as they get.
            let times = times.min(settings.batch_size).min(MOST_ROWS / rows.len().max(1)).max(1);
            if times == 1 {
                return vec![load(&rows)];
            }
            let all = rows.into_iter().flat_map(|row| std::iter::repeat_n(row, times));
            all.collect::<Vec<_>>().chunks(settings.batch_size).map(load).collect::<Vec<_>>()
        };
        let few_batches = batches.micro_batches().map(rows_at).take_while(few);
        few_batches.flat_map(loads).take(MOST_BATCHES).collect()
    }
}

/// What a batch is to a model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct BatchLoad {
    pub(super) n_sequences: u64,
    /// Tokens of the longest.
    pub(super) longest: u64,
    pub(super) tokens: u64,
    /// Rows of attention in groups that keep their weights, filled up, and the pairs of places.
    pub(super) short: u64,
    pub(super) pairs: u64,
    /// Rows of attention in groups that do not, and their pairs, which capped logits keep as well.
    pub(super) long: u64,
    pub(super) long_pairs: u64,
    /// Tokens with log-probabilities.
    pub(super) answers: u64,
}

impl BatchLoad {
    pub(super) fn new(rows: impl Iterator<Item = RowLength>) -> Self {
        let (mut load, mut lengths) = (Self::default(), Vec::new());
        for row in rows {
            load.answers += row.answers;
            lengths.extend(row.sequences().map(|tokens| tokens as i64));
        }
        load.n_sequences = lengths.len() as u64;
        load.tokens = lengths.iter().sum::<i64>() as u64;
        load.longest = lengths.iter().max().copied().unwrap_or(0) as u64;
        for group in like_lengths(&lengths) {
            let longest = group.iter().map(|&sequence| lengths[sequence]).max().unwrap_or(0) as u64;
            let filled = group.len() as u64 * longest;
            if longest <= PAIRS_UP_TO {
                load.short += filled;
                load.pairs += filled * longest;
            } else {
                load.long += filled;
                load.long_pairs += filled * longest;
            }
        }
        load
    }

    /// Sequences that are all of one length.
    pub(super) fn alike(n_sequences: u64, length: u64, has_answers: bool) -> Self {
        let tokens = n_sequences.saturating_mul(length);
        let load = Self {
            n_sequences,
            longest: length,
            tokens,
            answers: if has_answers { tokens } else { 0 },
            ..Self::default()
        };
        if length <= PAIRS_UP_TO {
            Self { short: tokens, pairs: tokens.saturating_mul(length), ..load }
        } else {
            Self { long: tokens, long_pairs: tokens.saturating_mul(length), ..load }
        }
    }
}
