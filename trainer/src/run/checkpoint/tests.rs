//! Checkpoints as a run finds them: unfinished, damaged, or of another run.

use super::*;
use entity::{report::RunReport, run_config::SampleConfig};
use std::ops::ControlFlow;

#[test]
fn a_checkpoint_is_due_every_so_many_steps_and_after_five_minutes_without_one() {
    let schedule = CheckpointSchedule::new(100);
    let after = |seconds| schedule.since + Duration::from_secs(seconds);
    assert!(!schedule.is_due_at(7, after(299)) && schedule.is_due_at(7, after(300)));
    assert!(schedule.is_due_at(200, after(0)));
    assert!(!CheckpointSchedule::new(0).is_due_at(100, after(1000)), "0 writes none");
    let mut slow = CheckpointSchedule::new(100);
    slow.written(Instant::now() - Duration::from_secs(30));
    assert!(!slow.is_due_at(7, slow.since + Duration::from_secs(599)), "a twentieth of the time");
    assert!(slow.is_due_at(7, slow.since + Duration::from_secs(601)));
}

type Opened = Result<(RunCheckpoints, Option<FoundCheckpoint<u64>>)>;

fn open(out: &Path, seed: u64, resume: ResumeMode) -> Opened {
    start(out, seed, StartFlags { resume, ..StartFlags::default() }, &mut Vec::new())
}

/// Opens with flags; whoever restores reads the file `weights`, and what is said is kept.
fn start(out: &Path, seed: u64, flags: StartFlags, said: &mut Vec<String>) -> Opened {
    let config = SampleConfig { seed, ..SampleConfig::default() };
    let mut report = |event| {
        if let RunReport::Log { message, .. } = event {
            said.push(message.text);
        }
        ControlFlow::Continue(())
    };
    let restore = |found: &FoundCheckpoint<u64>| {
        ensure!(fs::read_to_string(found.folder.join("weights"))? == found.step.to_string());
        Ok(())
    };
    RunCheckpoints::open(out, RunIdentity::new("sample", &config, []), flags, &mut report, restore)
}

fn save(checkpoints: &RunCheckpoints, step: u64) {
    let write = |folder: &Path| Ok(fs::write(folder.join("weights"), step.to_string())?);
    checkpoints.save(step, &(step * 10), write).unwrap();
}

#[test]
fn a_run_goes_on_from_the_newest_of_the_two_that_are_kept() {
    let out = tempfile::tempdir().unwrap();
    let (checkpoints, found) = open(out.path(), 1, ResumeMode::Auto).unwrap();
    assert_eq!(found, None);
    [5, 10, 100].into_iter().for_each(|step| save(&checkpoints, step));
    let names = ["checkpoint-5", "checkpoint-10", "checkpoint-100"];
    assert_eq!(names.map(|name| out.path().join(name).exists()), [false, true, true]);
    let found = open(out.path(), 1, ResumeMode::Auto).unwrap().1.unwrap();
    assert_eq!((found.step, found.state), (100, 1000));
    assert_eq!(fs::read_to_string(found.folder.join("weights")).unwrap(), "100");
}

#[test]
fn an_unfinished_checkpoint_is_not_seen() {
    let out = tempfile::tempdir().unwrap();
    let (checkpoints, _) = open(out.path(), 1, ResumeMode::Auto).unwrap();
    save(&checkpoints, 1);
    let killed = checkpoints.save(2, &0, |folder| {
        fs::write(folder.join("weights"), "half")?;
        bail!("killed")
    });
    assert!(killed.is_err());
    assert_eq!(open(out.path(), 1, ResumeMode::Auto).unwrap().1.unwrap().step, 1);
    save(&checkpoints, 2);
    assert_eq!(open(out.path(), 1, ResumeMode::Auto).unwrap().1.unwrap().step, 2);
}

#[test]
fn another_run_does_not_go_on_from_it_and_is_told_what_differs() {
    let out = tempfile::tempdir().unwrap();
    save(&open(out.path(), 1, ResumeMode::Auto).unwrap().0, 3);
    let error = open(out.path(), 2, ResumeMode::Auto).unwrap_err().to_string();
    assert!(error.contains("config: seed is 1 there and 2 here"), "{error}");
    assert!(open(out.path(), 1, ResumeMode::Never).is_err());
}

#[test]
fn whoever_holds_a_run_removes_its_checkpoints() {
    let out = tempfile::tempdir().unwrap();
    let (checkpoints, _) = open(out.path(), 1, ResumeMode::Held).unwrap();
    save(&checkpoints, 3);
    checkpoints.remove_all().unwrap();
    assert_eq!(open(out.path(), 1, ResumeMode::Held).unwrap().1.unwrap().step, 3);
}

