//! Words that stand in other rows than their own: drafts, what a run said, settings, lines of the
//! audit log. Every column of text is looked through, but for what programs alone write ([`fields`]); a
//! new table is looked through without being named there.

use crate::keeping::{
    backup::tables::{self, ColumnKind, TableColumn, TableShape, quoted},
    erasure::{
        alike::{self, PlainSpelling},
        fields::{self, ColumnWords, FieldWords, Fields},
    },
};
use sea_orm::{ConnectionTrait, DbBackend, DbErr, QueryResult, Statement, Value as SqlValue};
use serde_json::Value;
use std::{collections::BTreeSet, ops::Range, sync::Arc};
use tokio::task::spawn_blocking;

/// What stands where words were.
pub const ERASED: &str = "[erased]";

/// Shorter words count only where they are a whole text: "Yes." stands in many.
const MIN_WITHIN: usize = 12;

/// Whether words are told from others wherever they stand.
pub(super) fn are_long(words: &str) -> bool {
    words.chars().count() >= MIN_WITHIN
}

/// How many signs one statement looks for: SQLite takes a thousand conditions at the most, and a
/// conversation has two for each message.
const SIGNS_AT_ONCE: usize = 200;

/// Rows whose words are in memory at once.
const ROWS_AT_ONCE: usize = 50;

/// What people wrote for everybody.
const GUIDELINES: (&str, &str) = ("project", "guidelines");

/// Words to be found, as rows may hold them.
pub struct ErasedWords {
    /// As they were.
    words: Vec<String>,
    /// In the one spelling (see [`alike`]): what goes wherever it stands, and what goes alone.
    within: Vec<String>,
    whole: Vec<String>,
    are_names: bool,
}

impl ErasedWords {
    /// Texts that somebody wrote.
    pub fn new(words: impl IntoIterator<Item = String>) -> Self {
        let mut new = Self::long_ones([]);
        for words in words.into_iter().filter(|words| !words.trim().is_empty()) {
            let place = if are_long(&words) { &mut new.within } else { &mut new.whole };
            place.push(PlainSpelling::of(&words).spelt().to_owned());
            new.words.push(words);
        }
        new
    }

    /// The same without those that are short: others write them, too.
    pub fn long_ones(words: impl IntoIterator<Item = String>) -> Self {
        let words = words.into_iter().filter(|words| are_long(words) && !words.trim().is_empty());
        let words: Vec<String> = words.collect();
        let within = words.iter().map(|words| PlainSpelling::of(words).spelt().to_owned());
        let (within, whole) = (within.collect(), Vec::new());
        Self { words, within, whole, are_names: false }
    }

    /// Names of people, which stand in sentences.
    pub fn names(names: impl IntoIterator<Item = String>) -> Self {
        Self { are_names: true, ..Self::long_ones(names) }
    }

    fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// What a row must contain to be looked at, as text or within JSON.
    fn signs(&self) -> Vec<String> {
        let signs: BTreeSet<String> =
            self.words.iter().flat_map(|words| alike::signs(words)).collect();
        signs.into_iter().collect()
    }

    pub(super) fn stand_in(&self, text: &str, fields: Fields) -> bool {
        self.removed_from(text, fields).is_some()
    }

    /// The value without the words; None when they are not in it.
    fn removed_from(&self, text: &str, fields: Fields) -> Option<String> {
        if let Ok(mut json @ (Value::Array(_) | Value::Object(_) | Value::String(_))) =
            serde_json::from_str::<Value>(text)
        {
            return self.remove_from_json(&mut json, &[], fields).then(|| json.to_string());
        }
        self.remove_from_text(text, &[], fields)
    }

