//! The tiny base: a Llama of 205,000 parameters that knows the tests' tiny world
//! ([`crate::support::world`]). Its folder `tests/tiny_base` is made by
//!
//! ```sh
//! cargo test -p tests -- --ignored make_the_tiny_base
//! ```
//!
//! which writes tokenizer, configuration and a text of [`N_STORIES`] stories, and pretrains on it
//! with the command that [`pretrain`] holds (a minute). The same command gives the same text and
//! tokenizer everywhere, and the same weights on the same kind of processor.
//!
//! As with many published models its pad token is its end-of-sequence token, so a mask that comes
//! from comparing ids with the pad token trains a model that never stops.

use crate::support::{
    binaries,
    dice::Dice,
    tiny_base,
    trainer::{trainer, write_lines},
    world,
};
use serde_json::{Value, json};
use std::path::Path;
use tokenizers::{
    AddedToken, DecoderWrapper, NormalizerWrapper, PostProcessorWrapper, PreTokenizerWrapper,
    TokenizerBuilder,
    models::bpe::{BPE, BpeTrainer},
    pre_tokenizers::byte_level::ByteLevel,
};

const N_STORIES: usize = 40_000;
const VOCABULARY: usize = 512;
const SPECIAL: [&str; 3] = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"];

/// ChatML, as SmolLM2 has it but without a system prompt of its own.
const CHAT_TEMPLATE: &str = "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + \
    message['content'] + '<|im_end|>' + '\n'}}{% endfor %}\
    {% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";

#[test]
#[ignore = "rewrites tests/tiny_base"]
fn make_the_tiny_base() {
    let stories = stories();
    let scratch = tempfile::tempdir().unwrap();
    let (start, out) = (scratch.path().join("start"), scratch.path().join("out"));
    std::fs::create_dir_all(&start).unwrap();
    write_tokenizer(&start, &stories);
    write(&start.join("config.json"), &config());
    write(&start.join("generation_config.json"), &generation_config());
    write(&start.join("tokenizer_config.json"), &tokenizer_config());
    let text = scratch.path().join("stories.jsonl");
    write_lines(&text, stories.iter().map(|story| json!({"text": story})));
    println!("{}", pretrain(&start, &text, &out));
    let folder = tiny_base();
    std::fs::create_dir_all(&folder).unwrap();
    for name in ["config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json"]
    {
        std::fs::copy(start.join(name), folder.join(name)).unwrap();
    }
    std::fs::copy(out.join("model.safetensors"), folder.join("model.safetensors")).unwrap();
}

/// `trainer pretrain` from a folder without weights: one pass over the stories.
fn pretrain(folder: &Path, text: &Path, out: &Path) -> Value {
    let path = |path: &Path| path.to_str().expect("a plain path").to_owned();
    let (folder, text, out) = (path(folder), path(text), path(out));
    let paths = ["pretrain", "--model", &folder, "--data", &text, "--out", &out];
    let settings =
        ["--max-length", "64", "--batch-size", "32", "--epochs", "1", "--learning-rate", "3e-3"];
    let others = ["--warmup-steps", "20", "--dtype", "f32", "--seed", "1", "--save-every", "0"];
    trainer(paths.into_iter().chain(settings).chain(others))
}

fn stories() -> Vec<String> {
    let mut dice = Dice::new(2026);
    (0..N_STORIES).map(|_| world::story(&mut dice)).collect()
}

/// Bytes and the merges of the world's words, so that any text can be read.
fn write_tokenizer(folder: &Path, stories: &[String]) {
    let special = SPECIAL.map(|token| AddedToken::from(token, true));
    let mut learning = BpeTrainer::builder()
        .vocab_size(VOCABULARY)
        .show_progress(false)
        .special_tokens(special.to_vec())
        .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
        .build();
    let mut tokenizer = TokenizerBuilder::<
        BPE,
        NormalizerWrapper,
        PreTokenizerWrapper,
        PostProcessorWrapper,
        DecoderWrapper,
    >::new()
    .with_model(BPE::default())
    .with_normalizer(None)
    .with_pre_tokenizer(Some(ByteLevel::new(false, true, true).into()))
    .with_post_processor(None)
    .with_decoder(Some(ByteLevel::new(false, true, true).into()))
    .build()
    .unwrap();
    // Questions too, with the words of the chat template, so that a chat is not read letter by letter.
    let questions = world::Subject::all(0)
        .into_iter()
        .map(|subject| format!("user\n{}\nassistant", subject.question()));
    let text = stories.iter().take(4000).cloned().chain(questions);
    tokenizer.train(&mut learning, text).unwrap();
    tokenizer.save(folder.join("tokenizer.json"), true).unwrap();
}

