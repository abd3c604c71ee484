//! Who imports whom: no circle, rooms know nothing of pages, pages write nothing, and a kind is
//! asked for its name in the tables alone.

use super::rust_files;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

/// The crates whose modules are looked at: name in paths, and folder of the sources.
const CRATES: [(&str, &str); 6] = [
    ("annotator", "annotator/src"),
    ("trainer", "trainer/src"),
    ("trainer_base", "trainer/base/src"),
    ("entity", "migrations/entity/src"),
    ("storage", "migrations/storage/src"),
    ("migrations", "migrations/src"),
];

/// A module's path from its crate's root; the root itself is empty.
type ModulePath = Vec<String>;

/// The modules of a crate, and which each imports.
struct CrateModules {
    imports: BTreeMap<ModulePath, BTreeSet<ModulePath>>,
}

impl CrateModules {
    fn read(folder: &str) -> Self {
        let files: Vec<(ModulePath, String)> = rust_files()
            .into_iter()
            .filter_map(|(path, text)| Some((module_of(path.strip_prefix(folder).ok()?)?, text)))
            .collect();
        let known: BTreeSet<ModulePath> = files.iter().map(|(module, _)| module.clone()).collect();
        let imports = files.into_iter().map(|(module, text)| {
            let paths = imported_paths(&module, without_tests(&text));
            let imported = paths.iter().filter_map(|path| longest_known(path, &known));
            let imported = imported.filter(|other| *other != module).collect();
            (module, imported)
        });
        Self { imports: imports.collect() }
    }

    /// The modules that import each other in a circle, once parents and children that import each
    /// other count as one.
    fn circles(&self) -> Vec<BTreeSet<ModulePath>> {
        let node = |module: &ModulePath| {
            let mut node = module.clone();
            while let Some((_, parent)) = node.split_last().filter(|(_, rest)| !rest.is_empty()) {
                let parent = parent.to_vec();
                let is_mutual = self.has(&parent, &node) && self.has(&node, &parent);
                if !is_mutual {
                    break;
                }
                node = parent;
            }
            node
        };
        let mut graph: BTreeMap<ModulePath, BTreeSet<ModulePath>> = BTreeMap::new();
        for (module, imported) in self.imports.iter().filter(|(module, _)| !module.is_empty()) {
            let from = node(module);
            let to = imported.iter().filter(|other| !other.is_empty()).map(node);
            graph.entry(from.clone()).or_default().extend(to.filter(|other| *other != from));
        }
        let reached: BTreeMap<_, _> =
            graph.keys().map(|start| (start.clone(), reachable(&graph, start))).collect();
        let circle_of = |start: &ModulePath| -> BTreeSet<ModulePath> {
            let there = reached[start].iter();
            there
                .filter(|other| reached.get(*other).is_some_and(|back| back.contains(start)))
                .cloned()
                .collect()
        };
        let circles: BTreeSet<_> =
            graph.keys().map(circle_of).filter(|circle| !circle.is_empty()).collect();
        circles.into_iter().collect()
    }

    fn has(&self, from: &ModulePath, to: &ModulePath) -> bool {
        self.imports.get(from).is_some_and(|imported| imported.contains(to))
    }
}

/// Everything that can be reached from a node, itself only through others.
fn reachable(
    graph: &BTreeMap<ModulePath, BTreeSet<ModulePath>>,
    start: &ModulePath,
) -> BTreeSet<ModulePath> {
    let mut reached = BTreeSet::new();
    let mut next: Vec<&ModulePath> = graph[start].iter().collect();
    while let Some(node) = next.pop() {
        if reached.insert(node.clone()) {
            next.extend(graph.get(node).into_iter().flatten());
        }
    }
    reached
}

/// `work/kinds.rs` is work::kinds; files of tests are no modules of the product.
fn module_of(path: &Path) -> Option<ModulePath> {
    let mut module: ModulePath = path
        .with_extension("")
        .iter()
        .map(|part| part.to_str().expect("plain").to_owned())
        .collect();
    if module.iter().any(|part| part == "tests" || part == "fixtures") {
        return None;
    }
    if matches!(module.last().map(String::as_str), Some("lib" | "main")) {
        module.pop();
    }
    Some(module)
}

