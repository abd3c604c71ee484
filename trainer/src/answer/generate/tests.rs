//! Decoding: the same answers in any batch, and where they end.

use super::*;
use crate::{
    fixtures::{FAMILIES, fixture, fixture_path, model_folder},
    model::head,
};
use serde_json::Value;
use tch::{Device, Kind};
use trainer_base::model_config::ModelPurpose;

fn tiny_llama() -> Transformer {
    let model =
        Transformer::load_frozen(&fixture_path("tiny_llama"), Kind::Float, Device::Cpu).unwrap();
    assert_eq!(model.config.purpose, ModelPurpose::Language);
    model
}

fn ids(list: &Value) -> Vec<i64> {
    list.as_array().unwrap().iter().map(|id| id.as_i64().unwrap()).collect()
}

fn greedy(slots: usize, max_new_tokens: usize, stop_ids: &[i64]) -> SamplingSettings<'_> {
    SamplingSettings {
        max_new_tokens,
        rule: DrawRule::at(0.0),
        slots,
        seed: 0,
        stop_ids,
        logprobs: false,
        ends_after: None,
    }
}

/// Prompts of several lengths, from the fixture's own texts.
fn prompts() -> Vec<Vec<i64>> {
    let golden = fixture("tiny_llama_golden.json");
    golden["prompts"].as_array().unwrap().iter().map(|row| ids(&row["input_ids"])).collect()
}

fn requests(prompts: &[Vec<i64>], n: usize) -> Vec<AnswerRequest<'_>> {
    let requests = prompts.iter().enumerate().filter(|(_, ids)| !ids.is_empty());
    requests.map(|(i, ids)| AnswerRequest { ids, n, key: i as u64 }).collect()
}

#[test]
fn greedy_answers_are_those_of_transformers_alone_and_side_by_side() {
    let golden = fixture("tiny_llama_golden.json");
    let cases = golden["greedy"].as_array().unwrap();
    let prompts: Vec<_> = cases.iter().map(|case| ids(&case["prompt_ids"])).collect();
    let model = tiny_llama();
    for slots in [1, 2] {
        let answers = generate_all(&model, &requests(&prompts, 1), &greedy(slots, 32, &[2]));
        for (case, answer) in cases.iter().zip(&answers) {
            assert_eq!(answer[0].token_ids, ids(&case["token_ids"]));
        }
    }
}

#[test]
fn an_answer_does_not_depend_on_which_others_are_decoded_beside_it() {
    let model = tiny_llama();
    let prompts = prompts();
    // Many, so that answers end at different times.
    let stop_ids: Vec<i64> = (0..32).collect();
    let answers = |slots| {
        let settings = SamplingSettings {
            max_new_tokens: 12,
            rule: DrawRule { top_p: 0.95, ..DrawRule::at(0.9) },
            slots,
            seed: 7,
            stop_ids: &stop_ids,
            logprobs: false,
            ends_after: None,
        };
        generate_all(&model, &requests(&prompts, 3), &settings)
    };
    let alone = answers(1);
    let lengths: Vec<_> = alone.iter().flatten().map(|answer| answer.token_ids.len()).collect();
    assert!(lengths.iter().any(|&length| length != lengths[0]));
    assert_ne!(alone[0][0], alone[0][1]);
    for slots in [2, 5, 100] {
        assert_eq!(answers(slots), alone, "{slots} slots");
    }
}

#[test]
fn an_answer_ends_with_a_stop_token_or_at_its_longest() {
    let model = tiny_llama();
    let prompts = prompts();
    let whole = generate_all(&model, &requests(&prompts, 1), &greedy(4, 6, &[]));
    for (request, answer) in whole.iter().enumerate() {
        let Completion { token_ids, finish_reason, .. } = &answer[0];
        assert_eq!((token_ids.len(), *finish_reason), (6, FinishReason::Length));
        for stop in [token_ids[0], token_ids[3]] {
            let stopped = generate_all(&model, &requests(&prompts, 1), &greedy(4, 6, &[0, stop]));
            let end = token_ids.iter().position(|&id| id == stop || id == 0).unwrap();
            assert_eq!(stopped[request][0].token_ids, token_ids[..=end]);
            assert_eq!(stopped[request][0].finish_reason, FinishReason::Stop);
        }
    }
}

/// In f32: the largest difference of a token's log-probability between decoding, with its cache and whatever
/// is decoded beside it, and the forward pass that training learns with, as a part of what
/// `torch.testing.assert_close` allows in f32: 1e-5, and 1.3e-6 of the number itself, which has so many digits.
fn difference(model: &Transformer, prompts: &[Vec<i64>], top_p: f64) -> f64 {
    let settings = SamplingSettings {
        max_new_tokens: 24,
        rule: DrawRule { top_p, ..DrawRule::at(1.0) },
        slots: 3,
        seed: 11,
        stop_ids: &(0..16).collect::<Vec<i64>>(),
        logprobs: true,
        ends_after: None,
    };
    let requests = requests(prompts, 3);
    let answers = generate_all(model, &requests, &settings);
    let asked = requests
        .iter()
        .zip(&answers)
        .flat_map(|(request, answers)| answers.iter().map(move |answer| (request.ids, answer)));
    let _no_grad = tch::no_grad_guard();
    let of_answer = |(prompt, answer): (&[i64], &Completion)| {
        let batch = PackedBatch::new(&[&[prompt, &answer.token_ids].concat()], model.device);
        let drawn = batch.answers(&[prompt.len()]);
        let hidden = model.hidden(&batch).index_select(0, &drawn.rows);
        let forward = head::logprobs(model, &hidden, &drawn.ids, 1.0).logprobs;
        assert_eq!(answer.logprobs.len(), answer.token_ids.len());
        let allowed = forward.abs() * 1.3e-6 + 1e-5;
        ((forward - Tensor::from_slice(&answer.logprobs)).abs() / allowed).max().double_value(&[])
    };
    asked.map(of_answer).fold(0.0, f64::max)
}

#[test]
fn tokens_are_as_likely_when_they_are_drawn_as_in_the_forward_pass() {
    let golden = fixture("families.json");
    let folders = FAMILIES.map(|family| model_folder(&golden[family]));
    let folders = folders.iter().map(|folder| folder.path().to_owned());
    for folder in folders.chain([fixture_path("tiny_llama")]) {
        let model = Transformer::load_frozen(&folder, Kind::Float, Device::Cpu).unwrap();
        for top_p in [1.0, 0.8] {
            let found = difference(&model, &prompts(), top_p);
            assert!(found <= 1.0, "{}: {found}", folder.display());
        }
    }
}

#[test]
fn a_caller_can_stop_the_work_and_hears_of_every_token() {
    let model = tiny_llama();
    let prompts = prompts();
    let requests = requests(&prompts, 2);
    let mut n_tokens = 0;
    let mut n_finished = 0;
    let done = generate(&model, &requests, &greedy(4, 5, &[]), &mut |step| {
        assert!(step.n_tokens >= n_tokens);
        n_tokens = step.n_tokens;
        n_finished += step.finished.len();
        ControlFlow::Continue(())
    });
    assert!(done.is_continue());
    assert_eq!((n_finished, n_tokens), (2 * requests.len(), 10 * requests.len() as u64));

    let mut n_steps = 0;
    let done = generate(&model, &requests, &greedy(4, 5, &[]), &mut |_| {
        n_steps += 1;
        ControlFlow::Break(())
    });
    assert!(done.is_break());
    assert_eq!(n_steps, 1);
}
