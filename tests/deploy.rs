//! What docs/deploy/ gives to those who run Attune: read by the programs that it is for.

use crate::support::{app::clean, binaries, is_ci};
use annotator::config::Cli;
use clap::{CommandFactory, Parser};
use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};
use trainer_base::settings::CommandLine;

fn deploy() -> PathBuf {
    binaries::root().join("docs/deploy")
}

fn service_files() -> Vec<PathBuf> {
    let files = fs::read_dir(deploy()).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|extension| extension == "service")).collect()
}

/// The program and its arguments, as the program itself reads them.
fn assert_starts(line: &[&str]) {
    let program = Path::new(line[0]).file_name().unwrap().to_str().unwrap();
    let read = match program {
        "annotator" => Cli::try_parse_from(line).map(drop),
        "trainer" => CommandLine::try_parse_from(line).map(drop),
        other => panic!("{other} is no program of Attune"),
    };
    read.unwrap_or_else(|error| panic!("{line:?}: {error}"));
}

/// Every variable that a flag of the program can be given by.
fn variables(command: &clap::Command) -> HashSet<String> {
    let own = command.get_arguments().filter_map(|argument| argument.get_env());
    let own = own.map(|name| name.to_string_lossy().into_owned());
    own.chain(command.get_subcommands().flat_map(variables)).collect()
}

#[test]
fn a_service_file_starts_a_program_with_flags_that_it_has() {
    let files = service_files();
    assert_eq!(files.len(), 2);
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let start = text.lines().find_map(|line| line.strip_prefix("ExecStart=")).unwrap();
        let mut line: Vec<&str> = start.split_whitespace().collect();
        if line[0].ends_with("trainer") {
            // The address of the database comes from the file of secrets.
            assert!(text.contains("EnvironmentFile=/etc/attune.env"));
            line.extend(["--database-url", "postgres://x"]);
        }
        assert_starts(&line);
    }
}

#[test]
fn systemd_takes_the_service_files() {
    if Command::new("systemd-analyze").arg("--version").stdout(Stdio::null()).status().is_err() {
        assert!(!is_ci(), "systemd-analyze is needed on CI");
        eprintln!("skipped: there is no systemd-analyze");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for file in service_files() {
        let text = fs::read_to_string(&file).unwrap();
        // It looks whether the program is there.
        let installed = binaries::annotator().parent().unwrap().to_str().unwrap().to_owned();
        let here = folder.path().join(file.file_name().unwrap());
        fs::write(&here, text.replace("/opt/attune/bin", &installed)).unwrap();
        let verified = Command::new("systemd-analyze")
            .args(["verify", "--man=no"])
            .arg(&here)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&verified.stderr).into_owned();
        let of_ours: Vec<&str> = said
            .lines()
            .filter(|line| line.contains(file.file_name().unwrap().to_str().unwrap()))
            .collect();
        assert!(of_ours.is_empty(), "{said}");
    }
}

/// A release made of the programs under test.
fn release(folder: &Path) -> PathBuf {
    let programs = binaries::annotator().parent().unwrap().to_owned();
    let made = clean(&mut Command::new(deploy().join("release")))
        .arg("--programs")
        .arg(programs)
        .arg("--folder-only")
        .arg("--out")
        .arg(folder)
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    folder.join("attune")
}

#[test]
fn a_release_runs_with_the_libtorch_that_lies_in_it_and_the_container_is_made_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let release = release(folder.path());
    let trainer = release.join("bin/trainer");
    let linked = Command::new("ldd").arg(&trainer).env_remove("LD_LIBRARY_PATH").output().unwrap();
    let linked = String::from_utf8_lossy(&linked.stdout).into_owned();
    let libraries: Vec<&str> = linked
        .lines()
        .filter(|line| line.contains("libtorch") || line.contains("libc10"))
        .collect();
    assert!(libraries.len() >= 2, "{linked}");
    for library in libraries {
        let path = library.split("=> ").nth(1).unwrap().split(' ').next().unwrap();
        let path = fs::canonicalize(path).unwrap();
        assert!(path.starts_with(fs::canonicalize(&release).unwrap()), "{library}");
    }
    let doctor = clean(&mut Command::new(&trainer)).args(["doctor", "--report", "json"]).output();
    assert!(doctor.unwrap().status.success());

    let text = fs::read_to_string(release.join("deploy/Containerfile")).unwrap();
    let text = text.replace("\\\n", " ");
    let instructions: Vec<(&str, &str)> = text
        .lines()
        .filter(|line| !line.trim().is_empty() && !line.starts_with('#'))
        .map(|line| line.trim().split_once(' ').expect("an instruction and what it is about"))
        .collect();
    let of = |name: &str| -> Vec<&str> {
        instructions.iter().filter(|(is, _)| *is == name).map(|(_, what)| *what).collect()
    };
    for copied in of("COPY") {
        let parts: Vec<&str> = copied.split_whitespace().collect();
        for source in &parts[..parts.len() - 1] {
            assert!(release.join(source).exists(), "COPY {source}");
        }
    }
    let known: HashSet<String> = variables(&Cli::command());
    let set: Vec<&str> = of("ENV")
        .into_iter()
        .flat_map(str::split_whitespace)
        .filter_map(|set| set.split('=').next())
        .collect();
    for variable in set.iter().filter(|name| name.starts_with("ATTUNE_")) {
        assert!(known.contains(*variable), "no flag of the annotator is called {variable}");
    }
    let list = |name: &str| -> Vec<String> {
        serde_json::from_str(of(name)[0]).expect("a list, so that signals arrive")
    };
    let line: Vec<String> = [list("ENTRYPOINT"), list("CMD")].concat();
    let line: Vec<&str> =
        line.iter().map(String::as_str).skip_while(|word| *word != "annotator").collect();
    assert_starts(&line);
}

