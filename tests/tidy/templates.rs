//! Templates lie where their URLs say, and hold neither scripts nor styles nor forms without a token.

use super::{collect, rust_files};
use crate::support::binaries::root;

/// Pages that are answers to no URL of their own.
const ERRORS: [&str; 2] = ["error.html", "unavailable.html"];

/// Path below `templates/`, and text.
fn templates() -> Vec<(String, String)> {
    let mut files = Vec::new();
    collect(&root().join("templates"), "html", &mut files);
    assert!(files.len() > 10, "only {} templates were found", files.len());
    files
        .into_iter()
        .map(|(path, text)| {
            let path = path.strip_prefix("templates").expect("collected from there");
            (path.to_str().expect("a plain path").to_owned(), text)
        })
        .collect()
}

#[test]
fn templates_hold_no_script_and_no_style() {
    for (path, text) in templates() {
        for tag in text.split('<').skip(1) {
            let lower = tag.to_lowercase();
            let inline_script = lower.starts_with("script") && !lower.contains("src=");
            assert!(!inline_script, "{path} has an inline script");
            assert!(!lower.starts_with("style"), "{path} has a style element");
            let attributes = lower.split('>').next().unwrap_or_default();
            let is_inline = |name: &str| attributes.contains(&format!(" {name}=\""));
            for name in
                ["style", "onclick", "onload", "onsubmit", "onchange", "oninput", "onkeydown"]
            {
                assert!(!is_inline(name), "{path} has an inline {name}: <{attributes}>");
            }
        }
        assert!(!text.to_lowercase().contains("javascript:"), "{path} has a javascript: address");
    }
}

#[test]
fn every_form_that_posts_carries_the_sessions_token() {
    let mut n_forms = 0;
    for (path, text) in templates() {
        for form in text.split("<form").skip(1) {
            let form = form.split("</form>").next().unwrap_or_default();
            if form.contains("method=\"post\"") {
                n_forms += 1;
                // The macro writes the token into the forms of a task.
                let has_token =
                    form.contains("name=\"csrf\"") || form.contains("shared::hidden_fields(");
                assert!(has_token, "{path} has a form without a token");
            }
        }
    }
    assert!(n_forms > 5, "only {n_forms} forms were found");
}

#[test]
fn no_secret_that_was_typed_is_shown_again() {
    let mut n_secrets = 0;
    for (path, text) in templates() {
        for tag in text.split('<').filter(|tag| tag.contains("type=\"password\"")) {
            n_secrets += 1;
            let name = tag.split(" name=\"").nth(1).and_then(|rest| rest.split('"').next());
            let is_known =
                name.is_some_and(|name| annotator::web::sent_form::SECRETS.contains(&name));
            assert!(is_known, "{path}: web/sent_form.rs does not know the secret of <{tag}");
        }
    }
    assert!(n_secrets > 5, "only {n_secrets} fields were found");
}

#[test]
fn what_is_typed_runs_in_the_direction_of_its_own_text() {
    let mut n_fields = 0;
    for (path, text) in templates() {
        for tag in text.split('<').skip(1) {
            let attributes = tag.split('>').next().unwrap_or_default();
            // Numbers, secrets and choices have no direction.
            let takes_text = attributes.starts_with("textarea ")
                || (attributes.starts_with("input ")
                    && !attributes.contains(" type=")
                    && !attributes.contains(" inputmode="));
            if takes_text {
                n_fields += 1;
                assert!(attributes.contains("dir=\"auto\""), "{path}: <{attributes}>");
            }
        }
    }
    assert!(n_fields > 12, "only {n_fields} fields were found");
}

#[test]
fn texts_of_people_are_laid_out_in_one_place() {
    for (path, text) in templates() {
        let is_allowed = |expression: &str| {
            expression.ends_with(".html(*page.language)") || expression == "chart.svg"
        };
        for expression in text.split("{{ ").skip(1).filter_map(|rest| rest.split_once("|safe }}")) {
            assert!(is_allowed(expression.0), "{path} writes {} as it is", expression.0);
        }
    }
}

