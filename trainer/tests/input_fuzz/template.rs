//! Chat templates.

use super::{RoundTally, broken};
use rand::{RngExt, rngs::StdRng, seq::IndexedRandom};
use serde_json::{Value, json};
use std::{collections::BTreeMap, fs, path::Path, sync::LazyLock};
use trainer_base::chat_template::ChatTemplate;

const PIECES: &[&[u8]] = &[
    b"{% for m in messages %}",
    b"{% endfor %}",
    b"{% for i in range(99999999) %}",
    b"{% if ",
    b"{% endif %}",
    b"{% set ns = namespace(x=0) %}",
    b"{% set ns.x = ns.x * 1000000 %}",
    b"{% macro f(x) %}{{ f(x) }}{% endmacro %}{{ f(1) }}",
    b"{{ messages[0]['content'] * 99999999 }}",
    b"{{ 'a' * 1000000 }}",
    b"{{ 2 ** 999999 }}",
    b"{{ 9223372036854775807 + 1 }}",
    b"{{ 1 // 0 }}",
    b"{{ 1 % 0 }}",
    b"{{ messages[::-1] }}",
    b"{{ messages[-99] }}",
    b"| tojson",
    b"| tojson(indent=99999999)",
    b"| join(messages)",
    b"| batch(0)",
    b"| sort",
    b"| replace('', 'xx')",
    b".split('')",
    b".strip(None)",
    b"{%- generation -%}",
    b"{%- endgeneration -%}",
    b"{{ raise_exception('no') }}",
    b"{{ strftime_now('%Y %999999999d %q') }}",
    b"((((((((((((((((((((((((((((((((",
    b"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
    b"not not not not not not not ",
    b"{# ",
    b"{{",
    b"%}",
    b"\xff",
    b"\0",
    b"\r\n",
];

static TEMPLATES: LazyLock<Vec<String>> = LazyLock::new(|| {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/chat_templates.json");
    let all: Value = serde_json::from_slice(&fs::read(path).expect("a fixture")).expect("JSON");
    let texts = all.as_object().expect("by name").values();
    texts.filter_map(|case| Some(case.get("template")?.as_str()?.to_owned())).collect()
});

fn messages(dice: &mut StdRng) -> Vec<Value> {
    let mut messages = json!([
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "Why? é\u{200b}"},
        {"role": "assistant", "content": null, "tool_calls": [
            {"type": "function", "function": {"name": "f", "arguments": {"x": 1.5}}}
        ]},
        {"role": "tool", "content": "7"},
        {"role": "assistant", "content": "<think>\nSo.\n</think>\nThus."}
    ]);
    if broken::one_in(3, dice) {
        broken::json(&mut messages, dice);
    }
    let mut messages = messages.as_array().cloned().unwrap_or_default();
    messages.truncate(dice.random_range(0..6));
    messages
}

pub(crate) fn round(dice: &mut StdRng, _: &Path, tally: &mut RoundTally) -> usize {
    let mut source = TEMPLATES.choose(dice).expect("some").clone().into_bytes();
    if !broken::one_in(8, dice) {
        broken::bytes(&mut source, PIECES, dice);
    }
    let source = String::from_utf8_lossy(&source).into_owned();
    let messages = messages(dice);
    let special = [("bos_token", "<s>"), ("eos_token", "</s>")];
    let special: BTreeMap<String, String> =
        special.map(|(name, text)| (name.to_owned(), text.to_owned())).into();
    let variables = broken::object(json!({
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}],
        "enable_thinking": false
    }));
    let rendered = ChatTemplate::new(&source, special)
        .and_then(|template| template.render_with(&messages, dice.random(), &variables));
    let rendered = tally.count(rendered.map_err(|error| format!("{error:#}")));
    source.len() + rendered.map_or(0, |text| text.len())
}
