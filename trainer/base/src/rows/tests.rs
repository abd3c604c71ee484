//! Ids and masks are compared with what TRL 1.16 prepares (fixtures/make_tiny_llama_golden.py).

mod labelled;
mod measured;
mod samples;
mod templates;
mod turns;
mod unusable;

use super::*;
use entity::{report::RunReport, row_use::UseOfRow, run_config::LossOn};
use flate2::{Compression, write::GzEncoder};
use proptest::prelude::*;
use serde_json::json;
use std::{fs, io::Write, ops::ControlFlow, path::PathBuf, sync::LazyLock};

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures")
}

static TOKENIZER: LazyLock<Tokenizer> =
    LazyLock::new(|| Tokenizer::load(&fixtures().join("tiny_llama")).expect("a tokenizer"));

static GOLDEN: LazyLock<Value> = LazyLock::new(|| {
    let text = fs::read_to_string(fixtures().join("tiny_llama_golden.json")).expect("a fixture");
    serde_json::from_str(&text).expect("JSON")
});

fn golden(name: &str) -> &'static [Value] {
    GOLDEN[name].as_array().unwrap_or_else(|| panic!("the golden file has {name}"))
}

fn ids(value: &Value) -> Vec<i64> {
    serde_json::from_value(value.clone()).expect("ids")
}

/// A file of these bytes, in a folder that lives as long as it.
fn file(bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rows.jsonl");
    fs::write(&file, bytes).unwrap();
    (folder, file)
}

fn jsonl<'a>(rows: impl IntoIterator<Item = &'a Value>) -> Vec<u8> {
    rows.into_iter().flat_map(|row| format!("{row}\n").into_bytes()).collect()
}

fn rows_of(golden: &[Value]) -> Vec<u8> {
    jsonl(golden.iter().map(|case| &case["row"]))
}

/// What a loader makes of these bytes, and what it says.
fn loaded<T>(
    bytes: &[u8],
    load: impl Fn(&Path, &mut Report) -> Result<LoadedRows<T>, DataError>,
) -> (Result<LoadedRows<T>, DataError>, Vec<String>) {
    let (_folder, file) = file(bytes);
    let mut said = Vec::new();
    let result = load(&file, &mut |event| {
        if let RunReport::Log { message, .. } = event {
            said.push(message.text);
        }
        ControlFlow::Continue(())
    });
    (result, said)
}

fn examples(bytes: &[u8], max_length: usize) -> Result<LoadedRows<TrainingExample>, DataError> {
    loaded(bytes, |file, report| load_examples(file, &TOKENIZER, max_length, report)).0
}

fn demonstrations(
    bytes: &[u8],
    tokenizer: &Tokenizer,
    max_length: usize,
    loss_on: LossOn,
) -> (Result<LoadedRows<SupervisedExample>, DataError>, Vec<String>) {
    loaded(bytes, |file, report| load_demonstrations(file, tokenizer, max_length, loss_on, report))
}

fn pairs(bytes: &[u8], max_length: usize) -> Result<LoadedRows<AnswerPair>, DataError> {
    loaded(bytes, |file, report| load_pairs(file, &TOKENIZER, max_length, report)).0
}

fn prompts(bytes: &[u8], max_length: usize) -> Result<LoadedRows<PromptIds>, DataError> {
    let load = |file: &Path, report: &mut Report| {
        load_prompts(file, &TOKENIZER, max_length, LongPrompts::Drop, report)
    };
    loaded(bytes, load).0
}

fn problem<T: std::fmt::Debug>(result: Result<T, DataError>) -> String {
    result.unwrap_err().to_string()
}

fn assert_is_as_trl(example: &TrainingExample, case: &Value) {
    assert_eq!(example.ids, ids(&case["input_ids"]), "{case}");
    let mask: Vec<i64> =
        (0..example.ids.len()).map(|at| i64::from(at >= example.prompt_len)).collect();
    // Nothing predicts the first token, so that TRL's loss has no place for it either.
    assert_eq!(mask[1..], ids(&case["completion_mask"])[1..], "{case}");
}

#[test]
fn answers_have_the_ids_and_masks_of_trl() {
    for name in
        ["sft_prompt_completion", "sft_prompt_completion_messages", "sft_messages_last_turn"]
    {
        let cases = golden(name);
        let rows = examples(&rows_of(cases), 1024).unwrap().rows;
        assert_eq!(rows.len(), cases.len());
        for (example, case) in rows.iter().zip(cases) {
            assert_is_as_trl(example, case);
        }
    }
}

