//! Addresses of the app are made in one place, so that a base path can be put before them all.

use super::{collect, rust_files};
use crate::support::binaries::root;
use std::path::Path;

/// Files that name paths as the server sees them, or make addresses of them.
const MAKERS: [&str; 4] = [
    "annotator/src/routes.rs",
    "annotator/src/web/address.rs",
    "annotator/src/web/request_log.rs",
    "annotator/src/app/tests.rs",
];

/// Lines of a template with an address that is written out.
fn literal_addresses(template: &str) -> Vec<&str> {
    let attributes = ["href", "action", "formaction", "src", "data-url", "value"];
    let is_literal =
        |line: &&str| attributes.iter().any(|name| line.contains(&format!(" {name}=\"/")));
    template.lines().filter(is_literal).collect()
}

#[test]
fn templates_write_no_address_out() {
    let mut templates = Vec::new();
    collect(&root().join("templates"), "html", &mut templates);
    assert!(templates.len() > 10, "only {} templates were found", templates.len());
    for (path, text) in templates {
        let found = literal_addresses(&text);
        assert!(found.is_empty(), "{}: use page.address(): {found:#?}", path.display());
    }
    assert_eq!(literal_addresses("<a class=\"b\" href=\"/x\">").len(), 1, "the test finds one");
}

/// Lines of the web app that write an address out, or go to one that nothing was put before.
fn written_out(text: &str) -> Vec<&str> {
    let is_written = |line: &&str| {
        let code = line.split("//").next().unwrap_or_default();
        code.contains("\"/projects/") || code.contains("see_other(\"/")
    };
    let product = text.split("#[cfg(test)]").next().unwrap_or_default();
    product.lines().filter(is_written).collect()
}

#[test]
fn the_web_app_makes_addresses_in_one_place() {
    let mut n_files = 0;
    for (path, text) in rust_files() {
        let is_maker = MAKERS.iter().any(|maker| path == Path::new(maker));
        if is_maker || !path.starts_with("annotator/src") {
            continue;
        }
        n_files += 1;
        let found = written_out(&text);
        assert!(found.is_empty(), "{}: use web::address: {found:#?}", path.display());
    }
    assert!(n_files > 80, "only {n_files} files were looked at");
    assert_eq!(written_out("page::see_other(\"/\")").len(), 1, "the test finds what is there");
}
