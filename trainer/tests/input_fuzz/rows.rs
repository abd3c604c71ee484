//! Files of rows, plain and gzipped, as every verb reads them.

use super::{RoundTally, broken};
use clap::ValueEnum;
use entity::run_config::LossOn;
use flate2::{Compression, write::GzEncoder};
use rand::{RngExt, rngs::StdRng, seq::IndexedRandom};
use serde_json::{Value, json};
use std::{fs, io::Write, ops::ControlFlow, path::Path, sync::LazyLock};
use trainer_base::{
    job::Report,
    rows::{self, LongPrompts},
    tokenizer::Tokenizer,
};

const PIECES: &[&[u8]] = &[
    b"\"prompt\":",
    b"\"messages\":[",
    b"\"chosen\":",
    b"\"rejected\":null",
    b"\"margin\":1e308",
    b"\"label\":false",
    b"\"tools\":\"[{]\"",
    b"\"chat_template_kwargs\":{\"enable_thinking\":false}",
    b"{\"role\":\"assistant\",\"content\":[{\"type\":\"text\"}]}",
    b"\\u0000",
    b"\\ud800",
    b"\xef\xbb\xbf",
    b"\xff\xfe",
    b"\0",
    b"\xed\xa0\x80",
    b"1e999",
    b"99999999999999999999999",
    b"[[[[[[[[[[[[[[[[",
    b"{\"a\":{\"a\":",
    b"\r\n",
    b"\n\n",
    b"\x1f\x8b\x08\0\0\0\0\0\0\xff",
    b"}",
    b"]",
];

static TOKENIZER: LazyLock<Tokenizer> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/tiny_llama");
    Tokenizer::load(&folder).expect("a tokenizer")
});

fn kinds() -> [Value; 8] {
    let turns =
        json!([{"role": "user", "content": "Why?"}, {"role": "assistant", "content": "So."}]);
    [
        json!({"prompt": "Why?"}),
        json!({"prompt": "Why?", "completion": "So.", "label": true}),
        json!({"messages": turns}),
        json!({"prompt": "Why?", "chosen": "So.", "rejected": "No.", "margin": 0.5}),
        json!({"chosen": turns, "rejected": turns, "tools": [{"name": "f"}]}),
        json!({"prompt": [{"role": "user", "content": "Hi"}], "chosen": [turns[1]], "rejected": [turns[1]]}),
        json!({"text": "The sea is wide."}),
        json!({"prompt": "Why?", "index": 0, "completions": [
            {"text": "So.", "token_ids": [5, 2], "finish_reason": "stop"},
            {"text": "No", "token_ids": [7], "finish_reason": "length"},
        ]}),
    ]
}

/// Which of the kinds each verb's reader takes.
const TAKEN: [&[usize]; 6] = [&[1, 2], &[3, 4, 5], &[3, 4, 5], &[0], &[6], &[1, 2, 7]];

/// A file of rows, most often of a kind that the reader takes.
fn file(reader: usize, dice: &mut StdRng) -> Vec<u8> {
    let kinds = kinds();
    let taken = &kinds[*TAKEN[reader].choose(dice).expect("some")];
    let kind = if broken::one_in(4, dice) { kinds.choose(dice).expect("some") } else { taken };
    let mut text = Vec::new();
    for _ in 0..dice.random_range(0..6) {
        let mut row =
            if broken::one_in(9, dice) { kinds.choose(dice).expect("some") } else { kind }.clone();
        if broken::one_in(8, dice) {
            broken::json(&mut row, dice);
        }
        text.extend(row.to_string().bytes());
        text.push(b'\n');
    }
    if broken::one_in(3, dice) {
        broken::bytes(&mut text, PIECES, dice);
    }
    if broken::one_in(4, dice) {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        gzip.write_all(&text).expect("memory takes it");
        if broken::one_in(20, dice) {
            // Little on the disk, and a line of megabytes.
            gzip.write_all(&vec![b' '; 1 << 20]).expect("memory takes it");
        }
        text = gzip.finish().expect("memory takes it");
        if broken::one_in(3, dice) {
            broken::bytes(&mut text, PIECES, dice);
        }
    }
    text
}

pub(crate) fn round(dice: &mut StdRng, folder: &Path, tally: &mut RoundTally) -> usize {
    let path = folder.join("rows.jsonl");
    let reader = dice.random_range(0..TAKEN.len());
    let text = file(reader, dice);
    fs::write(&path, &text).expect("it can be written");
    let max_length = *[2, 16, 1024].choose(dice).expect("some");
    let deaf: &mut Report = &mut |_| ControlFlow::Continue(());
    let tokenizer = &*TOKENIZER;
    match reader {
        0 => {
            let loss_on = *LossOn::value_variants().choose(dice).expect("some");
            let loaded = rows::load_demonstrations(&path, tokenizer, max_length, loss_on, deaf);
            for row in tally.count(loaded).into_iter().flat_map(|loaded| loaded.rows) {
                assert!(row.prompt_len <= row.ids.len() && row.ids.len() <= max_length, "{row:?}");
                let places: Vec<_> = row.learnt.iter().flat_map(|it| [it.start, it.end]).collect();
                assert!(places.is_sorted() && row.n_learnt() > 0, "{row:?}");
                assert!(places[0] >= 1 && places[places.len() - 1] <= row.ids.len(), "{row:?}");
            }
        }
        1 => {
            let loaded = rows::load_pairs(&path, tokenizer, max_length, deaf);
            for pair in tally.count(loaded).into_iter().flat_map(|loaded| loaded.rows) {
                assert!(pair.chosen != pair.rejected && pair.margin.is_finite(), "{pair:?}");
            }
        }
        2 => {
            let loaded = rows::load_preferences(&path, tokenizer, max_length, deaf);
            for pair in tally.count(loaded).into_iter().flat_map(|loaded| loaded.rows) {
                let shorter = pair.chosen.len().min(pair.rejected.len());
                assert!(pair.prompt_len >= 1 && shorter <= max_length, "{pair:?}");
            }
        }
        3 => {
            let policy = if dice.random() { LongPrompts::Drop } else { LongPrompts::Refuse };
            let loaded = rows::load_prompts(&path, tokenizer, max_length, policy, deaf);
            for prompt in tally.count(loaded).into_iter().flat_map(|loaded| loaded.rows) {
                assert!((1..=max_length).contains(&prompt.ids.len()), "{prompt:?}");
            }
        }
        4 => drop(tally.count(rows::load_texts(&path, tokenizer, max_length, deaf))),
        _ => {
            // Every row may be one of prompts, too.
            let prompts = dice.random::<bool>().then_some(path.as_path());
            drop(tally.count(rows::load_to_score(&path, prompts, tokenizer, max_length, deaf)));
        }
    }
    // What a gzipped line holds is no more than the reader lets in.
    text.len() + (2 << 20)
}
