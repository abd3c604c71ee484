//! What `trainer sample` wrote, beside the prompts that it answered.

use super::*;

/// What is made of these lines of samples.
fn scored(samples: &[Value], prompts: Option<&[Value]>) -> Result<Vec<RowToScore>, String> {
    let kept = prompts.map(|rows| file(&jsonl(rows)));
    let prompts = kept.as_ref().map(|(_, path)| path.as_path());
    let load =
        |file: &Path, report: &mut Report| load_to_score(file, prompts, &TOKENIZER, 99, report);
    let loaded = loaded(&jsonl(samples), load).0;
    loaded.map(|loaded| loaded.rows).map_err(|error| error.to_string())
}

/// The ids of a row as any other answer is read.
fn answered(row: &Value) -> Vec<i64> {
    let load = |file: &Path, report: &mut Report| load_to_score(file, None, &TOKENIZER, 99, report);
    match loaded(&jsonl([row]), load).0.unwrap().rows.remove(0) {
        RowToScore::Answer { ids, .. } => ids,
        row => panic!("{row:?}"),
    }
}

fn said(text: &str, finish_reason: &str) -> Value {
    json!({"text": text, "token_ids": [], "finish_reason": finish_reason})
}

#[test]
fn a_finished_sample_is_read_as_any_answer_and_one_that_was_cut_off_as_it_is() {
    let asked = json!([{"role": "user", "content": "Where is the boat?"}]);
    let prompts = [json!({"prompt": "The sea"}), json!({"prompt": asked})];
    let samples = [
        json!({"index": 1, "completions": [said("Here.", "stop"), said("Here", "length")]}),
        json!({"index": 0, "completions": [said(" is wide.", "stop"), said(" is", "length")]}),
    ];
    let rows = scored(&samples, Some(&prompts)).unwrap();
    let [
        RowToScore::Answers { index: 1, ids: chats },
        RowToScore::Answers { index: 0, ids: plain },
    ] = &rows[..]
    else {
        panic!("{rows:?}");
    };
    let turn = json!([{"role": "assistant", "content": "Here."}]);
    assert_eq!(chats[0], answered(&json!({"prompt": asked, "completion": turn})));
    assert_eq!(plain[0], answered(&json!({"prompt": "The sea", "completion": " is wide."})));
    // No end of a turn, and no end of a text.
    assert!(TOKENIZER.decode(&chats[1]).ends_with("Here"), "{}", TOKENIZER.decode(&chats[1]));
    assert_eq!(plain[1], TOKENIZER.encode("The sea is", true).unwrap());
}

#[test]
fn samples_without_their_prompts_are_refused_in_words() {
    let one = json!({"index": 1, "completions": [said("So.", "stop")]});
    let prompts = [json!({"prompt": "Why?"})];
    let told = |row: Value, prompts: Option<&[Value]>| scored(&[row], prompts).unwrap_err();
    assert!(told(one.clone(), None).contains("line 1: `completions` are answers to the prompts"));
    assert!(
        told(one.clone(), Some(&prompts))
            .contains("`index` is 1, and the file of prompts has 1 rows")
    );
    let without = json!({"completions": one["completions"]});
    assert!(told(without, Some(&prompts)).contains("has no `index`"));
    let empty = json!({"index": 0, "completions": []});
    assert!(told(empty, Some(&prompts)).contains("expected a list of answers"));
    let textless = json!({"index": 0, "completions": [{"token_ids": [1]}]});
    assert!(told(textless, Some(&prompts)).contains("has no `text`"));
    let bad = [json!({"completion": "Nothing asked"})];
    let problem = told(json!({"index": 0, "completions": [said("So.", "stop")]}), Some(&bad));
    assert!(problem.contains("line 1") && problem.contains("`prompt`"), "{problem}");
}
