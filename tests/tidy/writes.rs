//! Whatever writes is done in a transaction of `storage::database::write`, which is done again when
//! another is in its way: nothing begins one of its own, and no statement that writes goes to the
//! database without one.

use super::{modules::without_tests, rust_files};
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

/// What begins a transaction.
const BEGINNINGS: [&str; 4] = ["begin_write", "begin_alone", ".begin(", "begin_with_options"];

/// Where transactions begin that are not done again: once at a start, under a lock of their own, and
/// a backup's, which only reads.
const BEGUN_ALONE: [&str; 5] = [
    "annotator/src/database.rs",
    "annotator/src/keeping/backup.rs",
    "annotator/src/keeping/restore.rs",
    "annotator/src/start/first_start.rs",
    "migrations/src/lib.rs",
];

#[test]
fn whatever_writes_is_done_again_when_another_is_in_its_way() {
    let begins = |text: &str| BEGINNINGS.iter().any(|word| without_tests(text).contains(word));
    let mut begun: Vec<String> = rust_files()
        .into_iter()
        .filter(|(path, text)| is_product(path) && begins(text))
        .map(|(path, _)| path.display().to_string())
        .collect();
    begun.sort();
    assert_eq!(begun, BEGUN_ALONE, "take storage::database::write");
}

fn is_product(path: &Path) -> bool {
    !path.starts_with("tests")
        && !path.starts_with("migrations/storage")
        && !path.iter().any(|part| part == "tests" || part == "tests.rs" || part == "benches")
}

/// Statements that are right outside of such a transaction, by file and function: SQLite's and
/// PostgreSQL's VACUUM want none, and what a worker asks for, it asks for again in a moment.
const OUTSIDE: [(&str, &str); 5] = [
    ("annotator/src/keeping/backup/before_migration.rs", "copy"),
    ("annotator/src/keeping/erasure/finish.rs", "compact"),
    ("annotator/src/keeping/erasure/finish.rs", "compact_tables"),
    ("trainer/base/src/worker/claim.rs", "next"),
    ("trainer/base/src/worker/claim.rs", "renew"),
];

/// A function as it stands in its file.
#[derive(Debug)]
struct Function {
    path: PathBuf,
    name: String,
    parameters: Vec<(String, String)>,
    body: String,
}

/// What a function hands a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Executor {
    /// The database itself.
    Database,
    /// Whatever its caller has handed it.
    Callers,
}

impl Function {
    /// The functions of a file.
    fn all_of(path: &Path, text: &str) -> Vec<Self> {
        let code: Vec<&str> = without_tests(text)
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"))
            .collect();
        let starts: Vec<usize> =
            (0..code.len()).filter(|line| name_of_function(code[*line]).is_some()).collect();
        let ends = starts.iter().skip(1).copied().chain([code.len()]);
        let function = |(start, end): (usize, usize)| {
            let text = code[start..end].join("\n");
            let name = name_of_function(code[start])?.to_owned();
            let (_, text) = text.split_once("fn ")?;
            let (_, text) = text.split_once('(')?;
            let end = text.len() - after_arguments(text).len();
            let parameters = arguments(&text[..end]).into_iter().filter_map(|parameter| {
                let (name, kind) = parameter.split_once(": ")?;
                Some((name.trim().to_owned(), kind.trim().to_owned()))
            });
            let parameters = parameters.collect();
            Some(Self { path: path.to_owned(), name, parameters, body: text[end..].to_owned() })
        };
        starts.iter().copied().zip(ends).filter_map(function).collect()
    }

    fn stem(&self) -> &str {
        self.path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default()
    }

    /// What an argument is, if statements can be handed to it.
    fn executor(&self, argument: &str) -> Option<Executor> {
        let name = argument.trim().trim_start_matches(['&', '*']);
        let kind = self.parameters.iter().find(|(parameter, _)| parameter == name);
        match kind {
            Some((_, kind)) if kind.contains("impl ConnectionTrait") => Some(Executor::Callers),
            Some((_, kind)) if kind.contains("DatabaseConnection") || kind == "Db" => {
                Some(Executor::Database)
            }
            Some(_) => None,
            None => {
                let is_database =
                    name == "db" || [".db", ".get_ref()"].iter().any(|end| name.ends_with(end));
                is_database.then_some(Executor::Database)
            }
        }
    }