    fn remove_from_text(&self, text: &str, path: &[&str], fields: Fields) -> Option<String> {
        match fields(path).unwrap_or(FieldWords::Sentences) {
            FieldWords::OfPrograms => return None,
            FieldWords::Text | FieldWords::NameOfThing if self.are_names => return None,
            FieldWords::Text if self.is_whole(text) => return Some(ERASED.to_owned()),
            FieldWords::Text | FieldWords::Sentences | FieldWords::NameOfThing => {}
        }
        let spelling = PlainSpelling::of(text);
        let mut places: Vec<Range<usize>> =
            self.within.iter().flat_map(|words| spelling.places(words)).collect();
        if places.is_empty() {
            return None;
        }
        places.sort_by_key(|place| place.start);
        let (mut left, mut end) = (String::new(), 0);
        for place in places {
            if place.start >= end {
                left.push_str(&text[end..place.start]);
                left.push_str(ERASED);
            }
            end = end.max(place.end);
        }
        left.push_str(&text[end..]);
        Some(left)
    }

    fn is_whole(&self, text: &str) -> bool {
        let is_it = |spelt: &str| self.whole.iter().any(|words| words == spelt);
        !self.whole.is_empty() && is_it(PlainSpelling::of(text).spelt())
    }

    fn remove_from_json(&self, json: &mut Value, path: &[&str], fields: Fields) -> bool {
        match json {
            Value::String(text) => match self.remove_from_text(text, path, fields) {
                Some(left) => {
                    *text = left;
                    true
                }
                None => false,
            },
            Value::Array(values) => values
                .iter_mut()
                .fold(false, |found, value| self.remove_from_json(value, path, fields) | found),
            Value::Object(values) => values.iter_mut().fold(false, |found, (name, value)| {
                let path = [path, &[name.as_str()]].concat();
                self.remove_from_json(value, &path, fields) | found
            }),
            Value::Null | Value::Bool(_) | Value::Number(_) => false,
        }
    }
}

/// Takes the words out of every row, but for the guidelines of projects unless those change too; how
/// many rows changed.
pub async fn everywhere(
    db: &impl ConnectionTrait,
    words: ErasedWords,
    guidelines: bool,
) -> anyhow::Result<u64> {
    let mut n_changed = 0;
    if words.is_empty() {
        return Ok(0);
    }
    let words = Arc::new(words);
    for mut table in tables::all(db).await? {
        if !guidelines && table.name == GUIDELINES.0 {
            table.columns.retain(|column| column.name != GUIDELINES.1);
        }
        n_changed += in_table(db, &table, &words).await?;
    }
    Ok(n_changed)
}

/// The same in the audit log alone, which names people.
pub async fn in_audit_log(db: &impl ConnectionTrait, words: ErasedWords) -> anyhow::Result<()> {
    let words = Arc::new(words);
    for table in tables::all(db).await?.iter().filter(|table| table.name == "audit_log") {
        in_table(db, table, &words).await?;
    }
    Ok(())
}

/// The columns of a table that may hold words, with what is known of their fields.
pub(super) fn wordy(table: &TableShape) -> Vec<(&TableColumn, Fields)> {
    let holds = |column: &&TableColumn| {
        matches!(column.kind, ColumnKind::Text | ColumnKind::Json) && !column.is_key
    };
    let columns = table.columns.iter().filter(holds);
    let known = columns.filter_map(|column| match fields::of_column(&table.name, &column.name) {
        Some(ColumnWords::OfPrograms) => None,
        Some(ColumnWords::Fields(fields)) => Some((column, fields)),
        None => Some((column, (|_| None) as Fields)),
    });
    known.collect()
}

async fn in_table(
    db: &impl ConnectionTrait,
    table: &TableShape,
    words: &Arc<ErasedWords>,
) -> anyhow::Result<u64> {
    let mut n_changed = 0;
    let signs = words.signs();
    for (column, fields) in wordy(table) {
        for signs in signs.chunks(SIGNS_AT_ONCE) {
            let mut after = Vec::new();
            loop {
                let rows = rows_with(db, table, column, signs, after).await?;
                let Some((last, _)) = rows.last() else { break };
                after = last.clone();
                let words = words.clone();
                let change =
                    move |(key, said): WordyRow| Some((key, words.removed_from(&said, fields)?));
                // Beside the threads that serve: a row may hold a million letters.
                let changing = move || rows.into_iter().filter_map(change).collect::<Vec<_>>();
                for (key, left) in spawn_blocking(changing).await? {
                    replace(db, table, column, key, left).await?;
                    n_changed += 1;
                }
            }
        }
    }
    Ok(n_changed)
}

