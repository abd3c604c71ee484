//! config.json, safetensors files and their index.

use super::{RoundTally, broken};
use rand::{RngExt, rngs::StdRng, seq::IndexedRandom};
use serde_json::{Value, json};
use std::{fs, path::Path};
use tch::{Device, Kind};
use trainer::model::Transformer;
use trainer_base::weights::count_parameters;

const PIECES: &[&[u8]] = &[
    b"\"dtype\":\"F32\"",
    b"\"BF16\"",
    b"\"I64\"",
    b"\"F8_E4M3\"",
    b"\"shape\":[",
    b"\"data_offsets\":[0,0]",
    b"18446744073709551615",
    b"-1",
    b"1e400",
    b"\"__metadata__\":{",
    b"{\"a\":{\"a\":",
    b"[[[[[[[[[[",
    b"\xff\xff\xff\xff\xff\xff\xff\x7f",
    b"\0\0\0\0\0\0\0\0",
    b"\x00\x00\xc0\x7f",
    b"\\ud800",
    b"}",
    b"]",
    b",",
];

fn config() -> Value {
    json!({
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 16,
        "hidden_size": 8, "intermediate_size": 12, "num_hidden_layers": 1,
        "num_attention_heads": 2, "num_key_value_heads": 1, "max_position_embeddings": 32,
        "rope_theta": 10000.0, "tie_word_embeddings": true, "pad_token_id": 0
    })
}

/// The shapes of the model that [`config`] tells of.
const SHAPES: [(&str, &[usize]); 11] = [
    ("model.embed_tokens.weight", &[16, 8]),
    ("model.layers.0.self_attn.q_proj.weight", &[8, 8]),
    ("model.layers.0.self_attn.k_proj.weight", &[4, 8]),
    ("model.layers.0.self_attn.v_proj.weight", &[4, 8]),
    ("model.layers.0.self_attn.o_proj.weight", &[8, 8]),
    ("model.layers.0.mlp.gate_proj.weight", &[12, 8]),
    ("model.layers.0.mlp.up_proj.weight", &[12, 8]),
    ("model.layers.0.mlp.down_proj.weight", &[8, 12]),
    ("model.layers.0.input_layernorm.weight", &[8]),
    ("model.layers.0.post_attention_layernorm.weight", &[8]),
    ("model.norm.weight", &[8]),
];

/// A safetensors file of some of the weights, broken now and then: the header as what it means, then
/// the bytes.
fn file(shapes: &[(&str, &[usize])], dice: &mut StdRng) -> Vec<u8> {
    let (name, size) = *[("F32", 4), ("BF16", 2), ("F16", 2), ("F64", 8), ("I8", 1)]
        .choose_weighted(dice, |(name, _)| if *name == "F32" { 8 } else { 1 })
        .expect("some");
    let (mut header, mut end) = (json!({"__metadata__": {"format": "pt"}}), 0);
    for (weight, shape) in shapes {
        let length = shape.iter().product::<usize>() * size;
        header[*weight] =
            json!({"dtype": name, "shape": shape, "data_offsets": [end, end + length]});
        end += length;
    }
    if broken::one_in(3, dice) {
        broken::json(&mut header, dice);
    }
    let header = header.to_string();
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header.bytes());
    // Small numbers in every type, so that a file that is whole can be read.
    file.resize(file.len() + end, 0);
    if broken::one_in(3, dice) {
        broken::bytes(&mut file, PIECES, dice);
    }
    file
}

pub(crate) fn round(dice: &mut StdRng, folder: &Path, tally: &mut RoundTally) -> usize {
    let write = |name: &str, bytes: &[u8]| {
        fs::write(folder.join(name), bytes).expect("it can be written");
        bytes.len()
    };
    for old in fs::read_dir(folder).expect("it is there").flatten() {
        let _ = fs::remove_file(old.path());
    }
    let mut told = config();
    if broken::one_in(6, dice) {
        broken::json(&mut told, dice);
    }
    let mut told = told.to_string().into_bytes();
    if broken::one_in(20, dice) {
        broken::bytes(&mut told, PIECES, dice);
    }
    let mut n_bytes = write("config.json", &told);
    if broken::one_in(3, dice) {
        let cut = dice.random_range(0..SHAPES.len());
        let (first, second) = SHAPES.split_at(cut);
        n_bytes += write("a.safetensors", &file(first, dice));
        n_bytes += write("b.safetensors", &file(second, dice));
        let mut map = json!({"weight_map": {"x": "a.safetensors", "y": "b.safetensors"}});
        if broken::one_in(4, dice) {
            broken::json(&mut map, dice);
        }
        n_bytes += write("model.safetensors.index.json", map.to_string().as_bytes());
    } else {
        n_bytes += write("model.safetensors", &file(&SHAPES, dice));
    }
    let counted = count_parameters(folder);
    let loaded = Transformer::load_frozen(folder, Kind::Float, Device::Cpu);
    if let (Some(model), Ok(counted)) = (tally.count(loaded), counted) {
        let n: usize = model.parameters().iter().map(|(_, weight)| weight.numel()).sum();
        assert!(n as u64 <= counted, "{n} numbers were read of {counted}");
    }
    n_bytes
}
