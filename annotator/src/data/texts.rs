//! Texts by hash: stored once, referred to from everywhere.

use entity::{hash::sha256_hex, text, time::UnixMillis};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QuerySelect, QueryTrait,
    sea_query::{Expr, ExprTrait, Func, InsertStatement, LockType, OnConflict},
};
use std::collections::{BTreeSet, HashMap};
use storage::{database::row_chunks, lookup::portions, storable::storable};

/// A statement takes this many values at the most on either database.
const CHUNK: usize = 500;

/// A text as it is stored, with the hash by which others refer to it. The two are made together, so
/// that no reference leads nowhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HashedText {
    hash: String,
    body: String,
}

impl HashedText {
    pub fn new(body: impl Into<String>) -> Self {
        let body = storable(body);
        Self { hash: sha256_hex(&body), body }
    }

    pub fn hash(&self) -> String {
        self.hash.clone()
    }

    fn into_row(self, now: UnixMillis) -> text::ActiveModel {
        text::ActiveModel { hash: Set(self.hash), body: Set(Some(self.body)), created_at: Set(now) }
    }
}

/// Stores the texts that are not there, and returns those that were erased for the law: they are not
/// kept again, and nothing is to be made of them. In the order of their hashes, so that two who store
/// the same texts wait for each other in turn, and not in a circle.
pub async fn store_all(
    db: &impl ConnectionTrait,
    mut texts: Vec<HashedText>,
) -> Result<BTreeSet<String>, DbErr> {
    texts.sort_by(|one, other| one.hash.cmp(&other.hash));
    texts.dedup();
    let now = UnixMillis::now();
    let mut erased = BTreeSet::new();
    for chunk in row_chunks(texts) {
        let hashes: Vec<String> = chunk.iter().map(HashedText::hash).collect();
        let rows = chunk.into_iter().map(|text| text.into_row(now));
        let insert = text::Entity::insert_many(rows).on_conflict(once());
        let n_new = insert.exec_without_returning(db).await?;
        if n_new < hashes.len() as u64 {
            erased.extend(erased_among(db, hashes).await?);
        }
    }
    Ok(erased)
}

/// One text, stored with other things at once ([`storage::write_batch`]): whoever does so asks
/// afterwards whether it was erased ([`erased_among`]) where it was there already.
pub fn storing(text: &HashedText) -> InsertStatement {
    let row = text.clone().into_row(UnixMillis::now());
    text::Entity::insert(row).on_conflict(once()).into_query()
}

/// A text that is there stays as it is.
fn once() -> OnConflict {
    OnConflict::column(text::Column::Hash).do_nothing().to_owned()
}

/// Those of some texts that were erased for the law. Whoever erases one of the others waits until
/// this transaction has ended. (SQLite lets one writer in at a time.)
pub async fn erased_among(
    db: &impl ConnectionTrait,
    hashes: impl IntoIterator<Item = String>,
) -> Result<BTreeSet<String>, DbErr> {
    let mut erased = BTreeSet::new();
    for some in portions(hashes) {
        let held: Vec<(String, bool)> = text::Entity::find()
            .select_only()
            .column(text::Column::Hash)
            .expr_as(Expr::col(text::Column::Body).is_null(), "is_erased")
            .filter(text::Column::Hash.is_in(some))
            .lock(LockType::Share)
            .into_tuple()
            .all(db)
            .await?;
        erased.extend(held.into_iter().filter_map(|(hash, is_erased)| is_erased.then_some(hash)));
    }
    Ok(erased)
}

/// Whether nothing of a text would be seen: white space, and characters that have no shape.
pub fn is_blank(text: &str) -> bool {
    let is_unseen = |letter: char| {
        letter.is_whitespace()
            || letter.is_control()
            || matches!(letter, '\u{AD}' | '\u{34F}' | '\u{61C}' | '\u{115F}' | '\u{1160}')
            || matches!(letter, '\u{17B4}' | '\u{17B5}' | '\u{180B}'..='\u{180F}')
            || matches!(letter, '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}')
            || matches!(letter, '\u{2060}'..='\u{206F}' | '\u{2800}' | '\u{3164}')
            || matches!(letter, '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}' | '\u{FFA0}')
            || matches!(letter, '\u{E0000}'..='\u{E0FFF}')
    };
    text.chars().all(is_unseen)
}

/// How much of a text a list shows, in letters.
const BEGINNING: usize = 160;

/// The beginning of a text, for lists.
pub fn beginning(text: &str) -> String {
    match text.char_indices().nth(BEGINNING) {
        Some((end, _)) => format!("{}…", text[..end].trim_end()),
        None => text.to_owned(),
    }
}

/// How much of a text is read for a list, in letters: a prompt's JSON is longer than what it says.
const READ_FOR_LIST: i32 = 8192;

/// The beginnings of the texts of many hashes, long enough for a list. Unknown and redacted ones are
/// missing from the answer.
pub async fn beginnings(
    db: &impl ConnectionTrait,
    hashes: impl IntoIterator<Item = String>,
) -> Result<HashMap<String, String>, DbErr> {
    let hashes: Vec<String> = hashes.into_iter().collect();
    let mut found = HashMap::new();
    for chunk in hashes.chunks(CHUNK) {
        let beginning =
            Func::cust("substr").arg(Expr::col(text::Column::Body)).arg(1).arg(READ_FOR_LIST);
        let rows: Vec<(String, Option<String>)> = text::Entity::find()
            .select_only()
            .column(text::Column::Hash)
            .expr_as(beginning, "beginning")
            .filter(text::Column::Hash.is_in(chunk))
            .into_tuple()
            .all(db)
            .await?;
        found.extend(rows.into_iter().filter_map(|(hash, text)| Some((hash, text?))));
    }
    Ok(found)
}

/// The text of that hash; none when it is unknown or redacted.
pub async fn load(db: &impl ConnectionTrait, hash: &str) -> Result<Option<String>, DbErr> {
    Ok(text::Entity::find_by_id(hash).one(db).await?.and_then(|text| text.body))
}

/// The texts of many hashes. Unknown and redacted ones are missing from the answer.
pub async fn load_all(
    db: &impl ConnectionTrait,
    hashes: impl IntoIterator<Item = String>,
) -> Result<HashMap<String, String>, DbErr> {
    let hashes: Vec<String> = hashes.into_iter().collect();
    let mut bodies = HashMap::new();
    for chunk in hashes.chunks(CHUNK) {
        let rows = text::Entity::find().filter(text::Column::Hash.is_in(chunk)).all(db).await?;
        bodies.extend(rows.into_iter().filter_map(|row| Some((row.hash, row.body?))));
    }
    Ok(bodies)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_of_which_nothing_is_seen_is_blank() {
        for blank in ["", " \n\t", "\u{A0}", "\u{200B}\u{200D}", "\u{FEFF}", "\u{2800}", "\0"] {
            assert!(is_blank(blank), "{blank:?}");
        }
        for seen in ["a", ".", " é ", "\u{1F600}", "\u{200F}שלום"] {
            assert!(!is_blank(seen), "{seen:?}");
        }
    }

    #[test]
    fn a_long_text_is_cut_between_letters() {
        assert_eq!(beginning("short"), "short");
        let long = "ё".repeat(BEGINNING + 1);
        assert_eq!(beginning(&long).chars().count(), BEGINNING + 1);
        assert!(beginning(&long).ends_with("ё…"));
    }
}
