//! Freezing what people said into files to train on.
//!
//! A version is a folder in the artifact store: `train.jsonl` and `eval.jsonl` in TRL's format, and
//! `ids.jsonl`, which says where every row came from and what was left out. The folder's hash names
//! the version, so that it covers ids and text hashes, and freezing the same content again gives
//! the version that is already there. A prompt that is withdrawn at that moment is not in it, nor
//! is anything that was said of it.
//!
//! **Invariant:** a prompt is on the same side of the split in every version, because its side
//! follows from the hash of its text alone.

mod frozen;
mod rows;

pub use crate::data::{
    dataset::frozen::{FrozenDataset, sweep_abandoned},
    formats::{DatasetContents, PromptSelection},
};

use crate::{
    data::{
        dataset::frozen::Item,
        formats::{self, DataFormat},
        texts,
    },
    keeping::artifacts,
    work::kinds::{self, LeftOut, TaskDefinition},
};
use anyhow::Context;
use entity::{
    dataset_version::{self, DatasetCounts},
    dataset_version_item::{self, DatasetSplit},
    ids::{JudgementId, ProjectId, PromptId},
    prompt,
    task::TaskKind,
    time::UnixMillis,
};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseConnection, DbErr, EntityTrait, PaginatorTrait,
    QueryFilter, QueryOrder, QuerySelect, Select,
};
use serde_json::{Value, json};
use std::{
    fs::File,
    io::{BufWriter, Write},
    ops::Range,
    path::Path,
};
use storage::{artifact_store::ArtifactStore, database};

/// Rows whose texts are held in memory at once, and ids in one `IN (…)`.
const CHUNK: usize = 500;

/// The side of the split that a prompt is on: about a tenth is held out.
///
/// `prompt_hash` is the SHA-256 of the prompt's text in hexadecimal.
pub fn split_of(prompt_hash: &str) -> DatasetSplit {
    let leading = prompt_hash.get(..8).and_then(|digits| u32::from_str_radix(digits, 16).ok());
    if leading.unwrap_or(1).is_multiple_of(10) { DatasetSplit::Eval } else { DatasetSplit::Train }
}

/// Writes the project's present content to the store. Holds ids and hashes in memory, and the texts
/// of [`CHUNK`] rows at a time.
pub async fn freeze(
    db: &DatabaseConnection,
    store: &ArtifactStore,
    project: ProjectId,
    contents: DatasetContents,
) -> anyhow::Result<FrozenDataset> {
    let (folder, begun_at) = (store.incoming()?, UnixMillis::now());
    let written = write(db, &folder, project, contents, None).await;
    if written.is_err() {
        std::fs::remove_dir_all(&folder)?;
    }
    let (counts, items) = written?;
    let (store, incoming) = (store.clone(), folder);
    let stored = tokio::task::spawn_blocking(move || store.adopt(&incoming))
        .await?
        .context("cannot keep the dataset version in the artifact store")?;
    // At once, so that it is known, and removed, if no version comes of it.
    let kept = &stored;
    database::write(db, |turn| async move { artifacts::record(&*turn, kept).await }).await?;
    Ok(FrozenDataset { project, kind: contents.kind(), stored, begun_at, counts, items })
}

/// The versions of a project whose rows are all there.
pub fn versions_of(project: ProjectId) -> Select<dataset_version::Entity> {
    dataset_version::Entity::find()
        .filter(dataset_version::Column::ProjectId.eq(project))
        .filter(dataset_version::Column::FillingSince.is_null())
}

/// Some rows of a version, those to train on first. A row is found by its number alone, however many
/// come before it.
pub async fn rows_of(
    db: &impl ConnectionTrait,
    version: &dataset_version::Model,
    numbers: Range<u64>,
) -> Result<Vec<dataset_version_item::Model>, DbErr> {
    let n_train = version.counts.train;
    let of_train = numbers.start..numbers.end.min(n_train);
    let of_eval = numbers.start.max(n_train) - n_train..numbers.end.max(n_train) - n_train;
    let mut found = Vec::new();
    for (split, positions) in [(DatasetSplit::Train, of_train), (DatasetSplit::Eval, of_eval)] {
        if positions.is_empty() {
            continue;
        }
        let rows = dataset_version_item::Entity::find()
            .filter(dataset_version_item::Column::DatasetVersionId.eq(version.id))
            .filter(dataset_version_item::Column::Split.eq(split))
            .filter(dataset_version_item::Column::Position.gte(positions.start as i32))
            .filter(dataset_version_item::Column::Position.lt(positions.end as i32))
            .order_by_asc(dataset_version_item::Column::Position);
        found.extend(rows.all(db).await?);
    }
    Ok(found)
}