#[test]
fn nothing_is_left_of_a_finished_run() {
    let out = tempfile::tempdir().unwrap();
    let (checkpoints, _) = open(out.path(), 1, ResumeMode::Auto).unwrap();
    save(&checkpoints, 3);
    fs::create_dir(out.path().join(".checkpoint-4.unfinished")).unwrap();
    fs::write(out.path().join("model.safetensors"), "result").unwrap();
    checkpoints.remove_all().unwrap();
    assert_eq!(fs::read_dir(out.path()).unwrap().count(), 1);
}

#[test]
fn where_the_newest_is_damaged_a_run_goes_on_from_the_one_before() {
    type Damage = fn(&Path);
    let damages: [Damage; 3] = [
        |folder| fs::write(folder.join(STATE), "{\"identity\"").unwrap(),
        |folder| fs::write(folder.join("weights"), "cut off").unwrap(),
        |folder| fs::remove_file(folder.join("weights")).unwrap(),
    ];
    for damage in damages {
        let out = tempfile::tempdir().unwrap();
        let (checkpoints, _) = open(out.path(), 1, ResumeMode::Auto).unwrap();
        [5, 10].into_iter().for_each(|step| save(&checkpoints, step));
        damage(&out.path().join("checkpoint-10"));

        let mut said = Vec::new();
        let (checkpoints, found) = start(out.path(), 1, StartFlags::default(), &mut said).unwrap();
        assert_eq!(found.unwrap().step, 5);
        assert!(said[0].contains("checkpoint-10") && said[0].contains("after step 5"), "{said:?}");
        // Its place is free for the steps that are done again.
        save(&checkpoints, 10);
        assert_eq!(open(out.path(), 1, ResumeMode::Auto).unwrap().1.unwrap().step, 10);
    }
}

#[test]
fn where_every_checkpoint_is_damaged_nothing_is_removed_and_a_person_decides() {
    let out = tempfile::tempdir().unwrap();
    let (checkpoints, _) = open(out.path(), 1, ResumeMode::Auto).unwrap();
    for step in [5, 10] {
        save(&checkpoints, step);
        fs::write(out.path().join(format!("checkpoint-{step}/weights")), "cut off").unwrap();
    }
    let error = open(out.path(), 1, ResumeMode::Auto).unwrap_err().to_string();
    assert!(error.contains("--resume never --overwrite"), "{error}");
    let flags = StartFlags { resume: ResumeMode::Never, overwrite: true, ..StartFlags::default() };
    assert_eq!(start(out.path(), 1, flags, &mut Vec::new()).unwrap().1, None);
    assert!(!out.path().join("checkpoint-5").exists());
}

#[test]
fn a_folder_without_its_state_stands_in_nobodys_way() {
    let out = tempfile::tempdir().unwrap();
    let (checkpoints, _) = open(out.path(), 1, ResumeMode::Auto).unwrap();
    fs::create_dir(out.path().join("checkpoint-7")).unwrap();
    save(&checkpoints, 7);
    assert_eq!(open(out.path(), 1, ResumeMode::Auto).unwrap().1.unwrap().step, 7);
}

#[test]
fn a_finished_model_is_replaced_only_when_that_is_asked_for() {
    for weights in ["model.safetensors", "model.safetensors.index.json"] {
        let out = tempfile::tempdir().unwrap();
        fs::write(out.path().join(weights), "result").unwrap();
        for resume in [ResumeMode::Auto, ResumeMode::Never] {
            let error = open(out.path(), 1, resume).unwrap_err().to_string();
            assert!(error.contains("a finished model") && error.contains("--overwrite"), "{error}");
            let flags = StartFlags { resume, overwrite: true, ..StartFlags::default() };
            assert_eq!(start(out.path(), 1, flags, &mut Vec::new()).unwrap().1, None);
        }
        // Whoever holds a run knows better.
        assert_eq!(open(out.path(), 1, ResumeMode::Held).unwrap().1, None);
        // A run that was killed while it tidied up goes on.
        let (checkpoints, _) = open(out.path(), 1, ResumeMode::Held).unwrap();
        save(&checkpoints, 3);
        assert_eq!(open(out.path(), 1, ResumeMode::Auto).unwrap().1.unwrap().step, 3);
        let overwriting = StartFlags { overwrite: true, ..StartFlags::default() };
        let found = start(out.path(), 1, overwriting, &mut Vec::new()).unwrap().1;
        assert_eq!(found.unwrap().step, 3, "an unfinished run is not begun anew");
    }
}
