//! Breaking things: bytes, and JSON as what it means.

use rand::{RngExt, rngs::StdRng, seq::IndexedRandom};
use serde_json::{Map, Value, json};

pub(crate) fn one_in(n: u32, dice: &mut StdRng) -> bool {
    dice.random_range(0..n) == 0
}

/// Breaks bytes in a few places; `pieces` are of the language that they are in.
pub(crate) fn bytes(bytes: &mut Vec<u8>, pieces: &[&[u8]], dice: &mut StdRng) {
    for _ in 0..dice.random_range(1..5) {
        let at = dice.random_range(0..=bytes.len());
        let end = at + dice.random_range(0..=(bytes.len() - at).min(48));
        match dice.random_range(0..9) {
            0 if at < bytes.len() => bytes[at] ^= 1 << dice.random_range(0..8),
            1 if at < bytes.len() => bytes[at] = dice.random(),
            2 => drop(bytes.drain(at..end)),
            3 => {
                let copy = bytes[at..end].to_vec();
                let to = dice.random_range(0..=bytes.len());
                bytes.splice(to..to, copy);
            }
            4 => bytes.truncate(at),
            5 => {
                let many = bytes[at..end].repeat(dice.random_range(1..60));
                bytes.splice(at..at, many);
            }
            // A number of eight bytes, as lengths and offsets are written.
            6 if at + 8 <= bytes.len() => {
                bytes[at..at + 8].copy_from_slice(&number(dice).to_le_bytes());
            }
            _ => drop(bytes.splice(at..at, pieces.choose(dice).expect("some").iter().copied())),
        }
    }
}

/// A number at which readers go wrong.
pub(crate) fn number(dice: &mut StdRng) -> u64 {
    let power = 1_u64 << dice.random_range(0..64);
    match dice.random_range(0..8) {
        0 => 0,
        1 => u64::MAX,
        2 => power - 1,
        3 => power,
        4 => power + 1,
        5 => i64::MAX as u64,
        6 => dice.random_range(0..64),
        _ => dice.random(),
    }
}

/// Something else than was there.
fn other(dice: &mut StdRng) -> Value {
    match dice.random_range(0..14) {
        0 => Value::Null,
        1 => json!(dice.random::<bool>()),
        2 => json!(number(dice)),
        3 => json!(-(number(dice) as f64)),
        4 => json!(f64::MIN_POSITIVE),
        5 => json!(""),
        6 => json!("\u{0}\u{10ffff}é\u{200b}"),
        7 => json!("a".repeat(dice.random_range(0..3_000))),
        8 => json!([]),
        9 => json!({}),
        10 => (0..dice.random_range(1..200)).fold(json!(1), |inner, _| json!([inner])),
        11 => json!([0, -1, 1.5, "x", null]),
        12 => json!("(a+)+$"),
        _ => json!({"type": "Sequence", "content": "x", "id": number(dice)}),
    }
}

/// Every place of a value: the path to it.
fn places(value: &Value, path: &mut Vec<usize>, found: &mut Vec<Vec<usize>>) {
    found.push(path.clone());
    let children: Vec<&Value> = match value {
        Value::Array(list) => list.iter().collect(),
        Value::Object(map) => map.values().collect(),
        _ => Vec::new(),
    };
    // Of long lists a few members stand for all.
    for (place, child) in children.into_iter().enumerate().take(40) {
        path.push(place);
        places(child, path, found);
        path.pop();
    }
}

fn at<'a>(value: &'a mut Value, path: &[usize]) -> &'a mut Value {
    path.iter().fold(value, |value, &place| match value {
        Value::Array(list) => &mut list[place],
        Value::Object(map) => map.values_mut().nth(place).expect("a place"),
        _ => unreachable!("a path leads through lists and objects"),
    })
}

/// Breaks JSON in a few places: what it says, not how it is written.
pub(crate) fn json(value: &mut Value, dice: &mut StdRng) {
    for _ in 0..dice.random_range(1..4) {
        let mut found = Vec::new();
        places(value, &mut Vec::new(), &mut found);
        let path = found.choose(dice).expect("the whole is a place").clone();
        let elsewhere = at(value, found.choose(dice).expect("a place")).clone();
        let place = at(value, &path);
        match (dice.random_range(0..6), &mut *place) {
            (0, Value::Array(list)) if !list.is_empty() => {
                list.remove(dice.random_range(0..list.len()));
            }
            (0, Value::Object(map)) if !map.is_empty() => {
                let name = map.keys().nth(dice.random_range(0..map.len())).cloned();
                map.shift_remove(&name.expect("a name"));
            }
            (1, Value::Array(list)) => list.push(elsewhere),
            (1, Value::Object(map)) => drop(map.insert("added".into(), elsewhere)),
            (2, Value::Number(_)) => *place = json!(number(dice)),
            (2, Value::String(text)) => {
                text.push_str(["é", "\u{0}", " ", "Ġ", "\\"][dice.random_range(0..5)]);
            }
            (3, _) => *place = elsewhere,
            _ => *place = other(dice),
        }
    }
}

pub(crate) fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        other => unreachable!("not an object: {other}"),
    }
}