/// Writes `train.jsonl`, `eval.jsonl` and `ids.jsonl` into a folder that is there, of everything or of
/// so many prompts or judgements: the first by the prompt's hash, which has nothing to do with them.
pub(crate) async fn write(
    db: &impl ConnectionTrait,
    folder: &Path,
    project: ProjectId,
    contents: DatasetContents,
    most: Option<u64>,
) -> anyhow::Result<(DatasetCounts, Vec<Item>)> {
    let mut files = Files::create(folder)?;
    match contents {
        DatasetContents::Prompts(prompts) => {
            write_prompts(db, &mut files, project, prompts, most).await?;
        }
        _ => write_judged(db, &mut files, project, contents, most).await?,
    }
    files.finish()
}

fn prompts_of(project: ProjectId) -> Select<prompt::Entity> {
    prompt::Entity::find()
        .filter(prompt::Column::ProjectId.eq(project))
        .filter(prompt::Column::WithdrawnAt.is_null())
}

/// How many prompts or judgements [`write()`] looks at.
pub(crate) async fn n_candidates(
    db: &impl ConnectionTrait,
    project: ProjectId,
    contents: DatasetContents,
) -> Result<u64, DbErr> {
    match contents {
        DatasetContents::Prompts(_) => prompts_of(project).count(db).await,
        _ => rows::judged(project, task_kinds(formats::of(contents.kind()))).count(db).await,
    }
}

/// The kinds of task whose judgements make rows of a format.
fn task_kinds(format: &dyn DataFormat) -> Vec<TaskKind> {
    let kinds = kinds::all().filter(|kind| kind.gives() == Some(format.kind()));
    kinds.map(TaskDefinition::kind).collect()
}

async fn write_prompts(
    db: &impl ConnectionTrait,
    files: &mut Files,
    project: ProjectId,
    prompts: PromptSelection,
    most: Option<u64>,
) -> anyhow::Result<()> {
    let all =
        prompts_of(project).order_by_asc(prompt::Column::TextHash).limit(most).all(db).await?;
    let placed = |prompt: prompt::Model| {
        prompts.file(split_of(&prompt.text_hash)).map(|file| (prompt, file))
    };
    let chosen: Vec<_> = all.into_iter().filter_map(placed).collect();
    for chunk in chosen.chunks(CHUNK) {
        let hashes = chunk.iter().map(|(prompt, _)| prompt.text_hash.clone());
        let texts = texts::load_all(db, hashes).await?;
        for (prompt, file) in chunk {
            let Some(text) = texts.get(&prompt.text_hash) else {
                files.counts.redacted += 1;
                continue;
            };
            let row = json!({ "prompt": serde_json::from_str::<Value>(text)? });
            let ids = json!({ "prompt": prompt.id, "prompt_hash": prompt.text_hash });
            files.row(*file, row, ids, prompt.id, None)?;
        }
    }
    Ok(())
}

