//! Layers that are computed once more in the backward pass: the same run, which can go on with them or
//! without.

use super::*;

fn learnt(out: &Path, file: &str) -> Vec<u8> {
    fs::read(out.join(file)).unwrap()
}

#[test]
fn layers_that_are_computed_once_more_change_no_number_whether_a_run_began_with_them_or_not() {
    let golden = &fixture("trl_sft_trace.json")["messages"];
    let data = golden["data"].as_str().unwrap();
    let adapters = LoraSettings { lora_rank: 3, lora_dropout: 0.25, ..LoraSettings::default() };
    for (lora, file) in
        [(LoraSettings::default(), "model.safetensors"), (adapters, "adapter_model.safetensors")]
    {
        let [plain, checkpointed] = [false, true].map(|gradient_checkpointing| {
            let mut config = SftConfig { lora: lora.clone(), ..traced(golden) };
            config.optimisation.max_steps = 8;
            config.optimisation.gradient_checkpointing = gradient_checkpointing;
            config
        });
        let [whole, other, parts] = [(); 3].map(|()| tempfile::tempdir().unwrap());
        let (metrics, _) = run_until(&paths(data, whole.path()), &plain, None);
        let (same, _) = run_until(&paths(data, other.path()), &checkpointed, None);
        assert_eq!(metrics, same);
        assert!(learnt(whole.path(), file) == learnt(other.path(), file), "{file} differs");
        run_until(&paths(data, parts.path()), &plain, Some(3));
        let (_, outcome) = run_until(&paths(data, parts.path()), &checkpointed, Some(5));
        assert_eq!(outcome, VerbOutcome::Stopped);
        run_until(&paths(data, parts.path()), &plain, None);
        assert!(learnt(whole.path(), file) == learnt(parts.path(), file), "{file} differs");
    }
}