#[test]
fn over_long_answers_are_cut_as_trl_cuts_them() {
    let loaded = examples(&rows_of(golden("sft_prompt_completion")), 24).unwrap();
    let cases = golden("sft_max_length_24");
    assert_eq!(loaded.rows.len(), cases.len());
    for (example, case) in loaded.rows.iter().zip(cases) {
        assert_is_as_trl(example, case);
    }
    let of_file = loaded.counts.of_file;
    assert_eq!(of_file.used, loaded.rows.len() as u64);
    assert_eq!(of_file.rows, of_file.used + of_file.n_left_out());
}

#[test]
fn pairs_have_the_ids_of_trl() {
    for (name, kept, max_length) in [
        ("reward_pairs", "reward_pairs", 1024),
        ("reward_pairs_messages", "reward_pairs_messages", 1024),
        ("reward_pairs", "reward_max_length_24", 24),
    ] {
        let rows = pairs(&rows_of(golden(name)), max_length).unwrap().rows;
        let cases = golden(kept);
        assert_eq!(rows.len(), cases.len());
        for (pair, case) in rows.iter().zip(cases) {
            assert_eq!(pair.chosen, ids(&case["chosen_ids"]), "{case}");
            assert_eq!(pair.rejected, ids(&case["rejected_ids"]), "{case}");
        }
    }
}

#[test]
fn prompts_have_the_ids_of_transformers() {
    let cases = golden("prompts");
    let rows = prompts(&rows_of(cases), 1024).unwrap().rows;
    for (prompt, case) in rows.iter().zip(cases) {
        assert_eq!(prompt.ids, ids(&case["input_ids"]), "{case}");
        assert_eq!(prompt.is_conversation, case["row"]["prompt"].is_array());
    }
}

#[test]
fn a_pair_with_the_prompt_inside_both_sides_is_the_same_pair() {
    let explicit = json!({"prompt": "Where? ", "chosen": "Here.", "rejected": "There."});
    let implicit = json!({"chosen": "Where? Here.", "rejected": "Where? There."});
    let [mut explicit, implicit] =
        [explicit, implicit].map(|row| pairs(&jsonl([&row]), 99).unwrap());
    assert!(explicit.rows[0].prompt.take().is_some());
    assert_eq!(explicit, implicit);
}

#[test]
fn pairs_about_one_prompt_are_told_from_others_and_from_those_that_do_not_say() {
    let of = |row: Value| columns::prompt_of_pair(row.as_object().unwrap());
    let plain = of(json!({"prompt": "Q", "chosen": "A", "rejected": "B"}));
    assert!(plain.is_some());
    let same = json!({"prompt": "Q", "chosen": "C", "rejected": "A", "margin": 2, "tools": null});
    assert_eq!(of(same), plain);
    assert_ne!(of(json!({"prompt": "Q ", "chosen": "A", "rejected": "B"})), plain);
    assert_ne!(of(json!({"prompt": "Q", "chosen": "A", "rejected": "B", "tools": []})), plain);
    // As plain text the prompt may end anywhere; in a conversation it ends with a turn.
    assert_eq!(of(json!({"chosen": "Q A", "rejected": "Q B"})), None);
    let turn = |role: &str, content: &str| json!({"role": role, "content": content});
    let [chosen, rejected] = ["A", "B"].map(|text| turn("assistant", text));
    let asked = turn("user", "Q");
    let inside = of(json!({"chosen": [asked, chosen], "rejected": [asked, rejected]}));
    assert!(inside.is_some() && inside != plain);
    let outside = json!([{"content": "Q", "role": "user", "name": null}]);
    let row = json!({"prompt": outside, "chosen": [rejected], "rejected": [chosen]});
    assert_eq!(of(row), inside);
    assert_eq!(of(json!({"prompt": "Q", "completion": "A"})), None);
}

