//! tokenizer.json and the files beside it.

use super::{RoundTally, broken};
use rand::{rngs::StdRng, seq::IndexedRandom};
use serde_json::{Value, json};
use std::{collections::BTreeMap, fs, panic, path::Path, sync::LazyLock, thread};
use trainer_base::tokenizer::Tokenizer;

const PIECES: &[&[u8]] = &[
    b"\"type\":\"BPE\"",
    b"\"type\":\"Unigram\"",
    b"\"type\":\"WordPiece\"",
    b"\"type\":\"Sequence\"",
    b"\"pattern\":{\"Regex\":\"(a*)*b\"}",
    b"\"byte_fallback\":true",
    b"\"id\":4294967295",
    b"\"special\":true",
    b"[[[[[[[[[[",
    b"{\"a\":{\"a\":",
    b"\\ud800",
    b"\0",
    b"\xff",
    b"1e999",
    b"null",
    b"}",
    b"]",
];

/// The files of a folder whose tokenizer is whole.
static FILES: LazyLock<BTreeMap<&str, Value>> = LazyLock::new(|| {
    let fixture = |name: &str| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/tiny_llama").join(name);
        serde_json::from_slice(&fs::read(path).expect("a fixture")).expect("JSON")
    };
    let files =
        ["tokenizer.json", "tokenizer_config.json", "generation_config.json", "config.json"];
    let mut files = BTreeMap::from(files.map(|name| (name, fixture(name))));
    for empty in ["added_tokens.json", "special_tokens_map.json"] {
        files.insert(empty, json!({}));
    }
    files
});

