//! Rows that are held out: told apart from those that are learnt from, and the same when a run goes on.

use super::*;

/// Rows of one file in two files of one name, some of them in both.
fn files_of_one_name(folder: &Path) -> (SftPaths, SftConfig) {
    let golden = &fixture("trl_sft_trace.json")["messages"];
    let rows = fs::read_to_string(fixture_path(golden["data"].as_str().unwrap())).unwrap();
    let rows: Vec<&str> = rows.lines().collect();
    let at = |part: &str| folder.join(part).join("rows.jsonl");
    for (part, rows) in [("learnt", &rows[..10]), ("kept", &rows[8..18]), ("others", &rows[10..18])]
    {
        fs::create_dir(folder.join(part)).unwrap();
        fs::write(at(part), rows.join("\n")).unwrap();
    }
    let out = folder.join("out");
    let paths = SftPaths { data: at("learnt"), eval_data: Some(at("kept")), ..paths("", &out) };
    let mut config = traced(golden);
    config.optimisation.epochs = 2.0;
    (paths, config)
}

fn said(events: &[RunReport]) -> Vec<String> {
    let text = |event: &RunReport| match event {
        RunReport::Log { message, .. } => Some(message.text.clone()),
        _ => None,
    };
    events.iter().filter_map(text).collect()
}

#[test]
fn two_files_of_one_name_are_two_in_what_a_run_says_that_it_used() {
    let folder = tempfile::tempdir().unwrap();
    let (paths, config) = files_of_one_name(folder.path());
    let (events, _) = recording::until(Some(1), |report| run(&paths, &config, report));
    let mut used = crate::run::row_use::UsedRows::default();
    events.iter().for_each(|event| used.listen(event));
    let (metrics, outcome) = run_until(&paths, &config, None);
    let mut summary = match outcome {
        VerbOutcome::Finished(summary) => summary,
        VerbOutcome::Stopped => panic!("stopped after {} lines", metrics.len()),
    };
    used.put_into(&mut summary);
    let files: Vec<_> = summary.rows.iter().map(|rows| (&*rows.file, rows.rows)).collect();
    assert_eq!(files, [("learnt/rows.jsonl", 10), ("kept/rows.jsonl", 10)]);
}

#[test]
fn held_out_rows_that_are_learnt_from_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let (mut paths, config) = files_of_one_name(folder.path());
    let warned = |paths: &SftPaths| {
        let (events, _) = recording::until(Some(0), |report| run(paths, &config, report));
        said(&events).into_iter().find(|text| text.contains("held-out rows are learnt from"))
    };
    let told = warned(&paths).expect("a warning");
    assert!(told.starts_with("kept/rows.jsonl: 2 of 10 held-out rows"), "{told}");
    paths.eval_data = Some(folder.path().join("others/rows.jsonl"));
    assert_eq!(warned(&paths), None);
    paths.eval_data = Some(paths.data.clone());
    let told = warned(&paths).expect("a warning of the very same file");
    assert!(told.contains("10 of 10 held-out rows"), "{told}");
}

#[test]
fn a_run_goes_on_with_the_held_out_rows_that_it_began_with_and_no_others() {
    let folder = tempfile::tempdir().unwrap();
    let (mut paths, config) = files_of_one_name(folder.path());
    run_until(&paths, &config, Some(2));
    let began_with = paths.eval_data.replace(folder.path().join("others/rows.jsonl"));
    let refused =
        run(&paths, &config, &mut |_| ControlFlow::Continue(())).expect_err("it is refused");
    assert!(refused.to_string().contains("eval_data"), "{refused}");
    paths.eval_data = began_with;
    let (_, outcome) = run_until(&paths, &config, None);
    assert!(matches!(outcome, VerbOutcome::Finished(_)));
}

#[test]
fn the_change_of_the_held_out_loss_has_an_interval_also_after_a_stop() {
    let [whole, parts] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let measured = |folder: &Path, stop: Option<u64>| {
        let (mut paths, config) = files_of_one_name(folder);
        paths.eval_data = Some(folder.join("others/rows.jsonl"));
        let mut metrics = run_until(&paths, &config, stop).0;
        if stop.is_some() {
            metrics.extend(run_until(&paths, &config, None).0);
        }
        metrics
    };
    let uninterrupted = measured(whole.path(), None);
    let number = |line: &Map<String, Value>, name: &str| line[name].as_f64().unwrap();
    let (start, end) = (&uninterrupted[0], uninterrupted.last().unwrap());
    assert!(!start.contains_key("eval_loss_change"));
    let change = number(end, "eval_loss_change");
    let between = number(end, "eval_loss") - number(start, "eval_loss");
    assert!((change - between).abs() < 1e-6, "{change} is not {between}");
    assert!(number(end, "eval_loss_change_low") < change);
    assert!(number(end, "eval_loss_change_high") > change);
    assert_eq!(number(end, "eval_rows"), 6.0);
    assert_eq!(measured(parts.path(), Some(2)), uninterrupted);
}
