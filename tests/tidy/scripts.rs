//! Scripts are plain files that a page loads one after the other: they share one space of names, hold
//! no texts and no addresses, and read from the page what its template wrote.

use super::collect;
use crate::support::binaries::root;
use std::collections::{BTreeMap, BTreeSet};

/// Name and text of the files in a folder.
fn files(folder: &str, extension: &str) -> Vec<(String, String)> {
    let mut files = Vec::new();
    collect(&root().join(folder), extension, &mut files);
    assert!(files.len() > 5, "only {} files were found in {folder}", files.len());
    files.into_iter().map(|(path, text)| (path.display().to_string(), text)).collect()
}

fn scripts() -> Vec<(String, String)> {
    files("annotator/static", "js")
}

fn is_of_a_name(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || "_-".contains(letter)
}

/// The names that follow a mark, each time it is there.
fn names_after<'a>(text: &'a str, mark: &'a str) -> impl Iterator<Item = &'a str> {
    text.split(mark).skip(1).map(|rest| {
        let end = rest.find(|letter| !is_of_a_name(letter)).unwrap_or(rest.len());
        &rest[..end]
    })
}

/// `lastSequence` as templates write it: `last-sequence`.
fn attribute(property: &str) -> String {
    let letter = |letter: char| {
        let dash = if letter.is_ascii_uppercase() { "-" } else { "" };
        format!("{dash}{}", letter.to_ascii_lowercase())
    };
    property.chars().map(letter).collect()
}

/// The names that a script declares for every script of the page.
fn declared(script: &str) -> impl Iterator<Item = &str> {
    let words = ["const ", "let ", "class ", "function ", "async function ", "async function* "];
    script.lines().filter_map(move |line| {
        let rest = words.iter().find_map(|word| line.strip_prefix(word))?;
        rest.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_').next()
    })
}

/// The strings of a script, each with what stands before it on its line.
fn literals(script: &str) -> Vec<(&str, &str)> {
    let mut found = Vec::new();
    for line in script.lines() {
        let mut start = 0;
        while let Some(open) = line[start..].find(['"', '`', '/']).map(|at| start + at) {
            let mark = &line[open..=open];
            start = open + 1;
            if mark == "/" {
                if line[start..].starts_with('/') {
                    break; // a comment
                }
            } else if let Some(length) = line[start..].find(mark) {
                found.push((&line[..open], &line[start..start + length]));
                start += length + 1;
            }
        }
    }
    found
}

/// Words that a person would read: those belong into the Fluent files, and reach a script by a data
/// attribute.
fn is_prose(before: &str, literal: &str) -> bool {
    let is_selector = ["querySelector(", "querySelectorAll(", "matches("]
        .iter()
        .any(|call| before.ends_with(call));
    let is_word = |word: &&str| {
        let word = word.trim_end_matches(['.', ',', ':', ';', '!', '?', '…']);
        word.chars().count() > 1 && word.chars().all(char::is_alphabetic)
    };
    !is_selector
        && literal != "use strict"
        && literal.split_whitespace().filter(is_word).count() > 1
}

/// An address that no template wrote: it would not know what stands before all addresses.
fn is_address(before: &str, literal: &str) -> bool {
    let begins = literal.strip_prefix('/').and_then(|rest| rest.chars().next());
    begins.is_some_and(char::is_alphabetic) && !before.ends_with("+ ")
}

#[test]
fn scripts_of_a_page_declare_different_names() {
    let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (path, script) in scripts() {
        for name in declared(&script) {
            places.entry(name.to_owned()).or_default().push(path.clone());
        }
    }
    assert!(places.contains_key("labelTables") && places.contains_key("Draft"), "{places:?}");
    places.retain(|_, paths| paths.len() > 1);
    assert!(places.is_empty(), "one would take the other's place: {places:#?}");
}

#[test]
fn scripts_hold_no_texts_and_no_addresses() {
    let mut n_literals = 0;
    for (path, script) in scripts() {
        for (before, literal) in literals(&script) {
            n_literals += 1;
            assert!(!is_prose(before, literal), "{path} says {literal:?}");
            assert!(!is_address(before, literal), "{path} knows the address {literal:?}");
        }
    }
    assert!(n_literals > 200, "only {n_literals} strings were found");

    let found = literals("say(\"Saved just now.\"); // \"not this one\"");
    assert_eq!(found, [("say(", "Saved just now.")]);
    assert!(is_prose("say(", "Saved just now.") && !is_prose("form.querySelector(", "label input"));
    assert!(is_address("location.pathname === ", "/sign-in"));
    assert!(!is_address("form.dataset.url + ", "/draft?quiet=true"));
}

#[test]
fn what_scripts_read_templates_write() {
    let templates = files("templates", "html");
    let mut written: BTreeSet<String> = templates
        .iter()
        .flat_map(|(_, text)| names_after(text, "data-"))
        .map(str::to_owned)
        .collect();
    let scripts = scripts();
    for (_, script) in &scripts {
        let own = script.split("dataset.").skip(1).filter_map(|rest| rest.split_once(" = "));
        let own = own.filter(|(name, _)| name.chars().all(is_of_a_name));
        written.extend(own.map(|(name, _)| attribute(name)));
    }
    let mut n_read = 0;
    for (path, script) in &scripts {
        let properties = names_after(script, "dataset.").map(attribute);
        let selectors = names_after(script, "data-").map(str::to_owned);
        for name in properties.chain(selectors) {
            n_read += 1;
            assert!(written.contains(&name), "{path} reads data-{name}, which no template writes");
        }
        assert!(
            !script.contains("form.dataset"),
            "{path} reads an attribute of a form that a field of that name would hide"
        );
        assert!(
            !script.contains("dataset["),
            "{path} reads attributes that cannot be searched for"
        );
    }
    assert!(n_read > 40, "only {n_read} attributes were found");
}

#[test]
fn templates_load_the_files_that_there_are() {
    let templates = files("templates", "html");
    let mut loaded = BTreeSet::new();
    for (_, text) in &templates {
        let tags = text.split("page.asset(\"").skip(1).chain(text.split("assets::url(\"").skip(1));
        loaded.extend(tags.filter_map(|rest| rest.split('"').next()));
    }
    let names = std::fs::read_dir(root().join("annotator/static")).expect("the folder");
    let there: BTreeSet<String> = names
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("text"))
        .collect();
    assert_eq!(loaded, there.iter().map(String::as_str).collect());
}
