//! What is wrong with a row of JSON Lines, for people.

/// serde_json counts lines, and every row is one: "… at character 12".
pub fn in_a_row(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.split_once(" at line ") {
        Some((what, _)) => format!("{what} at character {}", error.column()),
        None => text,
    }
}