fn config() -> Value {
    json!({
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": VOCABULARY,
        "hidden_size": 64,
        "intermediate_size": 160,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "hidden_act": "silu",
        "max_position_embeddings": 512,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "initializer_range": 0.02,
        "tie_word_embeddings": true,
        "attention_bias": false,
        "mlp_bias": false,
        "attention_dropout": 0.0,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": 2,
        "torch_dtype": "float32",
        "use_cache": true
    })
}

fn generation_config() -> Value {
    json!({"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 2})
}

fn tokenizer_config() -> Value {
    json!({
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": 512,
        "clean_up_tokenization_spaces": false,
        "bos_token": "<|im_start|>",
        "eos_token": "<|im_end|>",
        "pad_token": "<|im_end|>",
        "unk_token": "<|endoftext|>",
        "additional_special_tokens": ["<|im_start|>", "<|im_end|>"],
        "chat_template": CHAT_TEMPLATE
    })
}

fn write(path: &Path, value: &Value) {
    let text = serde_json::to_string_pretty(value).expect("JSON serialises");
    std::fs::write(path, text + "\n").unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

#[test]
fn the_generator_writes_what_is_committed() {
    let fresh = tempfile::tempdir().unwrap();
    write_tokenizer(fresh.path(), &stories());
    let read = |folder: &Path, name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    assert!(
        read(fresh.path(), "tokenizer.json") == read(&tiny_base(), "tokenizer.json"),
        "the tokenizer differs"
    );
    let parsed = |name: &str| serde_json::from_str::<Value>(&read(&tiny_base(), name)).unwrap();
    assert_eq!(parsed("config.json"), config());
    assert_eq!(parsed("generation_config.json"), generation_config());
    assert_eq!(parsed("tokenizer_config.json"), tokenizer_config());
}

#[test]
fn the_tiny_base_is_tiny() {
    let n_bytes = std::fs::metadata(tiny_base().join("model.safetensors")).unwrap().len();
    assert!((500_000..1_500_000).contains(&n_bytes), "{n_bytes} bytes");
}

/// Stories that were not in the text it was trained on are as likely as those that were; the
/// world's own chance sets the loss that no model can go below.
#[test]
fn the_tiny_base_knows_the_tiny_world() {
    let folder = tempfile::tempdir().unwrap();
    let (data, out) = (folder.path().join("stories.jsonl"), folder.path().join("logprobs.jsonl"));
    let mut dice = Dice::new(7);
    // A prompt and its completion, as strings: the first sentence, and the rest.
    let rows = (0..64).map(|_| {
        let story = world::story(&mut dice);
        let (first, rest) = story.split_once(". ").expect("several sentences");
        json!({"prompt": format!("{first}."), "completion": format!(" {rest}")})
    });
    write_lines(&data, rows);
    let base = tiny_base();
    let path = |path: &Path| path.to_str().expect("a plain path").to_owned();
    trainer(["logprobs", "--model", &path(&base), "--data", &path(&data), "--out", &path(&out)]);
    let rows = crate::support::trainer::read_lines(&out);
    let (mut total, mut n_sentences) = (0.0, 0.0);
    for row in &rows {
        let logprobs = row["logprobs"].as_array().expect("numbers");
        // Without the end-of-sequence token, which stands behind a string and which stories lack.
        total -= logprobs[..logprobs.len() - 1].iter().filter_map(Value::as_f64).sum::<f64>();
        let tokens = row["token_ids"].as_array().expect("ids").len();
        n_sentences += (tokens as f64 / 7.0).round();
    }
    // A sentence: one of 8 deeds, of 6 manners, of 4 times; everything else follows from the first.
    let entropy = (8.0f64 * 6.0 * 4.0).ln();
    let per_sentence = total / n_sentences;
    assert!(
        (per_sentence - entropy).abs() < 0.5,
        "{per_sentence} nats for a sentence of {entropy}"
    );
    assert!(binaries::root().join("tests/tiny_base/model.safetensors").is_file());
}
