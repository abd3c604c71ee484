//! Rows, and which of them share a place of a batch.

use entity::{message, report::LogLevel};
use trainer_base::{job::Report, packing, progress::say, rows::SupervisedExample};

/// Rows with the packs that they go into: each by itself, or several.
pub(crate) struct PackedRows<'a> {
    pub(crate) rows: &'a [SupervisedExample],
    packs: Vec<Vec<usize>>,
}

impl<'a> PackedRows<'a> {
    /// Every row by itself.
    pub(crate) fn alone(rows: &'a [SupervisedExample]) -> Self {
        Self { rows, packs: packing::alone(rows.len()) }
    }

    /// Several rows in a pack, up to `most` tokens.
    pub(crate) fn packed(rows: &'a [SupervisedExample], most: usize) -> Self {
        let lengths: Vec<usize> = rows.iter().map(|row| row.ids.len()).collect();
        Self { rows, packs: packing::packed(&lengths, most) }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The rows of some packs.
    pub(crate) fn of(&self, packs: &[usize]) -> Vec<&'a SupervisedExample> {
        packs.iter().flat_map(|&pack| &self.packs[pack]).map(|&row| &self.rows[row]).collect()
    }

    /// Where the rows of a pack stand in their file.
    pub(crate) fn places(&self, pack: usize) -> Vec<usize> {
        self.of(&[pack]).into_iter().map(|row| row.index).collect()
    }

    /// All rows, so many packs at a time.
    pub(crate) fn chunks(&self, n_packs: usize) -> Vec<Vec<&'a SupervisedExample>> {
        let packs: Vec<usize> = (0..self.packs.len()).collect();
        packs.chunks(n_packs).map(|packs| self.of(packs)).collect()
    }

    /// Tokens of each pack.
    pub(crate) fn lengths(&self) -> Vec<f64> {
        let tokens = |pack| self.of(&[pack]).iter().map(|row| row.ids.len()).sum::<usize>() as f64;
        (0..self.packs.len()).map(tokens).collect()
    }

    pub(crate) fn n_tokens(&self) -> usize {
        self.rows.iter().map(|row| row.ids.len()).sum()
    }

    /// Says how well the rows fill their packs of up to `most` tokens.
    pub(crate) fn tell(&self, most: usize, report: &mut Report) {
        let room = (self.packs.len() * most).max(1) as f64;
        let packed = message!(
            "run-packed",
            "{rows} sequences go into {packs} packs of up to {most} tokens, which are {percent} % full; a batch is so many packs, and none of their sequences sees another",
            rows = self.rows.len(),
            packs = self.packs.len(),
            most = most,
            percent = (100.0 * self.n_tokens() as f64 / room).round() as u64
        );
        say(report, LogLevel::Info, packed);
    }
}
