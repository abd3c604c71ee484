//! A style sheet says each thing once, so that the rule one finds is the rule that holds.

use super::collect;
use crate::support::binaries::root;
use cssparser::{Delimiter, ParseError, Parser};
use std::collections::BTreeMap;

/// A rule without its declarations.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct RuleHead {
    /// The conditions it stands in, as `@media (max-width: 40rem)`.
    conditions: String,
    /// Its selectors, sorted.
    selectors: String,
}

fn rule_heads(sheet: &str) -> Vec<RuleHead> {
    let mut heads = Vec::new();
    read_rules(&mut Parser::new(sheet), "", &mut heads);
    heads
}

fn read_rules(parser: &mut Parser<'_>, conditions: &str, heads: &mut Vec<RuleHead>) {
    while let Ok(mut parts) = parser.parse_until_before(Delimiter::CurlyBracketBlock, |head| {
        head.parse_comma_separated(|part| Ok::<_, ParseError<()>>(plain(part)))
    }) {
        if parser.next().is_err() {
            return; // the end of the sheet
        }
        parts.sort();
        let selectors = parts.join(", ");
        if selectors.starts_with('@') {
            let inner = format!("{conditions}{selectors} ");
            parser
                .parse_nested_block(|block| {
                    read_rules(block, &inner, heads);
                    Ok::<_, ParseError<()>>(())
                })
                .expect("the rules of a block are read to its end");
        } else {
            // The parser passes over a block that is not entered.
            heads.push(RuleHead { conditions: conditions.to_owned(), selectors });
        }
    }
}

/// What is left of a parser, without comments before it and with single spaces.
fn plain(parser: &mut Parser<'_>) -> String {
    parser.skip_whitespace();
    let start = parser.position();
    while parser.next().is_ok() {}
    parser.slice_from(start).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The rules that stand more than once, and where.
fn written_twice(sheets: &[(String, String)]) -> Vec<(RuleHead, Vec<&str>)> {
    let mut places: BTreeMap<RuleHead, Vec<&str>> = BTreeMap::new();
    for (name, text) in sheets {
        for head in rule_heads(text) {
            places.entry(head).or_default().push(name);
        }
    }
    places.into_iter().filter(|(_, names)| names.len() > 1).collect()
}

#[test]
fn no_selector_is_written_twice() {
    let mut files = Vec::new();
    collect(&root().join("annotator/static"), "css", &mut files);
    let sheets: Vec<_> =
        files.into_iter().map(|(path, text)| (path.display().to_string(), text)).collect();
    let n_rules: usize = sheets.iter().map(|(_, text)| rule_heads(text).len()).sum();
    assert!(n_rules > 150, "only {n_rules} rules were found");
    let twice = written_twice(&sheets);
    assert!(twice.is_empty(), "write these rules once: {twice:#?}");
}

#[test]
fn a_selector_that_is_written_twice_is_found() {
    let sheet = |text: &str| ("a.css".to_owned(), text.to_owned());
    let found = |text: &str| written_twice(&[sheet(text)]).len();
    assert_eq!(found(".a, .b:is(p, q) { x: 1 } /* again */ .b:is(p, q),\n.a { y: 2 }"), 1);
    assert_eq!(found("@media (m) { .a { x: 1 } } .b { x: 1 } @media (m) { .a { y: 2 } }"), 1);
    assert_eq!(found(".a { x: 1 } .a .b { x: 1 } .b { x: 1 } @media (m) { .a { x: 2 } }"), 0);
    let both = [sheet(".a { x: 1 }"), ("b.css".to_owned(), ".a { y: 2 }".to_owned())];
    assert_eq!(written_twice(&both)[0].1, ["a.css", "b.css"]);
}
