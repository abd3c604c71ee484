//! What is learnt of conversations: against what transformers marks in templates that mark answers
//! (fixtures/make_sft_turns.py), and in the rows that are no plain conversations.

use super::{templates::under, *};
use crate::fixtures::fixture;

/// The sequences of a row as ids and masks, of which TRL's loss has no place for the first.
fn masked(row: &SupervisedExample) -> (Vec<i64>, Vec<i64>) {
    let is_learnt = |at: usize| row.learnt.iter().any(|learnt| learnt.contains(&at));
    (row.ids.clone(), (1..row.ids.len()).map(|at| i64::from(is_learnt(at))).collect())
}

fn turn(role: &str, content: &str) -> Value {
    json!({"role": role, "content": content})
}

/// Under a template that writes nothing about answers but their end.
const TURNS: &str = "{% for m in messages %}{{ m.role + ':' + m.content + '<|im_end|>' }}{% endfor %}\
                     {% if add_generation_prompt %}{{ 'assistant:' }}{% endif %}";

/// The texts of what is learnt, sequence by sequence.
fn learnt(tokenizer: &Tokenizer, rows: &[SupervisedExample]) -> Vec<Vec<String>> {
    let texts = |row: &SupervisedExample| {
        row.learnt.iter().map(|learnt| tokenizer.decode(&row.ids[learnt.clone()])).collect()
    };
    rows.iter().map(texts).collect()
}

#[test]
fn answers_are_found_where_transformers_marks_them_and_else_learnt_in_sequences_of_their_own() {
    let golden = fixture("sft_turns.json");
    let mut n_cases = 0;
    for (name, of_template) in golden.as_object().unwrap() {
        let Some(template) = of_template["template"].as_str() else { continue };
        let tokenizer = under(template);
        for case in of_template["cases"].as_array().unwrap() {
            let bytes = jsonl([&json!({"messages": case["messages"]})]);
            let (result, said) = demonstrations(&bytes, &tokenizer, 1024, LossOn::Auto);
            let loaded = result.unwrap();
            let expected: Vec<_> = case["sequences"].as_array().unwrap().iter().collect();
            let ours: Vec<_> = loaded.rows.iter().map(masked).collect();
            let theirs =
                expected.iter().map(|it| (ids(&it["input_ids"]), ids(&it["mask"])[1..].to_vec()));
            assert_eq!(ours, theirs.collect::<Vec<_>>(), "{name}: {case}");
            let is_split = expected.len() > 1;
            assert_eq!(loaded.counts.of_file.split, u64::from(is_split), "{name}");
            let tells = |word: &str| said.iter().any(|said| said.contains(word));
            assert_eq!(tells("read as several"), is_split, "{name}: {said:?}");
            assert_eq!(tells("would not learn to stop"), name == "unended", "{name}: {said:?}");
            assert!(tells("tokens are learnt"), "{said:?}");
            n_cases += 1;
        }
    }
    assert_eq!(n_cases, 24);
}

#[test]
fn a_setting_says_which_of_the_answers_are_learnt() {
    let tokenizer = under(TURNS);
    let earlier = [turn("user", "a"), turn("assistant", "b"), turn("user", "c")];
    let said = [turn("assistant", "d"), turn("tool", "e"), turn("assistant", "f")];
    let pair = json!({"prompt": earlier, "completion": said});
    let messages = [earlier.to_vec(), said.to_vec()].concat();
    let whole = json!({"messages": messages});
    let of = |row: &Value, loss_on: LossOn| {
        learnt(&tokenizer, &demonstrations(&jsonl([row]), &tokenizer, 99, loss_on).0.unwrap().rows)
            .remove(0)
    };
    let end = "<|im_end|>";
    let answers =
        |texts: &[&str]| texts.iter().map(|text| format!("{text}{end}")).collect::<Vec<_>>();
    assert_eq!(of(&pair, LossOn::Auto), answers(&["d", "f"]));
    assert_eq!(of(&pair, LossOn::Answers), answers(&["b", "d", "f"]));
    assert_eq!(of(&pair, LossOn::Last), [format!("d{end}tool:e{end}assistant:f{end}")]);
    assert_eq!(of(&whole, LossOn::Auto), answers(&["b", "d", "f"]));
    assert_eq!(of(&whole, LossOn::Last), answers(&["f"]));
    let text = |row: &Value| of(row, LossOn::Text).concat();
    assert!(
        text(&pair).ends_with(&format!(
            ":a{end}assistant:b{end}user:c{end}assistant:d{end}tool:e{end}assistant:f{end}"
        )),
        "{}",
        text(&pair)
    );
    assert_eq!(text(&whole), text(&pair));
    let plain = json!({"prompt": "a", "completion": " b"});
    assert_eq!(of(&plain, LossOn::Answers), [format!(" b{end}")]);
}

#[test]
fn an_answer_that_a_template_cannot_be_asked_for_is_read_and_told() {
    let picky = "{% if messages[0]['role'] != 'user' and messages | length < 2 %}{{ raise_exception('who asks?') }}{% endif %}"
        .to_owned()
        + TURNS;
    let tokenizer = under(&picky);
    let greeted = [turn("assistant", "Hi"), turn("user", "a"), turn("assistant", "b")];
    let bytes = jsonl([&json!({"messages": greeted})]);
    let (result, said) = demonstrations(&bytes, &tokenizer, 99, LossOn::Auto);
    assert_eq!(learnt(&tokenizer, &result.unwrap().rows), [["b<|im_end|>"]]);
    assert!(said.iter().any(|said| said.contains("1 answers are not learnt")), "{said:?}");
}

#[test]
fn of_a_conversation_that_is_cut_the_answers_before_the_cut_are_learnt() {
    let tokenizer = under(TURNS);
    let long = "the sea ".repeat(20);
    let messages =
        [turn("user", "a"), turn("assistant", "b"), turn("user", &long), turn("assistant", "c")];
    let bytes = jsonl([&json!({"messages": messages})]);
    let loaded = demonstrations(&bytes, &tokenizer, 24, LossOn::Auto).0.unwrap();
    assert_eq!(learnt(&tokenizer, &loaded.rows), [["b<|im_end|>"]]);
    let of_file = loaded.counts.of_file;
    assert_eq!((of_file.used, of_file.cut, of_file.tokens), (1, 1, 24));
    let last = demonstrations(&bytes, &tokenizer, 24, LossOn::Last).0.unwrap_err();
    assert!(last.to_string().contains("empty or longer"), "{last}");
}
