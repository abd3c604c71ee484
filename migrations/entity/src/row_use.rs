//! What a run made of a file of rows: how many it used, which it left out, and why.

use serde::{Deserialize, Serialize};

/// Ranges of places that are kept for one reason; of more scattered rows the number alone is known.
const MOST_RANGES: usize = 50_000;

/// A file of rows as a run used it. Said once it was read, and kept in the run's summary.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowUse {
    /// The file's name: "train.jsonl".
    pub file: String,
    /// Rows in it, blank lines left out.
    pub rows: u64,
    /// Rows that the run works with: all but those left out.
    pub used: u64,
    /// Of the used ones, those cut at the end to `max_length`.
    pub cut: u64,
    /// The longest sequence allowed, in tokens.
    pub max_length: u64,
    /// Of the used ones, those that are read as several sequences, one for each answer.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub split: u64,
    /// Tokens of the used ones, and those among them that are learnt; 0 where that is not told.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub tokens: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub learnt: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<LeftOutRows>,
}

/// Rows that were left out for one reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOutRows {
    pub reason: LeftOutReason,
    pub rows: u64,
    /// Their places, counted from 0, as first and last of each stretch; none where they are too
    /// scattered to be listed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Vec<(u64, u64)>>,
}

/// Why a run leaves a row out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LeftOutReason {
    /// Longer than the longest sequence allowed.
    TooLong,
    /// Nothing in it to learn from.
    Empty,
    /// Both answers of the pair are the same.
    Identical,
    /// The run ends before its first pass comes to it.
    NotReached,
}

/// What a run made of one row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UseOfRow {
    Used,
    LeftOut(LeftOutReason),
    /// Rows were left out, and which is not known any more.
    Unknown,
}

/// Keeps what most files have not out of what is stored.
fn is_zero(n: &u64) -> bool {
    *n == 0
}

impl RowUse {
    /// Leaves out the row at a place. Places come in rising order, reason by reason.
    pub fn leave_out(&mut self, place: u64, reason: LeftOutReason) {
        self.used = self.used.saturating_sub(1);
        let known = self.left_out.iter().position(|left_out| left_out.reason == reason);
        let at = known.unwrap_or_else(|| {
            self.left_out.push(LeftOutRows { reason, rows: 0, at: Some(Vec::new()) });
            self.left_out.len() - 1
        });
        self.left_out[at].add(place);
    }

    /// How many rows were left out, whatever the reason.
    pub fn n_left_out(&self) -> u64 {
        self.left_out.iter().map(|left_out| left_out.rows).sum()
    }

    /// How many rows were left out for this reason.
    pub fn n_left_out_for(&self, reason: LeftOutReason) -> u64 {
        let of_reason = |left_out: &&LeftOutRows| left_out.reason == reason;
        self.left_out.iter().filter(of_reason).map(|left_out| left_out.rows).sum()
    }

    /// What became of the row at a place, counted from 0.
    pub fn of_row(&self, place: u64) -> UseOfRow {
        let is_in = |ranges: &Vec<(u64, u64)>| {
            ranges.iter().any(|(first, last)| (*first..=*last).contains(&place))
        };
        let found = self.left_out.iter().find(|left_out| left_out.at.as_ref().is_some_and(is_in));
        match found {
            Some(left_out) => UseOfRow::LeftOut(left_out.reason),
            None if self.left_out.iter().any(|left_out| left_out.at.is_none()) => UseOfRow::Unknown,
            None => UseOfRow::Used,
        }
    }
}

impl LeftOutRows {
    fn add(&mut self, place: u64) {
        self.rows += 1;
        let Some(ranges) = &mut self.at else { return };
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == place => *last = place,
            _ => ranges.push((place, place)),
        }
        if ranges.len() > MOST_RANGES {
            self.at = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(rows: u64) -> RowUse {
        RowUse { file: "train.jsonl".to_owned(), rows, used: rows, ..RowUse::default() }
    }

    #[test]
    fn each_row_is_known_to_be_used_or_left_out_and_why() {
        let mut rows = of(6);
        for place in [1, 2, 5] {
            rows.leave_out(place, LeftOutReason::TooLong);
        }
        rows.leave_out(3, LeftOutReason::NotReached);
        assert_eq!((rows.used, rows.n_left_out()), (2, 4));
        assert_eq!(rows.of_row(0), UseOfRow::Used);
        assert_eq!(rows.of_row(2), UseOfRow::LeftOut(LeftOutReason::TooLong));
        assert_eq!(rows.of_row(3), UseOfRow::LeftOut(LeftOutReason::NotReached));
        let said = serde_json::to_value(&rows).unwrap();
        assert_eq!(
            said["left_out"][0],
            json!({"reason": "too_long", "rows": 3, "at": [[1, 2], [5, 5]]})
        );
        assert_eq!(serde_json::from_value::<RowUse>(said).unwrap(), rows);
    }

    #[test]
    fn rows_too_scattered_to_be_listed_are_counted_and_no_longer_claimed() {
        let mut rows = of(200_000);
        for place in 0..=MOST_RANGES as u64 {
            rows.leave_out(2 * place, LeftOutReason::TooLong);
        }
        assert_eq!(rows.n_left_out(), MOST_RANGES as u64 + 1);
        assert_eq!(rows.of_row(1), UseOfRow::Unknown);
    }
}
