//! `trainer eval` at the shell: it says of a finished model what its run measured at its end.

use crate::support::{
    app::clean,
    binaries,
    chats::{Chats, base, run, said},
    trainer::{refused, trainer, write_lines},
};
use serde_json::{Value, json};
use std::{path::Path, process::Command};

const SETTINGS: &str =
    "--dtype f32 --device cpu --batch-size 4 --max-length 128 --max-steps 3 --save-every 0";
const MEASURE: &str = "--dtype f32 --device cpu --batch-size 4 --max-length 128";

#[test]
fn a_finished_model_is_judged_as_its_run_judged_it_at_its_end() {
    let chats = Chats::new(91, 24);
    let (demonstrations, pairs) = (chats.demonstrations(), chats.preferences());
    for (verb, flag, data, names) in [
        ("sft", "--model", &demonstrations, &["eval_loss", "eval_mean_token_accuracy"][..]),
        (
            "reward",
            "--reward",
            &pairs,
            &["eval_loss", "eval_accuracy", "eval_margin", "eval_calibration_error"],
        ),
    ] {
        let (model, out) = (base(), chats.path(verb));
        let paths = [verb, "--model", &model, "--data", data, "--eval-data", data, "--out", &out];
        let learnt = run(&paths, SETTINGS);
        let judged = run(&["eval", flag, &out, "--data", data], MEASURE);
        assert_eq!(judged["kind"], "eval");
        for name in names {
            let [one, other] =
                [&learnt, &judged].map(|summary| summary["final"][name].as_f64().unwrap());
            assert!((one - other).abs() < 1e-6, "{verb} {name}: {one} ≠ {other}");
        }
        assert_eq!(judged["rows"][0]["rows"], 24);
    }
}

#[test]
fn answers_of_two_models_are_compared_in_sentences_and_numbers() {
    let chats = Chats::new(92, 8);
    let (base, sft) = (base(), chats.sft());
    let reward = chats.reward(&sft);
    let prompts = chats.prompts();
    let [one, other] = [("one.jsonl", &sft), ("other.jsonl", &base)].map(|(name, model)| {
        let out = chats.path(name);
        let paths = ["sample", "--model", model, "--prompts", &prompts, "--out", &out];
        run(&paths, "--n 2 --max-new-tokens 24 --dtype f32 --device cpu");
        out
    });
    let arguments = ["eval", "--reward", &reward, "--prompts", &prompts, "--data", &one];
    let arguments = [&arguments[..], &["--against", &other]].concat();
    let output = clean(&mut Command::new(binaries::trainer()))
        .args(&arguments)
        .args(MEASURE.split(' '))
        .output()
        .unwrap();
    let (told, stdout) =
        (String::from_utf8_lossy(&output.stderr), String::from_utf8_lossy(&output.stdout));
    assert!(told.contains("one.jsonl wins against other.jsonl on"), "{told}");
    let [line] = stdout.lines().collect::<Vec<_>>()[..] else { panic!("{stdout}") };
    let summary: Value = serde_json::from_str(line).unwrap();
    let number = |name: &str| summary["final"][name].as_f64().unwrap();
    assert_eq!(number("eval_prompts"), 8.0);
    assert!(number("eval_win_rate_low") <= number("eval_win_rate"), "{summary}");
    assert!(number("eval_win_rate") <= number("eval_win_rate_high"), "{summary}");
    let difference = number("eval_score") - number("eval_score_against");
    assert!((number("eval_gain") - difference).abs() < 1e-9, "{summary}");
    let best = trainer(["eval", "--reward", &reward, "--prompts", &prompts, "--data", &one]);
    assert!(best["final"]["best_of_2"].as_f64() >= best["final"]["best_of_1"].as_f64(), "{best}");
}

#[test]
fn what_cannot_be_judged_is_refused_with_the_way_out() {
    let chats = Chats::new(93, 4);
    let data = chats.path("rows.jsonl");
    write_lines(Path::new(&data), [json!({"prompt": "Why?", "label": said("So.")})]);
    for (flags, words) in [
        (&["--data", &data][..], &["--model DIR", "--reward DIR"][..]),
        (
            &["--model", "m", "--reward", "r", "--data", &data],
            &["two evaluations", "trainer sample"],
        ),
        (&["--model", "m", "--data", &data, "--against", "b"], &["--against has no effect"]),
        (&["--reward", "r", "--data", &data, "--loss-on", "last"], &["--loss-on has no effect"]),
        (&["--model", &base(), "--data", &data], &["rows.jsonl, line 1", "`text`"]),
        (&["--reward", &base(), "--data", &data], &["is a language model", "trainer reward"]),
    ] {
        let told = refused(["eval"].into_iter().chain(flags.iter().copied()));
        for word in words {
            assert!(told.contains(word), "{word:?} is missing in: {told}");
        }
    }
}