/// The longest beginning of a path that is a module.
fn longest_known(path: &ModulePath, known: &BTreeSet<ModulePath>) -> Option<ModulePath> {
    (1..=path.len()).rev().map(|n| path[..n].to_vec()).find(|path| known.contains(path))
}

/// What comes before a file's unit tests.
pub(super) fn without_tests(text: &str) -> &str {
    text.split("#[cfg(test)]").next().unwrap_or_default()
}

/// The paths that a module names, from its crate's root: in `use` declarations, which may be trees,
/// and in expressions.
fn imported_paths(module: &ModulePath, text: &str) -> BTreeSet<ModulePath> {
    let code: Vec<&str> =
        text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect();
    let code = code.join("\n");
    let mut found = BTreeSet::new();
    for start in ["crate::", "super::", "self::"] {
        for (at, _) in code.match_indices(start) {
            let is_whole_word = !code[..at].ends_with(|letter: char| {
                letter.is_alphanumeric() || letter == '_' || letter == ':'
            });
            if is_whole_word {
                add_tree(&[], &code[at..], &mut |path| {
                    found.insert(from_root(module, path));
                });
            }
        }
    }
    found
}

/// Every path of a use tree (`a::{b, c::d}`), which ends where no path goes on; gives what follows.
fn add_tree<'a>(prefix: &[&'a str], tree: &'a str, add: &mut impl FnMut(&[&'a str])) -> &'a str {
    let mut path = prefix.to_vec();
    let mut rest = tree.trim_start();
    loop {
        if let Some(group) = rest.strip_prefix('{') {
            rest = group.trim_start();
            while !rest.starts_with('}') && !rest.is_empty() {
                rest = add_tree(&path, rest, add);
                let next = rest.find([',', '}']).unwrap_or(rest.len());
                rest = rest[next..].trim_start_matches(',').trim_start();
            }
            return rest.strip_prefix('}').unwrap_or(rest);
        }
        let is_name = |letter: char| letter.is_alphanumeric() || letter == '_';
        let end = rest.find(|letter| !is_name(letter)).unwrap_or(rest.len());
        if end > 0 && &rest[..end] != "self" || path.is_empty() {
            path.push(&rest[..end]);
        }
        rest = &rest[end..];
        match rest.strip_prefix("::") {
            Some(more) if end > 0 => rest = more,
            _ => {
                add(&path);
                return rest;
            }
        }
    }
}

/// `crate::`, `self::` and `super::` resolved.
fn from_root(module: &ModulePath, path: &[&str]) -> ModulePath {
    let mut from = module.clone();
    let mut rest = path;
    match path.first() {
        Some(&"crate") => {
            from.clear();
            rest = &path[1..];
        }
        Some(&"self") => rest = &path[1..],
        _ => {
            while rest.first() == Some(&"super") {
                from.pop();
                rest = &rest[1..];
            }
        }
    }
    from.extend(rest.iter().map(|name| (*name).to_owned()));
    from
}

#[test]
fn paths_are_read_as_the_compiler_reads_them() {
    let module = vec!["a".to_owned(), "b".to_owned()];
    let paths = imported_paths(
        &module,
        "use crate::{c, d::{self, E}, f::G as H};\nuse super::i::J;\nfn k() { self::l::m(crate::n::o::<P>()) }\n// crate::q",
    );
    let paths: Vec<String> = paths.iter().map(|path| path.join("::")).collect();
    assert_eq!(paths, ["a::b::l::m", "a::i::J", "c", "d", "d::E", "f::G", "n::o"]);
}

#[test]
fn no_modules_import_each_other_in_a_circle() {
    for (name, folder) in CRATES {
        let modules = CrateModules::read(folder);
        let circles = modules.circles();
        assert!(circles.is_empty(), "{name}: {circles:#?}");
    }
}

#[test]
fn a_circle_is_found_and_a_parent_with_its_child_is_none() {
    let module = |path: &str| -> ModulePath { path.split("::").map(str::to_owned).collect() };
    let graph = |edges: &[(&str, &str)]| {
        let mut imports: BTreeMap<ModulePath, BTreeSet<ModulePath>> = BTreeMap::new();
        for (from, to) in edges {
            imports.entry(module(from)).or_default().insert(module(to));
            imports.entry(module(to)).or_default();
        }
        CrateModules { imports }.circles().len()
    };
    assert_eq!(graph(&[("a::x", "b::y"), ("b::y", "a::x")]), 1);
    assert_eq!(graph(&[("a::x", "a::x::y"), ("a::x::y", "a::x")]), 0);
    assert_eq!(graph(&[("k", "k::a"), ("k::a", "k"), ("k::a", "other"), ("other", "k")]), 1);
    assert_eq!(graph(&[("a", "b"), ("b", "c"), ("a", "c")]), 0);
}

