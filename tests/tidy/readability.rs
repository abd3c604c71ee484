//! What a reader can count on: functions that fit a screen, a line at the top of every file that
//! says what it is for, names that say what a thing is.

use super::rust_files;
use std::path::Path;

/// Lines of a function; the loop of an algorithm is read top to bottom and may have more.
const MAX_LINES: usize = 60;
const MAX_ALGORITHM_LINES: usize = 80;

/// Functions with their lengths in lines, as rustfmt lays them out: a function ends at the brace
/// that stands as far in as it begins.
fn function_lengths(text: &str) -> Vec<(&str, usize)> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (start, line) in lines.iter().enumerate() {
        let Some(name) = function_name(line) else { continue };
        let indent = &line[..line.len() - line.trim_start().len()];
        let end = format!("{indent}}}");
        let is_one_line = line.ends_with('}') || line.ends_with(';');
        let n_lines = if is_one_line {
            1
        } else {
            // A declaration, as of a function of C++, ends with a semicolon.
            let is_end = |line: &&str| {
                **line == *end
                    || line
                        .strip_prefix(indent)
                        .is_some_and(|rest| rest.starts_with(')') && rest.ends_with(';'))
            };
            lines[start..].iter().position(is_end).map_or(1, |at| at + 1)
        };
        found.push((name, n_lines));
    }
    found
}

fn function_name(line: &str) -> Option<&str> {
    let mut words = line.trim_start();
    for qualifier in ["pub(super) ", "pub(crate) ", "pub ", "const ", "async "] {
        words = words.strip_prefix(qualifier).unwrap_or(words);
    }
    let name = words.strip_prefix("fn ")?;
    name.split(['(', '<']).next()
}

#[test]
fn a_function_fits_a_screen() {
    let mut n_functions = 0;
    for (path, text) in rust_files() {
        let is_algorithm = path.starts_with("trainer/src/algorithms");
        let most = if is_algorithm { MAX_ALGORITHM_LINES } else { MAX_LINES };
        for (name, n_lines) in function_lengths(&text) {
            n_functions += 1;
            assert!(n_lines <= most, "{}: {name} has {n_lines} lines", path.display());
        }
    }
    assert!(n_functions > 1000, "only {n_functions} functions were found");
    let text =
        "fn f() {\n    g();\n}\n\n    pub(crate) async fn h<T>(\n        a: T,\n    ) {\n    }\n";
    assert_eq!(function_lengths(text), [("f", 3), ("h", 4)]);
}

#[test]
fn every_file_says_at_its_top_what_it_is_for() {
    for (path, text) in rust_files() {
        assert!(text.starts_with("//!"), "{} does not say what it is for", path.display());
    }
}

/// The exported types of a file.
fn exported_types(text: &str) -> impl Iterator<Item = &str> {
    let declared = text.lines().filter_map(|line| {
        let item = line.strip_prefix("pub ")?;
        ["struct ", "enum ", "trait "].iter().find_map(|keyword| item.strip_prefix(keyword))
    });
    declared.filter_map(|rest| rest.split(|letter: char| !letter.is_alphanumeric()).next())
}

/// Names that the table modules must have for SeaORM.
const GENERATED: [&str; 4] = ["Model", "Relation", "Entity", "Column"];

#[test]
fn at_most_a_fifth_of_the_exported_types_have_a_name_of_one_word() {
    let (mut one_word, mut all) = (Vec::new(), 0);
    for (path, text) in rust_files().iter().filter(|(path, _)| !path.starts_with("tests")) {
        let is_table = path.parent() == Some(Path::new("migrations/entity/src"));
        for name in exported_types(text) {
            if is_table && GENERATED.contains(&name) {
                continue;
            }
            all += 1;
            if name.chars().filter(|letter| letter.is_uppercase()).count() == 1 {
                one_word.push(format!("{}: {name}", path.display()));
            }
        }
    }
    assert!(all > 200, "only {all} types were found");
    assert!(one_word.len() * 5 <= all, "{} of {all}: {one_word:#?}", one_word.len());
}