/// The rows that the judgements of every kind of task give which makes rows of this format.
async fn write_judged(
    db: &impl ConnectionTrait,
    files: &mut Files,
    project: ProjectId,
    contents: DatasetContents,
    most: Option<u64>,
) -> anyhow::Result<()> {
    let format = formats::of(contents.kind());
    let has_margins = contents == DatasetContents::PreferencesWithMargins;
    let judged = rows::latest_judgements(db, project, task_kinds(format), most).await?;
    for chunk in judged.chunks(CHUNK) {
        let shown = rows::answers_of(db, chunk.iter().map(|judged| judged.task_id)).await?;
        let found: Vec<_> = chunk.iter().map(|judged| judged.answers(&shown)).collect();
        let hashes = chunk.iter().map(|judged| judged.prompt_hash.clone());
        let answers = found.iter().flatten().flatten().cloned();
        let texts = texts::load_all(db, hashes.chain(answers)).await?;
        for (judged, answers) in chunk.iter().zip(found) {
            let row = answers.and_then(|hashes| judged.row(format, &hashes, &texts));
            match row {
                Ok((mut row, ids)) => {
                    if let Some(margin) = judged.margin().filter(|_| has_margins) {
                        row["margin"] = json!(margin);
                        files.counts.margins += 1;
                    }
                    let split = split_of(&judged.prompt_hash);
                    files.row(split, row, ids, judged.prompt_id, Some(judged.id))?;
                }
                Err(reason) => files.leave_out(judged.id, reason)?,
            }
        }
    }
    Ok(())
}

/// The three files of a version while they are being written.
struct Files {
    train: BufWriter<File>,
    eval: BufWriter<File>,
    ids: BufWriter<File>,
    counts: DatasetCounts,
    items: Vec<Item>,
}

impl Files {
    fn create(folder: &Path) -> std::io::Result<Self> {
        let file = |name| Ok::<_, std::io::Error>(BufWriter::new(File::create(folder.join(name))?));
        Ok(Self {
            train: file("train.jsonl")?,
            eval: file("eval.jsonl")?,
            ids: file("ids.jsonl")?,
            counts: DatasetCounts::default(),
            items: Vec::new(),
        })
    }

    fn row(
        &mut self,
        split: DatasetSplit,
        row: Value,
        mut ids: Value,
        prompt: PromptId,
        judgement: Option<JudgementId>,
    ) -> std::io::Result<()> {
        let (file, count) = match split {
            DatasetSplit::Train => (&mut self.train, &mut self.counts.train),
            DatasetSplit::Eval => (&mut self.eval, &mut self.counts.eval),
        };
        ids["split"] = json!(split);
        ids["position"] = json!(*count);
        self.items.push(Item { split, position: *count as i32, prompt, judgement });
        *count += 1;
        canonical_line(file, row)?;
        canonical_line(&mut self.ids, ids)
    }

    fn leave_out(&mut self, judgement: JudgementId, reason: LeftOut) -> std::io::Result<()> {
        let (count, reason) = match reason {
            LeftOut::Skipped => (&mut self.counts.skipped, "skipped"),
            LeftOut::Tie => (&mut self.counts.ties, "tie"),
            LeftOut::BothBad => (&mut self.counts.both_bad, "both_bad"),
            LeftOut::Redacted => (&mut self.counts.redacted, "redacted"),
        };
        *count += 1;
        canonical_line(&mut self.ids, json!({ "judgement": judgement, "left_out": reason }))
    }

    fn finish(mut self) -> anyhow::Result<(DatasetCounts, Vec<Item>)> {
        for file in [&mut self.train, &mut self.eval, &mut self.ids] {
            file.flush()?;
        }
        Ok((self.counts, self.items))
    }
}

/// One JSON value on one line, keys sorted at every depth.
fn canonical_line(file: &mut impl Write, mut value: Value) -> std::io::Result<()> {
    value.sort_all_objects();
    writeln!(file, "{value}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use entity::hash::sha256_hex;

    #[test]
    fn about_a_tenth_of_the_prompts_is_held_out() {
        let held_out = (0..10_000)
            .filter(|n| split_of(&sha256_hex(format!("prompt {n}"))) == DatasetSplit::Eval)
            .count();
        assert!((900..1100).contains(&held_out), "{held_out} of 10000");
    }

    #[test]
    fn a_line_has_its_keys_sorted_at_every_depth() {
        let mut line = Vec::new();
        canonical_line(&mut line, json!({"b": [{"role": "user", "content": "x"}], "a": 1}))
            .unwrap();
        assert_eq!(
            String::from_utf8(line).unwrap(),
            "{\"a\":1,\"b\":[{\"content\":\"x\",\"role\":\"user\"}]}\n"
        );
    }
}
