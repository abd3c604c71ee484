//! What a run says of itself: when it was measured, and on which rows it learnt.

use crate::support::{
    chats::{Chats, base, run, said},
    trainer::{read_lines, write_lines},
    world::Subject,
};
use serde_json::{Value, json};
use std::path::Path;

#[test]
fn held_out_rows_are_measured_about_ten_times_without_asking() {
    let chats = Chats::new(11, 40);
    let (data, out, metrics) =
        (chats.preferences(), chats.path("out"), chats.path("metrics.jsonl"));
    let paths =
        ["reward", "--model", &base(), "--data", &data, "--eval-data", &data, "--out", &out];
    let settings = "--batch-size 2 --epochs 2 --max-length 128 --save-every 0 --metrics";
    run(&[&paths[..], &settings.split(' ').collect::<Vec<_>>(), &[metrics.as_str()]].concat(), "");
    let measured: Vec<u64> = read_lines(Path::new(&metrics))
        .iter()
        .filter(|line| line["eval_accuracy"].is_number() && line["step"] != 0)
        .map(|line| line["step"].as_u64().unwrap())
        .collect();
    assert_eq!(measured, [4, 8, 12, 16, 20, 24, 28, 32, 36, 40]);
}

#[test]
fn a_run_says_which_rows_it_used_and_why_not_the_others() {
    let chats = Chats::new(12, 30);
    let (data, out) = (chats.path("train.jsonl"), chats.path("out"));
    let long = "The fox runs gladly at dawn. ".repeat(40);
    let row = |(at, subject): (usize, Subject)| {
        let chosen = if at % 3 == 0 { long.as_str() } else { "The fox runs." };
        json!({"prompt": subject.prompt(), "chosen": said(chosen), "rejected": said("No.")})
    };
    write_lines(Path::new(&data), Subject::all(12).into_iter().take(30).enumerate().map(row));
    let paths = ["reward", "--model", &base(), "--data", &data, "--out", &out];
    let whole = run(&paths, "--max-length 64 --epochs 1 --save-every 0");
    let rows = &whole["rows"][0];
    assert_eq!(
        (&rows["file"], &rows["rows"], &rows["used"], &rows["max_length"]),
        (&json!("train.jsonl"), &json!(30), &json!(20), &json!(64))
    );
    let [left_out] = &rows["left_out"].as_array().unwrap()[..] else { panic!("{rows}") };
    assert_eq!((&left_out["reason"], &left_out["rows"]), (&json!("too_long"), &json!(10)));
    assert_eq!(left_out["at"][1], json!([3, 3]));
    // Two steps of four pairs come to eight of the twenty.
    let out = chats.path("short");
    let paths = ["reward", "--model", &base(), "--data", &data, "--out", &out];
    let short = run(&paths, "--max-length 64 --max-steps 2 --batch-size 4 --save-every 0");
    let rows = &short["rows"][0];
    let by_reason: Vec<(&Value, &Value)> = rows["left_out"]
        .as_array()
        .unwrap()
        .iter()
        .map(|left_out| (&left_out["reason"], &left_out["rows"]))
        .collect();
    assert_eq!(by_reason, [(&json!("too_long"), &json!(10)), (&json!("not_reached"), &json!(12))]);
    assert_eq!(rows["used"], 8);
}