    /// What its statements that write are handed to, and its calls of functions that have some.
    fn writes_to(&self, writers: &BTreeSet<(String, String)>) -> Vec<Executor> {
        let mut found = Vec::new();
        for (at, _) in self.body.match_indices('(') {
            let (before, inside) = (&self.body[..at], &self.body[at + 1..]);
            let start = before.rfind(|letter: char| !letter.is_alphanumeric() && letter != '_');
            let (before, called) = before.split_at(start.map_or(0, |start| start + 1));
            let end = inside.len() - after_arguments(inside).len();
            let arguments = arguments(&inside[..end]);
            if before.ends_with('.') && ["execute_unprepared", "execute_raw"].contains(&called) {
                let receiver = before.trim_end_matches('.');
                let start =
                    receiver.rfind(|letter: char| letter.is_whitespace() || "(!".contains(letter));
                found.extend(self.executor(&receiver[start.map_or(0, |start| start + 1)..]));
            }
            let is_statement = before.ends_with('.')
                && arguments.len() == 1
                && (called.starts_with("exec")
                    || ["insert", "update", "delete", "save"].contains(&called));
            let is_call = writers.iter().any(|(stem, name)| {
                let is_here = !before.ends_with("::") || before.ends_with("Self::");
                name == called
                    && (before.ends_with(&format!("{stem}::")) || is_here && stem == self.stem())
            });
            if is_statement || is_call {
                found.extend(arguments.iter().filter_map(|argument| self.executor(argument)));
            }
        }
        found
    }
}

/// The name of the function that begins on a line.
fn name_of_function(line: &str) -> Option<&str> {
    let (before, rest) = line.split_once("fn ")?;
    let is_beginning = before
        .split_whitespace()
        .all(|word| word.starts_with("pub") || ["async", "const"].contains(&word));
    let end = rest.find(['(', '<']).filter(|_| is_beginning)?;
    Some(&rest[..end])
}

/// What comes after the bracket that ends the arguments which a text begins with.
fn after_arguments(text: &str) -> &str {
    let mut depth = 0;
    for (at, letter) in text.char_indices() {
        match letter {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' if depth == 0 => return &text[at..],
            ')' | ']' | '}' => depth -= 1,
            _ => {}
        }
    }
    ""
}

/// Arguments, taken apart.
fn arguments(text: &str) -> Vec<String> {
    let (mut found, mut depth) = (vec![String::new()], 0);
    for letter in text.chars() {
        match letter {
            '(' | '[' | '{' | '<' => depth += 1,
            ')' | ']' | '}' | '>' => depth -= 1,
            _ => {}
        }
        match found.last_mut() {
            Some(_) if letter == ',' && depth == 0 => found.push(String::new()),
            Some(last) => last.push(letter),
            None => {}
        }
    }
    found.retain(|argument| !argument.trim().is_empty());
    found
}

/// The functions that write to the database itself, by file and name.
fn written_outside(functions: &[Function]) -> BTreeSet<(String, String)> {
    let mut writers = BTreeSet::new();
    loop {
        let of_callers =
            |function: &&Function| function.writes_to(&writers).contains(&Executor::Callers);
        let found: BTreeSet<(String, String)> = functions
            .iter()
            .filter(of_callers)
            .map(|function| (function.stem().to_owned(), function.name.clone()))
            .collect();
        if found == writers {
            break;
        }
        writers = found;
    }
    let writes = |function: &&Function| function.writes_to(&writers).contains(&Executor::Database);
    let outside = functions.iter().filter(writes);
    outside.map(|function| (function.path.display().to_string(), function.name.clone())).collect()
}

#[test]
fn no_statement_that_writes_goes_to_the_database_without_a_transaction() {
    let functions: Vec<Function> = rust_files()
        .into_iter()
        .filter(|(path, text)| is_product(path) && text.contains("sea_orm"))
        .flat_map(|(path, text)| Function::all_of(&path, &text))
        .collect();
    assert!(functions.len() > 500, "only {} functions were read", functions.len());
    let outside = written_outside(&functions);
    let right = OUTSIDE.map(|(path, name)| (path.to_owned(), name.to_owned()));
    assert_eq!(outside, right.into(), "take storage::database::write");
}

#[test]
fn a_statement_outside_is_found_wherever_it_hides() {
    let files = [
        (
            "notes.rs",
            "pub async fn note(\n    db: &impl ConnectionTrait,\n    ids: &[Id],\n) -> R {\n    Entity::update_many().set(all(ids)).exec(db).await\n}\nasync fn both(db: &impl ConnectionTrait) -> R {\n    note(db, &[]).await\n}\n",
        ),
        (
            "pages.rs",
            "async fn show(db: web::Data<DatabaseConnection>) -> R {\n    notes::both(db.get_ref()).await\n}\nasync fn right(db: &DatabaseConnection) -> R {\n    write(db, |turn| async move { notes::both(&*turn).await }).await\n}\n",
        ),
        (
            "rows.rs",
            "async fn row(db: &DatabaseConnection) -> R {\n    row.update(db).await\n}\nasync fn sql(&self) -> R {\n    self.db.execute_unprepared(\"VACUUM\").await\n}\nasync fn reads(db: &DatabaseConnection) -> R {\n    Entity::find().one(db).await\n}\n",
        ),
    ];
    let functions = files.iter().flat_map(|(path, text)| Function::all_of(Path::new(path), text));
    let outside = written_outside(&functions.collect::<Vec<_>>());
    let names: Vec<&str> = outside.iter().map(|(_, name)| name.as_str()).collect();
    assert_eq!(names, ["show", "row", "sql"]);
}