/// Macros for pages: `_forms.html`.
fn is_part(path: &str) -> bool {
    path.rsplit('/').next().is_some_and(|name| name.starts_with('_'))
}

#[test]
fn each_template_is_one_page_or_a_part_of_pages() {
    let templates = templates();
    let code: String = rust_files()
        .into_iter()
        .filter(|(path, _)| path.starts_with("annotator/src"))
        .map(|(_, text)| text)
        .collect();
    for (path, _) in &templates {
        let n_pages = code.matches(&format!("#[template(path = \"{path}\"")).count();
        let is_named = |how: &str| {
            let tag = format!("{{% {how} \"{path}\"");
            templates.iter().any(|(_, text)| text.contains(&tag))
        };
        if is_part(path) || is_named("extends") {
            assert_eq!(n_pages, 0, "{path} is a part of pages, and a page");
            let is_used = is_named("extends") || is_named("import") || is_named("include");
            assert!(is_used, "no template uses {path}");
        } else {
            assert_eq!(n_pages, 1, "{path} is the page of one struct");
        }
    }
}

/// What follows `/FOLDER` in the URLs of pages, `/projects/{project}` before it or not.
fn urls_below(folder: &str) -> Vec<String> {
    let urls = annotator::routes::all().into_iter().filter(|(method, _)| *method == "get");
    let below = |url: &str| match url.trim_start_matches('/').strip_prefix(folder)? {
        rest if rest.is_empty() || folder.is_empty() => Some(rest.to_owned()),
        rest => rest.strip_prefix('/').map(str::to_owned),
    };
    urls.flat_map(|(_, url)| [below(&url), url.strip_prefix("/projects/{project}").and_then(below)])
        .flatten()
        .collect()
}

/// Whether a page lies where its URL says: `FOLDER/list.html` is the page of `/FOLDER`;
/// `FOLDER/show.html` that of `/FOLDER/{one of it}`, or of `/FOLDER` where there is only one;
/// `FOLDER/new.html`, `delete.html` and so on are pages of such things with that word in their URL.
fn lies_where_its_url_says(path: &str, folder_has_a_list: bool) -> bool {
    let path = path.strip_suffix(".html").unwrap_or(path);
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    let urls = urls_below(folder);
    let is_whole = urls.iter().any(String::is_empty);
    let has_one = urls.iter().any(|url| url.starts_with('{') && !url.contains('/'));
    match name {
        "list" => is_whole,
        "show" => has_one || (is_whole && !folder_has_a_list),
        "home" => folder.is_empty(),
        word => {
            let word = word.replace('_', "-");
            (is_whole || has_one) && urls.iter().any(|url| url.split('/').any(|part| part == word))
        }
    }
}

#[test]
fn templates_lie_where_their_urls_say() {
    let templates = templates();
    let has_list = |path: &str| {
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        templates.iter().any(|(other, _)| *other == format!("{folder}/list.html"))
    };
    for (path, _) in &templates {
        let is_base =
            templates.iter().any(|(_, text)| text.contains(&format!("extends \"{path}\"")));
        // The page of a task is named after its kind: the URL of a task does not tell it.
        let is_of_task = path.starts_with("tasks/");
        if !is_part(path) && !is_base && !is_of_task && !ERRORS.contains(&path.as_str()) {
            assert!(lies_where_its_url_says(path, has_list(path)), "{path} mirrors no URL");
        }
    }
    for (path, has_list) in [
        ("prompts/one.html", true),
        ("notices/show.html", true),
        ("admin/disk.html", false),
        ("disk/show.html", false),
        ("run/show.html", false),
    ] {
        assert!(!lies_where_its_url_says(path, has_list), "{path} should not do");
    }
}