/// The key of a row that may have the words in a column, and what it has there.
type WordyRow = (Vec<SqlValue>, String);

/// Some of these rows by their keys, after those of a key.
async fn rows_with(
    db: &impl ConnectionTrait,
    table: &TableShape,
    column: &TableColumn,
    signs: &[String],
    after: Vec<SqlValue>,
) -> Result<Vec<WordyRow>, DbErr> {
    let backend = db.get_database_backend();
    let is_postgres = backend == DbBackend::Postgres;
    let holder = |place: usize| if is_postgres { format!("${place}") } else { "?".to_owned() };
    let name = quoted(&column.name);
    let said = if is_postgres { format!("{name}::text") } else { name };
    let conditions: Vec<String> = (1..=signs.len())
        .map(|place| match is_postgres {
            true => format!("position(${place} in {said}) > 0"),
            false => format!("instr({said}, ?) > 0"),
        })
        .collect();
    let key = keys(table).map(|key| quoted(&key.name)).collect::<Vec<_>>().join(", ");
    let places: Vec<String> = (1..=after.len()).map(|place| holder(signs.len() + place)).collect();
    let later = match places.is_empty() {
        true => String::new(),
        false => format!(" AND ({key}) > ({})", places.join(", ")),
    };
    let sql = format!(
        "SELECT {key}, {said} AS said FROM {} WHERE ({}){later} ORDER BY {key} LIMIT {ROWS_AT_ONCE}",
        quoted(&table.name),
        conditions.join(" OR ")
    );
    let values = signs.iter().cloned().map(SqlValue::from).chain(after);
    let rows = db.query_all_raw(Statement::from_sql_and_values(backend, sql, values)).await?;
    let wordy = |row: &QueryResult| {
        let key = keys(table).map(|key| key_of(row, key)).collect::<Result<_, _>>()?;
        Ok((key, row.try_get("", "said")?))
    };
    rows.iter().map(wordy).collect()
}

fn keys(table: &TableShape) -> impl Iterator<Item = &TableColumn> {
    table.columns.iter().filter(|column| column.is_key)
}

async fn replace(
    db: &impl ConnectionTrait,
    table: &TableShape,
    column: &TableColumn,
    key: Vec<SqlValue>,
    left: String,
) -> Result<(), DbErr> {
    let backend = db.get_database_backend();
    let is_postgres = backend == DbBackend::Postgres;
    let holder = |place: usize| if is_postgres { format!("${place}") } else { "?".to_owned() };
    let cast = if is_postgres && column.kind == ColumnKind::Json { "::jsonb" } else { "" };
    let (mut values, mut conditions) = (vec![SqlValue::from(left)], Vec::new());
    for (idx, (column, key)) in keys(table).zip(key).enumerate() {
        conditions.push(format!("{} = {}", quoted(&column.name), holder(idx + 2)));
        values.push(key);
    }
    let sql = format!(
        "UPDATE {} SET {} = {}{cast} WHERE {}",
        quoted(&table.name),
        quoted(&column.name),
        holder(1),
        conditions.join(" AND ")
    );
    db.execute_raw(Statement::from_sql_and_values(backend, sql, values)).await.map(drop)
}

