//! What the project builds on: the same for every cargo command, and as ARCHITECTURE.md tells it.

use super::root;
use serde_json::Value;
use std::{
    collections::BTreeSet,
    hash::{DefaultHasher, Hash, Hasher},
    process::Command,
};

/// What cargo would compile for a command, without compiling it. `cargo tree` would not do: it
/// does not tell apart the two copies of a crate that build scripts and programs use.
struct BuildPlan {
    units: Vec<Value>,
    /// For each unit a hash over all that makes cargo build it anew: its own line, and the keys of
    /// everything below it.
    keys: Vec<Option<u64>>,
}

impl BuildPlan {
    fn of(command: &[&str]) -> Self {
        let output = Command::new(env!("CARGO"))
            .args(command)
            .args(["--locked", "--offline", "--unit-graph", "-Zunstable-options"])
            // With it a stable cargo prints its plan, too.
            .env("RUSTC_BOOTSTRAP", "1")
            .current_dir(root())
            .output()
            .expect("cargo starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let plan: Value = serde_json::from_slice(&output.stdout).expect("the plan is JSON");
        let units = plan["units"].as_array().expect("units").clone();
        let mut plan = Self { keys: vec![None; units.len()], units };
        for index in 0..plan.units.len() {
            plan.fill_key(index);
        }
        plan
    }

    fn fill_key(&mut self, index: usize) -> u64 {
        if let Some(key) = self.keys[index] {
            return key;
        }
        let below = self.units[index]["dependencies"].as_array().expect("dependencies").clone();
        let mut below: Vec<u64> = below
            .iter()
            .map(|unit| unit["index"].as_u64().expect("an index"))
            .map(|unit| self.fill_key(usize::try_from(unit).expect("a small number")))
            .collect();
        below.sort_unstable();
        let mut hasher = DefaultHasher::new();
        (self.line(index), below).hash(&mut hasher);
        self.keys[index] = Some(hasher.finish());
        hasher.finish()
    }

    /// The unit itself: package, target, mode, features, profile.
    fn line(&self, index: usize) -> String {
        let unit = &self.units[index];
        let mut profile = unit["profile"].clone();
        // Cargo takes what `dev` has built for `test` where the two say the same.
        profile.as_object_mut().expect("a profile").remove("name");
        let target = &unit["target"];
        format!(
            "{} {} {} {} {} {profile}",
            unit["pkg_id"], target["name"], target["kind"], unit["mode"], unit["features"],
        )
    }

    fn is_program(&self, index: usize) -> bool {
        self.units[index]["target"]["kind"][0] == "bin"
    }
}

#[test]
fn both_cargo_commands_resolve_the_same_features() {
    let whole = BuildPlan::of(&["test", "--workspace"]);
    let whole_lines: BTreeSet<String> = (0..whole.units.len()).map(|it| whole.line(it)).collect();
    for command in [vec!["build"], vec!["test"], vec!["build", "--workspace"]] {
        let plan = BuildPlan::of(&command);
        assert!(plan.units.len() > 300, "{command:?} has {} units", plan.units.len());
        let twice: Vec<usize> = (0..plan.units.len())
            .filter(|it| !whole.keys.contains(&plan.keys[*it]) && !plan.is_program(*it))
            .collect();
        // A unit that differs takes along all that stands on it; the cause is in its own line.
        let causes: Vec<String> = twice
            .iter()
            .filter(|it| !whole_lines.contains(&plan.line(**it)))
            .map(|it| {
                let package = plan.units[*it]["pkg_id"].to_string();
                let others = whole_lines.iter().filter(|line| line.starts_with(&package));
                let others: Vec<&str> = others.map(String::as_str).collect();
                format!("{}\n  but {}", plan.line(*it), others.join("\n  or  "))
            })
            .collect();
        assert!(
            twice.is_empty(),
            "`cargo {}` would build {} units again after `cargo test --workspace`; a line in \
             tests/features/Cargo.toml mends that. {}",
            command.join(" "),
            twice.len(),
            causes.join("\n")
        );
    }
}

/// The table of chosen crates in ARCHITECTURE.md: the names in the first column of each row.
fn chosen_crates() -> Vec<String> {
    let text = std::fs::read_to_string(root().join("ARCHITECTURE.md")).expect("a text");
    let section = text.split("## Chosen crates\n").nth(1).expect("the section");
    let section = section.split("\n## ").next().unwrap_or_default();
    let rows = section.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| ---"));
    rows.skip(1)
        .filter_map(|row| row.split('|').nth(1))
        .flat_map(|names| names.split(','))
        // "tch (libtorch)": what is in brackets is no crate.
        .map(|name| name.split('(').next().unwrap_or_default().trim().to_owned())
        .collect()
}

#[test]
fn every_crate_that_architecture_names_is_used() {
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).expect("a text");
    let shared = manifest.split("[workspace.dependencies]\n").nth(1).expect("the section");
    let shared = shared.split("\n[").next().unwrap_or_default();
    let dependencies: BTreeSet<&str> =
        shared.lines().filter_map(|line| line.split_once(" = ")).map(|(name, _)| name).collect();
    let chosen = chosen_crates();
    assert!(chosen.len() > 15, "only {chosen:?} were found");
    for name in chosen {
        assert!(
            dependencies.contains(name.as_str()),
            "ARCHITECTURE.md names {name} among the chosen crates, Cargo.toml does not"
        );
    }
}
