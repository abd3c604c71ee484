//! What is learnt of a row, and rows in packs, against TRL's own steps (`fixtures/make_trl_sft_masks.py`).

use super::*;

/// tiny_llama, whose chat template marks what an assistant says.
fn marking_model(golden: &Value) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(fixture_path("tiny_llama")).unwrap() {
        let file = entry.unwrap().path();
        fs::copy(&file, folder.path().join(file.file_name().unwrap())).unwrap();
    }
    let template = golden["template"].as_str().unwrap();
    fs::write(folder.path().join("chat_template.jinja"), template).unwrap();
    folder
}

/// Twenty steps of `model`, or of tiny_llama, with a mask of ours beside those that a trace was made with.
fn follows_mask(name: &str, loss_on: LossOn, model: Option<&Path>) {
    let golden = &fixture("trl_sft_masks.json")[name];
    let out = tempfile::tempdir().unwrap();
    let mut paths = paths(golden["data"].as_str().unwrap(), out.path());
    paths.model = model.map_or(paths.model, Path::to_path_buf);
    assert_follows(name, golden, &paths, &SftConfig { loss_on, ..traced(golden) });
}

#[test]
fn twenty_steps_on_answers_that_the_chat_template_marks_follow_trl() {
    let marking = marking_model(&fixture("trl_sft_masks.json"));
    for (name, loss_on) in [
        ("messages_auto", LossOn::Auto),
        ("pairs_auto", LossOn::Auto),
        ("pairs_answers", LossOn::Answers),
    ] {
        follows_mask(name, loss_on, Some(marking.path()));
    }
}

#[test]
fn twenty_steps_on_answers_that_are_found_follow_trl() {
    for (name, loss_on) in [
        ("messages_auto", LossOn::Answers),
        ("pairs_auto", LossOn::Auto),
        ("pairs_answers", LossOn::Answers),
    ] {
        follows_mask(name, loss_on, None);
    }
}

#[test]
fn twenty_steps_on_the_last_answer_and_on_the_whole_text_follow_trl() {
    for (name, loss_on) in [
        ("messages_text", LossOn::Text),
        ("pairs_last", LossOn::Last),
        ("pairs_text", LossOn::Text),
    ] {
        follows_mask(name, loss_on, None);
    }
}

#[test]
fn twenty_steps_of_adapters_with_other_masks_follow_peft() {
    let golden = &fixture("trl_sft_masks.json");
    for (name, loss_on) in [
        ("messages_auto_adapters", LossOn::Auto),
        ("messages_text_adapters", LossOn::Text),
        ("pairs_answers_adapters", LossOn::Answers),
    ] {
        let golden = &golden[name];
        let (start, out) = (fresh_adapters(None), tempfile::tempdir().unwrap());
        let mut paths = paths(golden["data"].as_str().unwrap(), out.path());
        paths.model = start.path().into();
        let config = SftConfig { lora: adapter_settings(), loss_on, ..traced(golden) };
        assert_follows(name, golden, &paths, &config);
        assert_learnt(out.path(), golden);
    }
}

#[test]
fn packed_rows_follow_trl_which_keeps_them_from_seeing_each_other() {
    let golden = &fixture("trl_sft_masks.json")["packed"];
    let out = tempfile::tempdir().unwrap();
    let paths = paths(golden["data"].as_str().unwrap(), out.path());
    let config = SftConfig { packing: true, ..traced(golden) };
    assert_follows("packed", golden, &paths, &config);
}

#[test]
fn packed_rows_learn_what_each_of_them_learns_alone() {
    let golden = &fixture("trl_sft_masks.json")["packed"];
    let data = golden["data"].as_str().unwrap();
    // A step sees all rows: several packs at once, or each row by itself.
    let runs =
        [(true, 64, 1), (true, 1, 64), (false, 1, 64)].map(|(packing, batch_size, grad_accum)| {
            let mut config = SftConfig { packing, ..traced(golden) };
            let settings =
                OptimiserSettings { batch_size, grad_accum, epochs: 5.0, ..config.optimisation };
            config.optimisation = settings;
            let out = tempfile::tempdir().unwrap();
            let (metrics, _) = run_until(&paths(data, out.path()), &config, None);
            (metrics, Transformer::load(out.path(), Kind::Float, Device::Cpu).unwrap())
        });
    let (alone, model) = &runs[2];
    assert_eq!(alone.len(), 6);
    for (metrics, packed) in &runs[..2] {
        for (ours, alone) in metrics.iter().zip(alone) {
            for key in
                ["loss", "grad_norm", "eval_loss"].iter().filter(|key| ours.contains_key(**key))
            {
                let (ours, alone) = (ours[*key].as_f64().unwrap(), alone[*key].as_f64().unwrap());
                assert!((ours - alone).abs() < 1e-5 * alone, "{key}: {ours} ≠ {alone}");
            }
        }
        for ((name, packed), (_, alone)) in packed.parameters().iter().zip(model.parameters()) {
            let difference = (packed - alone).norm().double_value(&[]);
            let norm = alone.norm().double_value(&[]);
            assert!(difference < 1e-5 * norm, "{name}: {difference} of {norm}");
        }
    }
}
