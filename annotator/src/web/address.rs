//! The addresses of the app. Every one that reaches a browser is made here, so that what stands
//! before them all is written once: links, forms, redirects, JSON, files.

use actix_web::HttpRequest;
use entity::ids::ProjectId;

/// What stands before every path: nothing, because the app is served at the root of its host.
const BASE: &str = "";

/// The address of a path of this app, which begins with `/`.
pub fn address(path: &str) -> String {
    format!("{}{path}", base())
}

#[cfg(not(test))]
fn base() -> String {
    BASE.to_owned()
}

/// `/projects/{project}` with what follows.
pub fn in_project(project: ProjectId, rest: &str) -> String {
    address(&format!("/projects/{project}{rest}"))
}

/// Longer addresses are not come back to.
const MAX_BYTES: usize = 2_000;

/// The address that a request was sent to, for coming back to it.
pub fn of_request(request: &HttpRequest) -> String {
    let asked = request.uri().path_and_query().map_or("/", |uri| uri.as_str());
    address(if asked.len() <= MAX_BYTES { asked } else { "/" })
}

/// Whether an address is the project's page of that name (`/runs`), or one under it.
pub fn is_at(here: &str, place: &str) -> bool {
    let path = here.split('?').next().unwrap_or_default();
    let in_project =
        path.strip_prefix(&address("/projects/")).and_then(|rest| rest.split_once('/'));
    in_project.is_some_and(|(_, rest)| rest.split('/').next() == place.strip_prefix('/'))
}

/// Only an address within this app: a form field must not send people elsewhere. Browsers take `\`
/// for `/` and leave out tabs and line ends, so that `/<tab>/evil.example` is another site to them.
pub fn local_or_home(next: &str) -> String {
    let is_local = next.len() <= MAX_BYTES
        && next.starts_with(&address("/"))
        && !next.starts_with("//")
        // U+FFFD stands where a control character was typed.
        && !next.contains(|letter: char| letter.is_control() || ['\\', '\u{fffd}'].contains(&letter));
    if is_local { next.to_owned() } else { address("/") }
}

/// A text as a value in a query string.
pub fn query_value(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'/' => {
                out.push(byte.into());
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
thread_local! {
    static BASE_OF_TEST: std::cell::Cell<&'static str> = const { std::cell::Cell::new(BASE) };
}

#[cfg(test)]
fn base() -> String {
    BASE_OF_TEST.get().to_owned()
}

/// Serves what this test renders below another path.
#[cfg(test)]
pub fn set_base(base: &'static str) {
    BASE_OF_TEST.set(base);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_cannot_send_people_to_another_site() {
        assert_eq!(local_or_home("/projects/1?x=2"), "/projects/1?x=2");
        for elsewhere in
            ["//evil.example", "https://evil.example", "/\\evil.example", "", "javascript:1"]
        {
            assert_eq!(local_or_home(elsewhere), "/");
        }
    }

    #[test]
    fn below_a_base_nothing_leads_out_of_it() {
        set_base("/attune");
        let project = ProjectId::new();
        assert_eq!(address("/settings"), "/attune/settings");
        assert_eq!(in_project(project, "/runs"), format!("/attune/projects/{project}/runs"));
        assert_eq!(local_or_home("/attune/settings"), "/attune/settings");
        assert_eq!(local_or_home("/settings"), "/attune/");
        assert!(is_at(&in_project(project, "/runs/1?x=2"), "/runs"));
    }

    #[test]
    fn a_page_knows_the_place_that_it_is_at() {
        let project = ProjectId::new();
        assert!(is_at(&in_project(project, "/runs"), "/runs"));
        assert!(is_at(&in_project(project, "/runs/new/sft?from=1"), "/runs"));
        assert!(!is_at(&in_project(project, ""), "/runs"));
        assert!(!is_at("/runs", "/runs"));
    }

    #[test]
    fn a_query_value_keeps_its_meaning() {
        assert_eq!(query_value("/a?b=c&d"), "/a%3Fb%3Dc%26d");
    }
}
