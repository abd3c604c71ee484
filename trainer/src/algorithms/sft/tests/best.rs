//! Which model a run keeps, and when it ends for want of a better one.

use super::*;

/// Few rows, learnt far too often, beside others that are held out: the held-out loss falls and rises again.
fn learning_by_heart(out: &Path, best: BestSettings) -> (SftPaths, SftConfig) {
    let golden = &fixture("trl_sft_trace.json")["messages"];
    let rows = fs::read_to_string(fixture_path(golden["data"].as_str().unwrap())).unwrap();
    let rows: Vec<&str> = rows.lines().collect();
    let paths = SftPaths {
        data: out.join("train.jsonl"),
        eval_data: Some(out.join("eval.jsonl")),
        ..paths("", &out.join("out"))
    };
    fs::write(&paths.data, rows[..9].join("\n")).unwrap();
    fs::write(paths.eval_data.as_ref().unwrap(), rows[30..].join("\n")).unwrap();
    let mut config = SftConfig { best, eval_every: 2, learning_rate: Some(1e-2), ..traced(golden) };
    config.optimisation.lr_scheduler = LrScheduler::Constant;
    config.optimisation.epochs = 20.0;
    (paths, config)
}

fn eval_losses(metrics: &[Map<String, Value>]) -> Vec<(u64, f64)> {
    let measured = |line: &Map<String, Value>| {
        Some((line["step"].as_u64()?, line.get("eval_loss")?.as_f64()?))
    };
    metrics.iter().filter_map(measured).filter(|(step, _)| *step > 0).collect()
}

fn summary(outcome: VerbOutcome) -> entity::report::RunSummary {
    let VerbOutcome::Finished(summary) = outcome else { panic!("it was not asked to stop") };
    summary
}

#[test]
fn the_model_that_is_kept_is_that_of_the_step_with_the_lowest_held_out_loss() {
    let [last, best] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let (paths, config) = learning_by_heart(last.path(), BestSettings::default());
    let (metrics, _) = run_until(&paths, &config, None);
    let losses = eval_losses(&metrics);
    let (step, lowest) = losses.iter().copied().min_by(|(_, a), (_, b)| a.total_cmp(b)).unwrap();
    let (_, at_end) = *losses.last().unwrap();
    assert!(step > 2 && at_end > lowest, "it rises again: {losses:?}");

    let keep = BestSettings { keep_best: true, early_stop_patience: 0 };
    let (best_paths, config) = learning_by_heart(best.path(), keep);
    let (kept, outcome) = run_until(&best_paths, &config, None);
    assert_eq!(eval_losses(&kept), losses, "keeping changes nothing of the course");
    let summary = summary(outcome);
    assert_eq!(summary.last["best_step"], step);
    assert_eq!(
        summary.last["eval_loss"].as_f64(),
        Some(lowest),
        "the figures are the kept model's"
    );
    // What a run has that is stopped there.
    let (stopped, config) = learning_by_heart(last.path(), BestSettings::default());
    let stopped = SftPaths { out: last.path().join("stopped"), ..stopped };
    run_until(&stopped, &config, Some(step));
    let there = stopped.out.join(format!("checkpoint-{step}"));
    assert!(weights(&best_paths.out) == weights(&there), "other weights are kept");
    assert!(weights(&best_paths.out) != weights(&paths.out), "the last ones are kept");
    let left = fs::read_dir(&best_paths.out).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(left.into_iter().all(|name| !name.to_string_lossy().contains("checkpoint")));
}

#[test]
fn a_run_that_ends_early_and_was_stopped_and_killed_keeps_the_same_model_bit_for_bit() {
    let stop = BestSettings { keep_best: false, early_stop_patience: 3 };
    let [whole, parts] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let (paths, config) = learning_by_heart(whole.path(), stop.clone());
    let (uninterrupted, outcome) = run_until(&paths, &config, None);
    let whole_summary = summary(outcome);
    let losses = eval_losses(&uninterrupted);
    let best = whole_summary.last["best_step"].as_u64().unwrap();
    assert_eq!(whole_summary.steps, best + 3 * 2, "three measurements later: {losses:?}");
    assert!(whole_summary.steps < 40, "{losses:?}");

    let (cut, config) = learning_by_heart(parts.path(), stop);
    // Stopped behind the best step, then killed further on: the checkpoint before is gone on from.
    let (mut metrics, _) = run_until(&cut, &config, Some(best + 1));
    let (killed, _) = run_until(&cut, &config, Some(best + 3));
    metrics.extend(killed);
    let unfinished = cut.out.join(format!(".checkpoint-{}.unfinished", best + 3));
    fs::rename(cut.out.join(format!("checkpoint-{}", best + 3)), unfinished).unwrap();
    metrics.retain(|line| line["step"].as_u64() <= Some(best + 1));
    let (rest, outcome) = run_until(&cut, &config, None);
    metrics.extend(rest);
    assert_eq!(metrics, uninterrupted);
    assert_eq!(summary(outcome).last["best_step"], best);
    assert!(weights(&paths.out) == weights(&cut.out), "the weights differ");
}

#[test]
fn a_measurement_that_a_stop_cut_short_is_made_when_the_run_goes_on() {
    let keep = BestSettings { keep_best: true, early_stop_patience: 0 };
    let [whole, parts] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let (paths, config) = learning_by_heart(whole.path(), keep.clone());
    let (uninterrupted, _) = run_until(&paths, &config, None);
    let (cut, config) = learning_by_heart(parts.path(), keep);
    // The progress that is reported after the step's own micro-batch is the measuring's.
    let (_, outcome) =
        recording::within_step(3, 2, |report: &mut Report| run(&cut, &config, report));
    assert_eq!(outcome, VerbOutcome::Stopped);
    let (rest, outcome) = run_until(&cut, &config, None);
    let measured = eval_losses(&rest);
    assert_eq!(measured, eval_losses(&uninterrupted)[1..]);
    assert_eq!(measured[0].0, 4, "{measured:?}");
    assert_eq!(summary(outcome).steps, 40);
    assert!(weights(&paths.out) == weights(&cut.out), "the weights differ");
}

#[test]
fn a_run_without_held_out_rows_says_that_it_keeps_the_last_model() {
    let keep = BestSettings { keep_best: true, early_stop_patience: 1 };
    let out = tempfile::tempdir().unwrap();
    let (mut paths, config) = learning_by_heart(out.path(), keep);
    paths.eval_data = None;
    let (events, outcome) = recording::until(None, |report| run(&paths, &config, report));
    assert_eq!(summary(outcome).steps, 40);
    let told = |event: &RunReport| matches!(event, RunReport::Log { message, .. } if message.text.contains("no rows are held out"));
    assert!(events.iter().any(told));
}
