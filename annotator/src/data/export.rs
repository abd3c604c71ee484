//! `annotator export` and the download in the web app: a project's work as JSON Lines in TRL's
//! formats. The rows are those a run would be trained on, held-out ones too.

use crate::{
    config::ExportConfig,
    data::{
        dataset,
        formats::{self, DatasetContents},
        scratch,
    },
    database,
    people::projects,
};
use anyhow::Context;
use entity::{dataset_version::DatasetCounts, ids::ProjectId};
use sea_orm::DatabaseConnection;
use std::{
    fs::File,
    io::{self, Write},
    path::Path,
};

/// The verb: writes the rows, and says on standard error how many were left out and why.
pub async fn run(request: ExportConfig) -> anyhow::Result<()> {
    let db = database::open_existing(&request.storage).await?;
    let project = projects::find_by_name(&db, &request.project)
        .await?
        .with_context(|| format!("there is no project named {:?}", request.project))?;
    let contents = formats::of(request.format).contents();
    let (files, counts) = rows(&db, project.id, contents).await?;
    let mut out: Box<dyn Write> = if request.out == Path::new("-") {
        Box::new(io::stdout().lock())
    } else {
        let name = request.out.display();
        Box::new(File::create(&request.out).with_context(|| format!("cannot write {name}"))?)
    };
    for mut file in files {
        io::copy(&mut file, &mut out).context("cannot write the rows")?;
    }
    out.flush().context("cannot write the rows")?;
    eprintln!("{}", summary(&counts));
    Ok(())
}

/// Files that hold the rows one after the other, and their counts. The files have no names any
/// more: they are gone when they are closed.
pub async fn rows(
    db: &DatabaseConnection,
    project: ProjectId,
    contents: DatasetContents,
) -> anyhow::Result<([File; 2], DatasetCounts)> {
    let folder = scratch::folder().context("cannot make a temporary folder")?;
    let (counts, _) = dataset::write(db, folder.path(), project, contents, None).await?;
    let open = |name| File::open(folder.path().join(name));
    Ok(([open("train.jsonl")?, open("eval.jsonl")?], counts))
}

/// One line for a person.
pub fn summary(counts: &DatasetCounts) -> String {
    format!(
        "{} rows; left out: {} ties, {} both bad, {} skipped",
        counts.train + counts.eval,
        counts.ties,
        counts.both_bad,
        counts.skipped
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_counts_what_was_left_out() {
        let counts = DatasetCounts {
            train: 8,
            eval: 1,
            ties: 2,
            both_bad: 3,
            skipped: 4,
            ..DatasetCounts::default()
        };
        assert_eq!(summary(&counts), "9 rows; left out: 2 ties, 3 both bad, 4 skipped");
    }
}