/// Metrics that Prometheus itself makes.
const OF_PROMETHEUS: [&str; 1] = ["up"];

/// What stands in an expression and is no metric: functions, words, labels before `=`.
fn metrics_of(expression: &str) -> Vec<String> {
    let is_letter = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let mut found = Vec::new();
    let mut is_quoted = false;
    let (mut word, mut depth) = (String::new(), 0);
    for letter in expression.chars().chain([' ']) {
        match letter {
            '"' => is_quoted = !is_quoted,
            _ if is_quoted => {}
            _ if is_letter(letter) => word.push(letter),
            _ => {
                let is_metric = word.contains('_') || OF_PROMETHEUS.contains(&word.as_str());
                let is_call = letter == '(';
                if depth == 0 && is_metric && !is_call {
                    found.push(std::mem::take(&mut word));
                }
                word.clear();
                depth += i32::from(letter == '{') - i32::from(letter == '}');
            }
        }
    }
    found
}

/// The name under which docs/operations.md lists a series.
fn listed(series: &str) -> &str {
    let ends = ["_bucket", "_sum", "_count"];
    ends.into_iter().find_map(|end| series.strip_suffix(end)).unwrap_or(series)
}

#[test]
fn prometheus_is_told_where_to_ask_and_alerts_speak_of_metrics_that_there_are() {
    let read = |name: &str| -> serde_json::Value {
        let text = fs::read_to_string(deploy().join(name)).unwrap();
        serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"))
    };
    let operations = fs::read_to_string(binaries::root().join("docs/operations.md")).unwrap();
    let scrapes = read("prometheus.yml")["scrape_configs"].as_array().unwrap().clone();
    assert_eq!(scrapes.len(), 3);
    for scrape in scrapes {
        let targets = scrape["static_configs"][0]["targets"].as_array().unwrap();
        for target in targets {
            let flag = format!("--metrics-listen {}", target.as_str().unwrap());
            assert!(operations.contains(&flag), "docs/operations.md says nothing of {flag}");
        }
    }
    let mut n = 0;
    let rules = read("alerts.yml")["groups"][0]["rules"].as_array().unwrap().clone();
    let in_table = operations.lines().filter(|line| line.starts_with("| `")).filter_map(|line| {
        let alert = line.rsplit_once(" | ")?.1.trim_end_matches(" |").trim();
        Some(alert.strip_prefix('`')?.strip_suffix('`')?.replace("\\|", "|"))
    });
    let expressions = rules.iter().map(|rule| {
        assert!(rule["annotations"]["summary"].is_string(), "{rule}");
        rule["expr"].as_str().unwrap().to_owned()
    });
    for expression in
        expressions.chain(in_table.filter(|alert| {
            alert.contains(" > ") || alert.contains(" < ") || alert.contains(" == ")
        }))
    {
        let metrics = metrics_of(&expression);
        assert!(!metrics.is_empty(), "{expression}");
        for metric in metrics.iter().filter(|name| !OF_PROMETHEUS.contains(&name.as_str())) {
            n += 1;
            let (plain, with_labels) =
                (format!("| `{}` |", listed(metric)), format!("| `{}{{", listed(metric)));
            assert!(
                operations.contains(&plain) || operations.contains(&with_labels),
                "{metric} is not listed"
            );
        }
    }
    assert!(n > 20, "only {n} metrics were looked for");
    if Command::new("promtool").arg("--version").stdout(Stdio::null()).status().is_ok() {
        let checked = Command::new("promtool")
            .args(["check", "config"])
            .arg(deploy().join("prometheus.yml"))
            .status();
        assert!(checked.unwrap().success());
    }
}
