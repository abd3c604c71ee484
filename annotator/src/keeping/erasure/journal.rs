//! `erasures.jsonl` in the artifact store: what was erased, by hash or id. It outlives a database
//! that is restored from an older backup.

use crate::{
    keeping::{
        backup::manifest::ERASURES,
        erasure::{
            ErasureOrder,
            people::{self, WrittenTexts},
            texts,
        },
    },
    people::audit::AuditAction,
};
use anyhow::Context;
use entity::{
    account, audit_log,
    erasure::{self, ErasureKind},
    ids::AccountId,
    time::UnixMillis,
};
use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, HashSet},
    fs::{self, File},
    io::{self, Write},
    path::Path,
};
use storage::{artifact_store::ArtifactStore, lookup::portions};

/// A line of the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalLine {
    pub kind: ErasureKind,
    pub subject: String,
    pub reason: String,
    pub erased_by: Option<AccountId>,
    pub erased_at: UnixMillis,
    /// Whether texts were still to go with a person.
    #[serde(default)]
    pub texts_left: bool,
    /// Whether a text's words went from guidelines, too.
    #[serde(default)]
    pub guidelines: bool,
}

/// The lines of erasures.
pub(super) async fn lines(
    db: &impl ConnectionTrait,
    rows: &[erasure::Model],
) -> Result<Vec<JournalLine>, DbErr> {
    let mut in_guidelines: HashSet<String> = HashSet::new();
    for subjects in portions(rows.iter().map(|row| &row.subject)) {
        let told = audit_log::Entity::find()
            .filter(audit_log::Column::Action.eq(AuditAction::TextErase.code()))
            .filter(audit_log::Column::Subject.is_in(subjects))
            .all(db)
            .await?;
        let too = told.into_iter().filter(|line| line.details[texts::GUIDELINES] == true);
        in_guidelines.extend(too.map(|line| line.subject));
    }
    let line = |row: &erasure::Model| JournalLine {
        kind: row.kind,
        subject: row.subject.clone(),
        reason: row.reason.clone(),
        erased_by: row.erased_by,
        erased_at: row.erased_at,
        texts_left: row.texts_left,
        guidelines: in_guidelines.contains(&row.subject),
    };
    Ok(rows.iter().map(line).collect())
}

/// The lines of a file; none where it is not there.
pub fn read(file: &Path) -> anyhow::Result<Vec<JournalLine>> {
    let shown = file.display();
    let text = match fs::read_to_string(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        text => text.with_context(|| format!("cannot read {shown}"))?,
    };
    let line = |line| {
        serde_json::from_str(line).with_context(|| format!("{shown} has a line that is no erasure"))
    };
    text.lines().filter(|line| !line.trim().is_empty()).map(line).collect()
}

/// Adds the lines that are not in the store's file yet, and waits until they are on the disk. The
/// file is replaced as a whole: half a line would keep everything from being erased after it.
pub(crate) fn append(store: &ArtifactStore, lines: &[JournalLine]) -> anyhow::Result<()> {
    let path = store.root().join(ERASURES);
    let known = read(&path)?;
    let noted: HashSet<_> = known.iter().map(|line| (line.kind, &line.subject)).collect();
    let is_new = |line: &&JournalLine| !noted.contains(&(line.kind, &line.subject));
    let new: Vec<&JournalLine> = lines.iter().filter(is_new).collect();
    if new.is_empty() {
        return Ok(());
    }
    let mut text = String::new();
    for line in known.iter().chain(new) {
        text += &serde_json::to_string(line)?;
        text.push('\n');
    }
    let shown = path.display();
    let write = || {
        let begun = path.with_extension("jsonl.new");
        let mut file = File::create(&begun)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&begun, &path)?;
        File::open(store.root())?.sync_all()
    };
    write().with_context(|| format!("cannot write {shown}"))
}

/// Erases again what these lines say, in the transaction of a restore; how many there were to erase.
pub(crate) async fn apply(
    turn: &impl ConnectionTrait,
    lines: Vec<JournalLine>,
) -> anyhow::Result<usize> {
    // Of lines that say the same, the last.
    let lines: BTreeMap<_, _> = lines
        .into_iter()
        .map(|line| ((line.kind == ErasureKind::Account, line.subject.clone()), line))
        .collect();
    let mut n_erased = 0;
    for line in lines.into_values() {
        let by = match line.erased_by {
            Some(id) => account::Entity::find_by_id(id).one(turn).await?.map(|account| account.id),
            None => None,
        };
        let written = if line.texts_left { WrittenTexts::Go } else { WrittenTexts::Stay };
        let (reason, at, guidelines) = (line.reason, line.erased_at, line.guidelines);
        let order = ErasureOrder { reason, by, at, guidelines };
        n_erased += usize::from(match line.kind {
            ErasureKind::Text => texts::erase_one(turn, &line.subject, &order).await?,
            ErasureKind::Account => match line.subject.parse() {
                Ok(id) => people::erase_one(turn, id, &order, written).await?,
                Err(_) => false,
            },
        });
    }
    Ok(n_erased)
}