/// Other kinds of model, normaliser, pre-tokenizer, post-processor and decoder.
fn parts() -> [(&'static str, Value); 16] {
    [
        (
            "model",
            json!({"type": "Unigram", "unk_id": 0, "vocab": [["<unk>", 0.0], ["a", -1.0], ["▁b", -2.5]], "byte_fallback": false}),
        ),
        (
            "model",
            json!({"type": "WordPiece", "unk_token": "x", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100, "vocab": {"x": 0, "a": 1, "##b": 2}}),
        ),
        ("model", json!({"type": "WordLevel", "unk_token": "x", "vocab": {"x": 0, "a": 1}})),
        (
            "model",
            json!({"type": "BPE", "dropout": 0.5, "unk_token": "x", "fuse_unk": true, "byte_fallback": true, "vocab": {"x": 0, "a": 1, "b": 2, "ab": 3}, "merges": ["a b"]}),
        ),
        ("normalizer", json!({"type": "NFKC"})),
        ("normalizer", json!({"type": "Replace", "pattern": {"Regex": "a+"}, "content": "bb"})),
        (
            "normalizer",
            json!({"type": "Sequence", "normalizers": [{"type": "Lowercase"}, {"type": "Prepend", "prepend": "▁"}]}),
        ),
        ("normalizer", json!({"type": "Precompiled", "precompiled_charsmap": "AAAA"})),
        (
            "pre_tokenizer",
            json!({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": true}),
        ),
        (
            "pre_tokenizer",
            json!({"type": "Split", "pattern": {"Regex": "\\s+(?!\\S)"}, "behavior": "Isolated", "invert": false}),
        ),
        ("pre_tokenizer", json!({"type": "Digits", "individual_digits": true})),
        (
            "post_processor",
            json!({"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "x", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}], "pair": [], "special_tokens": {"x": {"id": "x", "ids": [0], "tokens": ["x"]}}}),
        ),
        ("decoder", json!({"type": "ByteFallback"})),
        ("decoder", json!({"type": "Strip", "content": " ", "start": 1, "stop": 0})),
        (
            "truncation",
            json!({"direction": "Right", "max_length": 3, "strategy": "LongestFirst", "stride": 9}),
        ),
        (
            "padding",
            json!({"strategy": {"Fixed": 8}, "direction": "Left", "pad_to_multiple_of": 8, "pad_id": 0, "pad_type_id": 0, "pad_token": "x"}),
        ),
    ]
}

/// What the files beside tokenizer.json may say of tokens and templates.
fn further() -> [(&'static str, &'static str, Value); 14] {
    let template = "{% for m in messages %}{{ m.content }}{{ eos_token }}{% endfor %}";
    let token = json!({"content": "<extra>", "lstrip": true, "rstrip": false, "normalized": false, "single_word": false, "special": true, "__type": "AddedToken"});
    [
        ("tokenizer_config.json", "added_tokens_decoder", json!({"0": token, "600": token})),
        (
            "tokenizer_config.json",
            "added_tokens_decoder",
            json!({"-1": token, "4294967295": token}),
        ),
        ("tokenizer_config.json", "additional_special_tokens", json!(["<extra>", token, ""])),
        ("tokenizer_config.json", "extra_special_tokens", json!({"image": "<image>"})),
        ("tokenizer_config.json", "chat_template", json!(template)),
        (
            "tokenizer_config.json",
            "chat_template",
            json!([{"name": "default", "template": template}, {"name": "tool_use", "template": "{{ tools }}"}]),
        ),
        ("tokenizer_config.json", "eos_token", token.clone()),
        ("tokenizer_config.json", "legacy", json!(false)),
        ("tokenizer_config.json", "tokenizer_class", json!("LlamaTokenizer")),
        ("tokenizer_config.json", "add_prefix_space", json!(true)),
        ("added_tokens.json", "<added>", json!(601)),
        ("added_tokens.json", "<|im_end|>", json!(u32::MAX)),
        ("special_tokens_map.json", "eos_token", json!("<added>")),
        ("special_tokens_map.json", "additional_special_tokens", json!(["<extra>", "\u{0}"])),
    ]
}

const TEXTS: [&str; 6] = [
    "",
    "The sea ab <|im_end|>",
    "\u{0}\u{301}é😀\u{200d}",
    "aaaaaaaaaaaaaaaaaaaaaaaa!",
    " \n\t 123",
    "▁Ġ<0xFF>",
];

/// A round in a thread of its own: the library keeps the words that a tokenizer has split for as long as
/// the thread lives, also when the tokenizer is gone, and a process of ours loads only one.
pub(crate) fn round(dice: &mut StdRng, folder: &Path, tally: &mut RoundTally) -> usize {
    let ended = thread::scope(|scope| scope.spawn(|| load_and_use(dice, folder, tally)).join());
    ended.unwrap_or_else(|payload| panic::resume_unwind(payload))
}

fn load_and_use(dice: &mut StdRng, folder: &Path, tally: &mut RoundTally) -> usize {
    let mut n_bytes = 0;
    for (name, whole) in FILES.iter() {
        let mut file = whole.clone();
        let is_tokenizer = *name == "tokenizer.json";
        while is_tokenizer && broken::one_in(2, dice) {
            let (part, other) = parts().choose(dice).expect("some").clone();
            file[part] = other;
        }
        while !is_tokenizer && broken::one_in(3, dice) {
            let (of, key, value) = further().choose(dice).expect("some").clone();
            if of == *name {
                file[key] = value;
            }
        }
        if broken::one_in(if is_tokenizer { 2 } else { 6 }, dice) {
            broken::json(&mut file, dice);
        }
        let mut bytes = file.to_string().into_bytes();
        if broken::one_in(10, dice) {
            broken::bytes(&mut bytes, PIECES, dice);
        }
        n_bytes += bytes.len();
        fs::write(folder.join(name), bytes).expect("it can be written");
    }
    let Some(tokenizer) =
        tally.count(Tokenizer::load(folder).map_err(|error| format!("{error:#}")))
    else {
        return n_bytes;
    };
    for text in TEXTS {
        let Ok(ids) = tokenizer.encode(text, true) else { continue };
        let _ = (tokenizer.decode(&ids), tokenizer.completion_text(&ids));
        let _ = tokenizer.encode_batch(vec![text.to_owned(); 2], false);
    }
    let turns = [json!({"role": "user", "content": "Why?"})];
    let _ = tokenizer.render(&turns, true);
    let _ =
        (tokenizer.answer_end(true).map(str::len), tokenizer.decode(&[-1, 0, i64::MAX, 1 << 32]));
    n_bytes
}