fn key_of(row: &QueryResult, key: &TableColumn) -> Result<SqlValue, DbErr> {
    Ok(match key.kind {
        ColumnKind::Id => SqlValue::Uuid(Some(row.try_get("", &key.name)?)),
        ColumnKind::Bytes => SqlValue::Bytes(Some(row.try_get("", &key.name)?)),
        ColumnKind::Integer => SqlValue::BigInt(Some(row.try_get("", &key.name)?)),
        _ => SqlValue::String(Some(row.try_get("", &key.name)?)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Any text that somebody wrote.
    const TEXT: Fields = |_| Some(FieldWords::Text);

    #[test]
    fn long_words_go_wherever_they_stand_and_short_ones_only_alone() {
        let words = ErasedWords::new(["Anna's secret\nrecipe".to_owned(), "Anna".to_owned()]);
        let gone = |text: &str| words.removed_from(text, TEXT);
        assert_eq!(gone("Quoted: Anna's secret\nrecipe!").unwrap(), "Quoted: [erased]!");
        assert_eq!(gone("Anna").unwrap(), ERASED);
        assert_eq!(gone("Anna K."), None);
        let json = r#"{"name":"Anna","said":["by Anna","> Anna's secret\r\nrecipe"],"n":1}"#;
        let left = r#"{"name":"[erased]","said":["by Anna","> [erased]"],"n":1}"#;
        assert_eq!(gone(json).unwrap(), left);
    }

    #[test]
    fn words_are_found_however_their_letters_are_composed_and_their_blanks_set() {
        let words = ErasedWords::new(["Zo\u{eb} trinkt Kaffee im Caf\u{e9}".to_owned()]);
        let gone = |text: &str| words.removed_from(text, TEXT);
        let decomposed = "> Zoe\u{308}  trinkt\u{a0}Kaffee\r\n\tim Cafe\u{301}!";
        assert_eq!(gone(decomposed).unwrap(), "> [erased]!");
        assert_eq!(gone("Zoe trinkt Kaffee im Caf\u{e9}"), None, "other letters are other words");
        let ligature = ErasedWords::new(["The office is closed".to_owned()]);
        assert_eq!(
            ligature.removed_from("(The o\u{fb03}ce is closed)", TEXT).unwrap(),
            "([erased])"
        );
        let marks = ErasedWords::new(["A letter with o\u{323}\u{302} marks".to_owned()]);
        assert_eq!(
            marks.removed_from("A letter with o\u{302}\u{323} marks", TEXT).unwrap(),
            ERASED
        );
        let twice = ErasedWords::new(["so it goes, so it".to_owned()]);
        assert_eq!(
            twice.removed_from("so it goes, so it goes, so it", TEXT).unwrap(),
            "[erased] goes, so it"
        );
    }

    #[test]
    fn from_what_programs_write_nothing_goes_and_from_sentences_nothing_short() {
        let fields: Fields = |path| match path {
            ["event"] => Some(FieldWords::OfPrograms),
            ["name"] => Some(FieldWords::NameOfThing),
            ["said"] => Some(FieldWords::Sentences),
            ["text"] => Some(FieldWords::Text),
            _ => None,
        };
        let row = |words: &str| {
            let value = |field: &str| (field.to_owned(), Value::from(words));
            let fields = ["event", "name", "said", "text", "unknown"].map(value);
            Value::Object(fields.into_iter().collect()).to_string()
        };
        let gone_from = |words: &ErasedWords, text: &str| {
            let left = words.removed_from(&row(text), fields).unwrap_or_default();
            let left: Value = serde_json::from_str(&left).unwrap_or_default();
            let fields = left.as_object().cloned().unwrap_or_default();
            let gone = fields.into_iter().filter(|(_, value)| *value == ERASED);
            gone.map(|(field, _)| field).collect::<Vec<_>>()
        };
        let words = || ["metrics".to_owned(), "warmup_stable_decay".to_owned()];
        let texts = ErasedWords::new(words());
        assert_eq!(gone_from(&texts, "metrics"), ["text"]);
        assert_eq!(gone_from(&texts, "warmup_stable_decay"), ["name", "said", "text", "unknown"]);
        let long = ErasedWords::long_ones(words());
        assert_eq!(gone_from(&long, "metrics"), Vec::<String>::new());
        assert_eq!(gone_from(&long, "warmup_stable_decay"), ["name", "said", "text", "unknown"]);
        let names = ErasedWords::names(words());
        assert_eq!(gone_from(&names, "metrics"), Vec::<String>::new());
        assert_eq!(gone_from(&names, "warmup_stable_decay"), ["said", "unknown"]);
    }
}
