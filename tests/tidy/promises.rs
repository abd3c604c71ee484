//! Every promise in docs/promises.md names a test that is there.

use super::rust_files;
use crate::support::binaries::root;

/// The names in backticks of a table's last column.
fn named(line: &str) -> Vec<&str> {
    let last = line.trim().trim_matches('|').rsplit('|').next().unwrap_or_default();
    last.split('`').skip(1).step_by(2).collect()
}

#[test]
fn a_promise_names_a_test_that_is_there() {
    let text = std::fs::read_to_string(root().join("docs/promises.md")).unwrap();
    let tests: String = rust_files().into_iter().map(|(_, text)| text).collect();
    let rows: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| Promise"))
        .filter(|line| !line.starts_with("| ---"))
        .collect();
    assert!(rows.len() > 15, "only {} promises were found", rows.len());
    for row in rows {
        let names = named(row);
        assert!(!names.is_empty(), "shown by nothing: {row}");
        for name in names {
            let is_there = tests.contains(&format!("fn {name}("))
                || tests.contains(&format!("mod {name};"))
                || tests.contains(&format!("fn {name}()"));
            assert!(is_there || name.starts_with("on_"), "there is no test {name}: {row}");
        }
    }
    assert_eq!(named("| a | `b`, `c` |"), ["b", "c"]);
}
