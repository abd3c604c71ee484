//! Which rows a run used, as a fact of the run.

use entity::{
    message,
    report::{LogLevel, RunReport, RunSummary},
    row_use::{LeftOutReason, RowUse},
};
use std::collections::BTreeSet;
use trainer_base::{batches::RowBatches, job::Report, progress::say};

/// What a run said of its files, newest word by file, for its summary.
#[derive(Debug, Default)]
pub(crate) struct UsedRows(Vec<RowUse>);

impl UsedRows {
    pub(crate) fn listen(&mut self, event: &RunReport) {
        let RunReport::Rows { rows } = event else { return };
        // In its place: what is learnt from comes first.
        match self.0.iter_mut().find(|known| known.file == rows.file) {
            Some(known) => *known = rows.clone(),
            None => self.0.push(rows.clone()),
        }
    }

    pub(crate) fn put_into(self, summary: &mut RunSummary) {
        summary.rows = self.0;
    }
}

/// Tells which rows of its file a run in these batches does not come to; `places_of` are the file's rows of
/// one of the batches'.
pub(crate) fn tell_unreached_rows<I: IntoIterator<Item = usize>>(
    batches: &RowBatches,
    mut of_file: RowUse,
    places_of: impl Fn(usize) -> I,
    report: &mut Report,
) {
    let unreached: BTreeSet<usize> = batches.unreached().into_iter().collect();
    let mut places: BTreeSet<usize> = unreached.iter().flat_map(|&row| places_of(row)).collect();
    // A text is several rows here; one that is reached in part was learnt from.
    for row in (0..batches.n_rows()).filter(|row| !unreached.contains(row)) {
        for place in places_of(row) {
            places.remove(&place);
        }
    }
    tell_unreached(&mut of_file, &places, report);
}

/// Tells that a run ends before its first pass comes to the rows at these places of its file.
pub(crate) fn tell_unreached(of_file: &mut RowUse, places: &BTreeSet<usize>, report: &mut Report) {
    if places.is_empty() {
        return;
    }
    places.iter().for_each(|at| of_file.leave_out(*at as u64, LeftOutReason::NotReached));
    // A stop asked for here is asked for again at the first step.
    let _ = report(RunReport::Rows { rows: of_file.clone() });
    let unreached = message!(
        "data-not-reached",
        "{file}: the run ends before its first pass comes to {n} of {rows} rows",
        file = of_file.file.as_str(),
        n = places.len(),
        rows = of_file.rows
    );
    say(report, LogLevel::Warning, unreached);
}