#[test]
fn a_row_to_score_is_a_pair_or_an_answer() {
    let pair = json!({"prompt": "A", "chosen": "B", "rejected": "C"});
    let answer = json!({"prompt": "A", "completion": "B"});
    let bytes = jsonl([&pair, &answer]);
    let load = |file: &Path, report: &mut Report| load_to_score(file, None, &TOKENIZER, 99, report);
    let rows = loaded(&bytes, load).0.unwrap().rows;
    let (RowToScore::Pair(pair), RowToScore::Answer { index, ids }) = (&rows[0], &rows[1]) else {
        panic!("{rows:?}");
    };
    assert_eq!((pair.index, *index), (0, 1));
    assert_eq!(&pair.chosen, ids);
}

#[test]
fn a_text_for_pretraining_ends_with_eos_and_is_split() {
    let bytes = jsonl([&json!({"text": "the sea is wide and the wind is cold"})]);
    let load = |file: &Path, report: &mut Report| load_texts(file, &TOKENIZER, 5, report);
    let rows = loaded(&bytes, load).0.unwrap().rows;
    assert!(rows.len() > 1 && rows.iter().all(|piece| piece.ids.len() <= 5));
    let whole: Vec<i64> = rows.into_iter().flat_map(|piece| piece.ids).collect();
    assert!(TOKENIZER.is_eos(*whole.last().unwrap()));
    assert_eq!(TOKENIZER.completion_text(&whole), "the sea is wide and the wind is cold");
}

#[test]
fn a_gzipped_file_with_a_byte_order_mark_and_blank_lines_is_the_same_file() {
    let row = json!({"prompt": "A", "completion": "B", "source": {"any": [1, 2]}, "text": null});
    let plain = examples(&jsonl([&row, &row]), 99).unwrap();
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    write!(gzip, "\u{feff}{row}\r\n\n  \n{row}").unwrap();
    let zipped = examples(&gzip.finish().unwrap(), 99).unwrap();
    assert_eq!(zipped.rows, plain.rows);
    assert_eq!((zipped.counts.blank, plain.counts.blank), (2, 0));
    assert_eq!(zipped.rows[1].index, 1);
}

#[test]
fn what_is_cut_and_dropped_is_counted_and_said() {
    let short = json!({"prompt": "A", "completion": "B"});
    let long = json!({"prompt": "A", "completion": "the sea ".repeat(20)});
    let only_prompt = json!({"prompt": "the sea ".repeat(20), "completion": "B"});
    let bytes = jsonl([&short, &long, &only_prompt]);
    let load = |file: &Path, report: &mut Report| load_examples(file, &TOKENIZER, 8, report);
    let (result, said) = loaded(&bytes, load);
    let of_file = result.unwrap().counts.of_file;
    assert_eq!((of_file.rows, of_file.used, of_file.cut, of_file.max_length), (3, 2, 1, 8));
    assert_eq!(of_file.of_row(1), UseOfRow::Used);
    assert_eq!(of_file.of_row(2), UseOfRow::LeftOut(LeftOutReason::TooLong));
    assert!(said[0].starts_with("rows.jsonl: 1 of 3 rows cut"), "{said:?}");
    assert!(said[1].starts_with("rows.jsonl: 1 of 3 rows dropped"), "{said:?}");

    assert!(
        problem(examples(&jsonl([&only_prompt]), 8)).contains("its 1 rows are empty or longer")
    );
    assert!(problem(examples(b"\n\n", 8)).ends_with("rows.jsonl has no rows"));
    let refuse = |file: &Path, report: &mut Report| {
        load_prompts(file, &TOKENIZER, 8, LongPrompts::Refuse, report)
    };
    assert!(problem(loaded(&jsonl([&only_prompt]), refuse).0).contains("line 1: the prompt has"));
}

#[test]
fn a_row_of_another_type_is_refused_by_what_it_has() {
    let refused = |row: Value| problem(examples(&jsonl([&row]), 99));
    assert!(refused(json!({"prompt": "A", "chosen": "B", "rejected": "C", "id": 1})).ends_with(
        "line 1: expected `messages`, or `prompt` and `completion`; \
             the row has `prompt`, `chosen`, `rejected`"
    ));
    assert!(
        refused(json!({"question": "A", "answer": "B"}))
            .ends_with("the row has `question`, `answer`")
    );
    assert!(refused(json!([1])).ends_with("expected an object, found a list"));
    let mixed = json!({"prompt": [{"role": "user", "content": "A"}], "completion": "B"});
    assert!(
        refused(mixed).ends_with("`completion` is a string but `prompt` is a list of messages")
    );
    let number = json!({"prompt": 5, "completion": "B"});
    assert!(
        refused(number).contains("`prompt` is a number; expected a string or a list of messages")
    );
    let no_role = json!({"messages": [{"content": "A"}]});
    assert!(refused(no_role).ends_with("`messages[0]` has no `role`"));
    let unanswered = json!({"messages": [{"role": "user", "content": "A"}]});
    assert!(refused(unanswered).contains("no turn of the assistant"));
}

