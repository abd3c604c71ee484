//! What a language model is measured on, and answers of two files.

use super::*;

fn measured(rows: &[Value], max_length: usize) -> Result<LoadedRows<SupervisedExample>, String> {
    let load = |file: &Path, report: &mut Report| {
        load_measured(file, &TOKENIZER, max_length, LossOn::Auto, report)
    };
    loaded(&jsonl(rows), load).0.map_err(|error| error.to_string())
}

#[test]
fn demonstrations_and_raw_texts_are_read_from_one_file_each_as_its_training_reads_it() {
    let demonstration = json!({"prompt": "Why?", "completion": " So."});
    let text = json!({"text": "The sea is wide and the wind is cold.", "label": 1});
    let rows = measured(&[demonstration.clone(), text.clone()], 12).unwrap();
    let of_sft = |file: &Path, report: &mut Report| {
        load_demonstrations(file, &TOKENIZER, 12, LossOn::Auto, report)
    };
    let of_pretraining =
        |file: &Path, report: &mut Report| load_texts(file, &TOKENIZER, 12, report);
    let mut expected = loaded(&jsonl([&demonstration]), of_sft).0.unwrap().rows;
    let pieces = loaded(&jsonl([&text]), of_pretraining).0.unwrap().rows;
    assert!(pieces.len() > 1, "{pieces:?}");
    expected.extend(pieces.into_iter().map(|piece| SupervisedExample { index: 1, ..piece }));
    assert_eq!(rows.rows, expected);
    let n_learnt: usize = expected.iter().map(SupervisedExample::n_learnt).sum();
    assert_eq!(rows.counts.of_file.learnt, n_learnt as u64);
}

#[test]
fn a_row_that_nothing_is_measured_on_is_told_what_would_be() {
    let pair = json!({"prompt": "Why?", "chosen": " So.", "rejected": " No."});
    let told = measured(&[pair], 99).unwrap_err();
    assert!(told.contains("`prompt` and `completion`, or `text`"), "{told}");
    assert!(told.contains("the row has `prompt`, `chosen`, `rejected`"), "{told}");
}
