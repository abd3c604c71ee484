//! Sequences one after another, without padding.

use super::shared_tensor::SharedTensor;
use std::{iter, ops::Range};
use tch::{Device, Tensor};
use trainer_base::length_groups::like_lengths;

/// Sequences of a batch, concatenated: T tokens in all.
///
/// Linear layers and norms see T rows and no padding. Attention works on buckets of sequences, on a
/// CPU of similar length: the shorter ones are filled up at the end, where a causal query never looks.
#[derive(Debug)]
pub struct PackedBatch {
    /// (T)
    pub ids: Tensor,
    /// The place of each token in its sequence: (T)
    pub positions: Tensor,
    /// Tokens of each sequence; they add up to T.
    pub lengths: Vec<i64>,
    pub(crate) layout: AttentionLayout,
}

/// How attention takes the T rows of a batch.
#[derive(Clone, Debug)]
pub(crate) struct AttentionLayout {
    pub(crate) buckets: Vec<LengthBucket>,
    /// Where each of the T rows lies in the buckets' filled rows, one bucket after the other; none
    /// where both are in the same order.
    pub(crate) restore: Option<SharedTensor>,
}

/// Sequences that go through attention together.
#[derive(Clone, Debug)]
pub(crate) struct LengthBucket {
    pub(crate) n: i64,
    /// Tokens of the longest.
    pub(crate) length: i64,
    pub(crate) rows: BucketRows,
}

/// Which of the T rows make the `n · length` rows of a bucket.
#[derive(Clone, Debug)]
pub(crate) enum BucketRows {
    /// All of one length and one after the other, from this row on.
    From(i64),
    /// Each place's row; filled up with the sequence's last one.
    Listed(SharedTensor),
}

impl PackedBatch {
    /// No sequence may be empty.
    pub fn new(sequences: &[&[i64]], device: Device) -> Self {
        assert!(sequences.iter().all(|ids| !ids.is_empty()), "an empty sequence has no last token");
        let ids = sequences.concat();
        let lengths: Vec<i64> = sequences.iter().map(|ids| ids.len() as i64).collect();
        let positions: Vec<i64> = lengths.iter().flat_map(|&length| 0..length).collect();
        Self {
            ids: Tensor::from_slice(&ids).to_device(device),
            positions: Tensor::from_slice(&positions).to_device(device),
            layout: AttentionLayout::new(&lengths, device),
            lengths,
        }
    }

    /// T
    pub fn n_tokens(&self) -> i64 {
        self.lengths.iter().sum()
    }

    /// The row of each sequence's first token.
    pub fn starts(&self) -> Vec<i64> {
        starts(&self.lengths)
    }

    /// The row of each sequence's last token: (number of sequences)
    pub fn last_rows(&self) -> Tensor {
        let ends: Vec<i64> = self
            .starts()
            .iter()
            .zip(&self.lengths)
            .map(|(start, length)| start + length - 1)
            .collect();
        Tensor::from_slice(&ends).to_device(self.ids.device())
    }
}

/// What predicts the answers of a batch, and the answers: N tokens in all.
#[derive(Debug)]
pub struct AnswerTokens {
    /// The row of the hidden state before each answer token: (N)
    pub rows: Tensor,
    /// The answer tokens: (N)
    pub ids: Tensor,
    /// Tokens of each sequence's answer; they add up to N.
    pub lengths: Vec<i64>,
}

impl PackedBatch {
    /// The tokens after the first `prompt_lengths[i]` of each sequence. Nothing predicts a sequence's
    /// first token, whatever its prompt.
    pub fn answers(&self, prompt_lengths: &[usize]) -> AnswerTokens {
        assert_eq!(prompt_lengths.len(), self.lengths.len());
        let answers = self.lengths.iter().zip(prompt_lengths);
        let stretch = |(&length, &prompt): (&i64, &usize)| {
            iter::once(prompt..length as usize).collect::<Vec<_>>()
        };
        let answers = answers.map(stretch);
        self.stretches(answers)
    }

    /// The tokens at these places of each sequence: stretches in rising order. Nothing predicts a
    /// sequence's first token.
    pub fn stretches(
        &self,
        of_sequences: impl Iterator<Item = impl AsRef<[Range<usize>]>>,
    ) -> AnswerTokens {
        let (mut rows, mut lengths) = (Vec::new(), Vec::new());
        for ((start, length), stretches) in
            self.starts().iter().zip(&self.lengths).zip(of_sequences)
        {
            let before = rows.len();
            for stretch in stretches.as_ref() {
                let (from, to) = (stretch.start.max(1) as i64, *length.min(&(stretch.end as i64)));
                rows.extend(start + from - 1..start + to - 1);
            }
            lengths.push((rows.len() - before) as i64);
        }
        assert_eq!(lengths.len(), self.lengths.len());
        let rows = Tensor::from_slice(&rows).to_device(self.ids.device());
        let ids = self.ids.index_select(0, &(&rows + 1));
        AnswerTokens { rows, ids, lengths }
    }
}

fn starts(lengths: &[i64]) -> Vec<i64> {
    lengths
        .iter()
        .scan(0, |next, length| {
            let start = *next;
            *next += length;
            Some(start)
        })
        .collect()
}