#[test]
fn a_broken_line_is_named() {
    let good = json!({"prompt": "A", "completion": "B"});
    let bytes = [jsonl([&good]), b"\n{\"prompt\": \"A\", \"comp".to_vec()].concat();
    let error = problem(examples(&bytes, 99));
    assert!(error.contains("rows.jsonl, line 3: not JSON: EOF while parsing a string"), "{error}");
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        "\\PC{0,8}".prop_map(Value::from),
        Just(json!({"role": "assistant", "content": "Yes."})),
        Just(json!({"role": "user", "content": "Why?"})),
    ];
    let name = "messages|prompt|completion|chosen|rejected|text|role|content|id";
    leaf.prop_recursive(3, 16, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(name, inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_rows_load_or_are_refused(rows in prop::collection::vec(any_json(), 0..6)) {
        let bytes = jsonl(&rows);
        for max_length in [2, 64] {
            if let Ok(loaded) = examples(&bytes, max_length) {
                prop_assert!(!loaded.rows.is_empty());
                prop_assert!(loaded.rows.iter().all(|row| row.prompt_len < row.ids.len()));
                prop_assert!(loaded.rows.iter().all(|row| row.ids.len() <= max_length));
            }
            let _ = (pairs(&bytes, max_length), prompts(&bytes, max_length));
            for loss_on in [LossOn::Auto, LossOn::Answers, LossOn::Last, LossOn::Text] {
                let rows = demonstrations(&bytes, &TOKENIZER, max_length, loss_on).0;
                for row in rows.into_iter().flat_map(|loaded| loaded.rows) {
                    prop_assert!(row.n_learnt() > 0 && row.ids.len() <= max_length);
                    prop_assert!(row.learnt[0].start >= 1 && row.prompt_len >= 1);
                    prop_assert!(row.learnt.iter().all(|learnt| learnt.end <= row.ids.len()));
                }
            }
        }
    }

    #[test]
    fn a_file_that_ends_within_a_row_is_an_error_naming_the_line(
        n_rows in 1usize..5,
        cut in 1usize..30,
        zipped in any::<bool>(),
    ) {
        let row = json!({"prompt": "Where is the boat?", "completion": "At sea."});
        let whole = jsonl(std::iter::repeat_n(&row, n_rows));
        let bytes = if zipped {
            let mut gzip = GzEncoder::new(Vec::new(), Compression::none());
            gzip.write_all(&whole).unwrap();
            let bytes = gzip.finish().unwrap();
            // The trailer's eight bytes, the closing block, and into the text.
            bytes[..bytes.len() - 8 - cut.min(8)].to_vec()
        } else {
            // The last line break, the closing brace, and into the text.
            whole[..whole.len() - 1 - cut].to_vec()
        };
        let error = problem(examples(&bytes, 64));
        prop_assert!(error.contains(", line "), "{error}");
        if !zipped {
            let expected = format!(", line {n_rows}: not JSON");
            prop_assert!(error.contains(&expected), "{error}");
        }
    }
}

#[test]
fn a_prompt_says_what_its_answers_are_to_come_to() {
    let rows = [
        json!({"prompt": "A", "solution": "#### 2"}),
        json!({"prompt": "A", "solution": 2.5, "answer": "#### 3"}),
        json!({"prompt": "A", "answer": "1 + 1\n#### 2"}),
        // An answer without the mark says nothing of what it comes to.
        json!({"prompt": "A", "answer": "2"}),
        json!({"prompt": "A", "solution": ["2"]}),
    ];
    let found = prompts(&jsonl(&rows), 99).unwrap().rows;
    let found: Vec<_> = found.iter().map(|prompt| prompt.solution.as_deref()).collect();
    assert_eq!(found, [Some("#### 2"), Some("2.5"), Some("1 + 1\n#### 2"), None, None]);
}
