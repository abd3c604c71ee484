//! Answers that are good or bad, each by itself.

use super::*;

fn labelled(rows: &[Value], batch_size: usize) -> Result<LoadedRows<LabelledAnswer>, DataError> {
    let load =
        |file: &Path, report: &mut Report| load_labelled(file, &TOKENIZER, 24, batch_size, report);
    loaded(&jsonl(rows), load).0
}

fn answer(prompt: &str, completion: &str, label: impl Into<Value>) -> Value {
    json!({"prompt": prompt, "completion": completion, "label": label.into()})
}

#[test]
fn where_all_rows_share_a_prompt_it_gets_the_answer_of_the_row_before() {
    let rows: Vec<Value> =
        ["Yes.", "No.", "Flour.", "Salt."].map(|said| answer("Why? ", said, said == "No.")).into();
    let rows = labelled(&rows, 3).unwrap().rows;
    let own = |row: usize| &rows[row].ids[rows[row].prompt_len..];
    let other = |row: usize| &rows[row].mismatched[rows[row].prompt_len..];
    assert_eq!([other(0), other(1), other(2)], [own(3), own(0), own(1)]);
    assert_eq!(other(3), own(2), "alone in its group, and of one prompt all");
    assert_eq!(rows.iter().map(|row| row.is_good).collect::<Vec<_>>(), [false, true, false, false]);
}

#[test]
fn every_prompt_gets_the_answer_of_another_within_its_group_where_it_can() {
    // Two judgements of one prompt stand side by side, as in a frozen version.
    let prompts = ["Why? ", "Why? ", "How? ", "Who? ", "Who? ", "Who? ", "When? "];
    let rows: Vec<Value> = prompts
        .iter()
        .enumerate()
        .map(|(row, prompt)| answer(prompt, &format!("So {row}."), true))
        .collect();
    let rows = labelled(&rows, 3).unwrap().rows;
    let other_of = |row: usize| {
        let other = &rows[row].mismatched[rows[row].prompt_len..];
        rows.iter().position(|row| row.ids[row.prompt_len..] == *other).expect("an answer")
    };
    let others: Vec<usize> = (0..rows.len()).map(other_of).collect();
    assert_eq!(others, [2, 2, 1, 2, 2, 2, 5]);
}

#[test]
fn pairs_are_taken_apart_good_answers_first_and_what_teaches_nothing_is_left_out() {
    let pair = |chosen: &str, rejected: &str| json!({"prompt": "Why? ", "chosen": chosen, "rejected": rejected});
    let rows = [pair("Yes.", "No."), pair("Flour.", "Flour."), pair("Salt.", "Sea.")];
    let found = labelled(&rows, 8).unwrap();
    let told: Vec<_> = found.rows.iter().map(|row| (row.index, row.is_good)).collect();
    assert_eq!(told, [(0, true), (2, true), (0, false), (2, false)]);
    let of_file = found.counts.of_file;
    assert_eq!((of_file.rows, of_file.used), (3, 2));
    assert_eq!(of_file.n_left_out_for(LeftOutReason::Identical), 1);
}

#[test]
fn a_row_without_a_label_that_can_be_read_is_named() {
    let missing = labelled(&[json!({"prompt": "a", "completion": "b"})], 2).unwrap_err();
    assert!(missing.to_string().contains("has no `label`"), "{missing}");
    let pair = json!({"prompt": "a", "chosen": "b", "rejected": "c", "label": false});
    let error = labelled(&[pair], 2).unwrap_err().to_string();
    assert!(error.contains("line 1") && error.contains("`label` is false"), "{error}");
    for label in [Value::Null, json!(1), json!("good")] {
        let error = labelled(&[answer("a", "b", true), answer("a", "b", label)], 2).unwrap_err();
        let error = error.to_string();
        assert!(error.contains("line 2") && error.contains("`label`"), "{error}");
    }
    let error = labelled(&[json!({"text": "a"})], 2).unwrap_err().to_string();
    assert!(error.contains("`label`") && error.contains("`chosen`"), "{error}");
}