/// Which sequences go through attention together: each group in the batch's order, the group with
/// the longest sequence first.
///
/// A GPU takes all of them at once. There a step is bound by the number of kernels that are launched,
/// which every further bucket multiplies, and filling costs next to nothing: with buckets a step took
/// three times as long (measured on an H200).
fn grouped(lengths: &[i64], is_cuda: bool) -> Vec<Vec<usize>> {
    if is_cuda {
        return vec![(0..lengths.len()).collect()];
    }
    like_lengths(lengths)
}

impl AttentionLayout {
    fn new(lengths: &[i64], device: Device) -> Self {
        let starts = starts(lengths);
        let mut buckets = Vec::new();
        let mut restore = vec![0; lengths.iter().sum::<i64>() as usize];
        let mut n_filled = 0;
        for members in grouped(lengths, device.is_cuda()) {
            let length = members.iter().map(|&sequence| lengths[sequence]).max().unwrap_or(0);
            let mut rows = Vec::new();
            for &sequence in &members {
                let (start, own) = (starts[sequence], lengths[sequence]);
                for place in 0..own {
                    restore[(start + place) as usize] = n_filled + rows.len() as i64 + place;
                }
                rows.extend((0..length).map(|place| start + place.min(own - 1)));
            }
            n_filled += rows.len() as i64;
            let consecutive = rows.windows(2).all(|pair| pair[1] == pair[0] + 1);
            let n = members.len() as i64;
            let rows = if consecutive {
                BucketRows::From(rows[0])
            } else {
                BucketRows::Listed(Tensor::from_slice(&rows).to_device(device).into())
            };
            buckets.push(LengthBucket { n, length, rows });
        }
        let in_order = n_filled as usize == restore.len()
            && restore.iter().enumerate().all(|(row, &place)| row as i64 == place);
        let restore = (!in_order).then(|| Tensor::from_slice(&restore).to_device(device).into());
        Self { buckets, restore }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(lengths: &[usize]) -> PackedBatch {
        let sequences: Vec<Vec<i64>> =
            lengths.iter().enumerate().map(|(i, &n)| vec![i as i64; n]).collect();
        PackedBatch::new(&sequences.iter().map(Vec::as_slice).collect::<Vec<_>>(), Device::Cpu)
    }

    #[test]
    fn positions_start_anew_in_every_sequence() {
        let batch = batch(&[2, 3]);
        assert_eq!(Vec::<i64>::try_from(&batch.positions).unwrap(), [0, 1, 0, 1, 2]);
        assert_eq!(Vec::<i64>::try_from(&batch.last_rows()).unwrap(), [1, 4]);
        assert_eq!(batch.n_tokens(), 5);
    }

    #[test]
    fn an_answer_is_predicted_from_the_row_before_each_of_its_tokens() {
        let batch = PackedBatch::new(&[&[10, 11, 12], &[20, 21], &[30]], Device::Cpu);
        let answers = batch.answers(&[2, 0, 1]);
        assert_eq!(Vec::<i64>::try_from(&answers.rows).unwrap(), [1, 3]);
        assert_eq!(Vec::<i64>::try_from(&answers.ids).unwrap(), [12, 21]);
        assert_eq!(answers.lengths, [1, 1, 0]);
    }

    #[test]
    fn stretches_of_a_sequence_are_predicted_each_from_the_row_before() {
        let batch = PackedBatch::new(&[&[10, 11, 12, 13, 14], &[20, 21, 22]], Device::Cpu);
        let learnt = batch.stretches([[0..2, 4..5], [1..2, 2..3]].iter());
        assert_eq!(Vec::<i64>::try_from(&learnt.rows).unwrap(), [0, 3, 5, 6]);
        assert_eq!(Vec::<i64>::try_from(&learnt.ids).unwrap(), [11, 14, 21, 22]);
        assert_eq!(learnt.lengths, [2, 2]);
    }

    #[test]
    fn sequences_of_one_length_need_no_gathering() {
        let batch = batch(&[7, 7, 7]);
        assert_eq!(batch.layout.buckets.len(), 1);
        assert!(matches!(batch.layout.buckets[0].rows, BucketRows::From(0)));
        assert!(batch.layout.restore.is_none());
    }

    #[test]
    fn a_gpu_takes_the_whole_batch_in_one_bucket_and_a_cpu_what_is_of_similar_length() {
        let lengths = [5, 200, 30, 190, 1, 100];
        assert_eq!(grouped(&lengths, false), [vec![1, 3], vec![5], vec![2], vec![0, 4]]);
        assert_eq!(grouped(&lengths, true), [vec![0, 1, 2, 3, 4, 5]]);
    }

    #[test]
    fn every_row_comes_back_from_its_place_in_the_buckets() {
        let batch = batch(&[5, 200, 30, 190, 1, 100]);
        let lengths: Vec<_> = batch.layout.buckets.iter().map(|b| (b.n, b.length)).collect();
        assert_eq!(lengths, [(2, 200), (1, 100), (1, 30), (2, 5)]);
        let filled: Vec<Tensor> = batch
            .layout
            .buckets
            .iter()
            .map(|bucket| match &bucket.rows {
                BucketRows::From(start) => batch.ids.narrow(0, *start, bucket.n * bucket.length),
                BucketRows::Listed(rows) => batch.ids.index_select(0, rows),
            })
            .collect();
        let restored =
            Tensor::cat(&filled, 0).index_select(0, batch.layout.restore.as_ref().unwrap());
        assert_eq!(restored, batch.ids);
    }
}