/// The rooms of the web app.
const ROOMS: [&str; 6] = ["data", "keeping", "models", "people", "training", "work"];

#[test]
fn rooms_and_the_web_layer_know_nothing_of_pages() {
    let modules = CrateModules::read("annotator/src");
    let mut n_looked_at = 0;
    for (module, imported) in &modules.imports {
        let Some(room) = module
            .first()
            .filter(|first| ROOMS.contains(&first.as_str()) || first.as_str() == "web")
        else {
            continue;
        };
        n_looked_at += 1;
        for other in imported {
            let above = ["pages", "start", "app", "routes"].contains(&other[0].as_str());
            assert!(!above, "{room}: {} imports {}", module.join("::"), other.join("::"));
        }
    }
    assert!(n_looked_at > 40, "only {n_looked_at} modules were looked at");
}

#[test]
fn pages_write_nothing_to_the_database() {
    let writes = [
        "ActiveModelTrait",
        "IntoActiveModel",
        "begin_write",
        "begin_alone",
        "insert_many",
        "update_many",
        "delete_many",
        "delete_by_id",
        "Entity::insert",
    ];
    let mut n_pages = 0;
    for (path, text) in
        rust_files().into_iter().filter(|(path, _)| path.starts_with("annotator/src/pages"))
    {
        n_pages += 1;
        for word in writes {
            assert!(!text.contains(word), "{} has {word}: let its room do it", path.display());
        }
    }
    assert!(n_pages > 20, "only {n_pages} pages were found");
}

#[test]
fn what_people_type_comes_in_cleaned() {
    let uncleaned = ["web::Form<", "web::Query<", "web::Json<", "UrlEncoded"];
    for (path, text) in
        rust_files().into_iter().filter(|(path, _)| path.starts_with("annotator/src"))
    {
        if path.ends_with("web/typed.rs") {
            continue;
        }
        for word in uncleaned {
            let is_there = without_tests(&text).contains(word);
            assert!(!is_there, "{}: take web::typed in place of {word}", path.display());
        }
    }
}

/// Where a kind is asked for its name: one table per world.
const TABLES: [&str; 4] = [
    "migrations/entity/src/run_config.rs",
    "annotator/src/training/kinds.rs",
    "annotator/src/work/kinds.rs",
    "trainer/base/src/settings.rs",
];

/// Lines of the product that are a pattern with a kind of run or task in it.
fn kind_patterns(text: &str) -> usize {
    let code = without_tests(text).lines().map(|line| line.split("//").next().unwrap_or_default());
    let is_home = text.contains("pub enum RunKind {") || text.contains("pub enum TaskKind {");
    let names_a_kind = |line: &str| {
        let is_own = is_home && line.trim_start().starts_with("Self::");
        is_own || line.contains("RunKind::") || line.contains("TaskKind::")
    };
    let is_pattern = |line: &str| {
        line.split("=>").next().filter(|_| line.contains("=>")).is_some_and(names_a_kind)
            || line.contains("matches!") && names_a_kind(line)
    };
    code.filter(|line| is_pattern(line)).count()
}

#[test]
fn a_kind_is_asked_for_its_name_in_the_tables_alone() {
    let is_product =
        |path: &PathBuf| !path.starts_with("tests") && !path.to_string_lossy().contains("tests");
    for (path, text) in rust_files().into_iter().filter(|(path, _)| is_product(path)) {
        let n_patterns = kind_patterns(&text);
        let is_table = TABLES.iter().any(|table| path == Path::new(table));
        if is_table {
            assert!(n_patterns > 0, "{} is no table any more", path.display());
        } else {
            assert_eq!(n_patterns, 0, "{} matches on a kind", path.display());
        }
    }
    let text = "match kind {\n    RunKind::Sft => {}\n    _ => {}\n}";
    assert_eq!(kind_patterns(text), 1, "the test finds what is there");
}
