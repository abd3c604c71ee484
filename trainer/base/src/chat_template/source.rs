//! What is done to the text of a template before it is compiled, so that it means what Jinja makes of
//! it.

use regex::{Captures, Regex};
use std::sync::LazyLock;

/// The filter that a loop's values pass (`library::looped`).
pub(super) const LOOPED: &str = "looped__";

/// The filter that puts what a generation block wrote between [`MARKS`].
pub(super) const GENERATED: &str = "generated__";

/// What stands before and behind what a generation block wrote: characters that no text has, because
/// Unicode keeps them for programs.
pub(super) const MARKS: [char; 2] = ['\u{fdd0}', '\u{fdd1}'];

/// `{% generation %}` and its end, with their whitespace marks.
static GENERATION: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"\{%([-+]?)\s*(end)?generation\s*([-+]?)%\}").expect("a valid pattern")
});

/// Raw text, which stays as it is; or a loop: its head, what it goes through, its end.
static LOOP: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r#"(?s)\{%[-+]?\s*raw\s*[-+]?%\}.*?\{%[-+]?\s*endraw\s*[-+]?%\}|(?<head>\{%[-+]?\s*for\s+[\w\s,()]+?\sin\s)(?<through>(?:"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|[^"'])*?)(?<end>[-+]?%\})"#,
    )
    .expect("a valid pattern")
});

/// The template for minijinja: line ends are line feeds, generation blocks are `with` blocks, which
/// open a scope, write nothing and trim like any block, as the call block does that transformers makes
/// of them, and what loops go through passes [`LOOPED`].
pub(super) fn prepared(source: &str) -> String {
    with_blocks(source, "with ")
}

/// [`prepared`] with what a generation block writes passing the filter [`GENERATED`]; none for a
/// template without such blocks.
pub(super) fn marking(source: &str) -> Option<String> {
    GENERATION.is_match(source).then(|| with_blocks(source, &format!("filter {GENERATED} ")))
}

/// `opening` is what a generation block becomes.
fn with_blocks(source: &str, opening: &str) -> String {
    let source = source.replace("\r\n", "\n").replace('\r', "\n");
    let name = opening.split(' ').next().unwrap_or_default();
    let source = GENERATION.replace_all(&source, |found: &Captures| {
        let block = if found.get(2).is_some() { format!("end{name} ") } else { opening.to_owned() };
        format!("{{%{} {block}{}%}}", &found[1], &found[3])
    });
    LOOP.replace_all(&source, through_filter).into_owned()
}

fn through_filter(found: &Captures) -> String {
    let Some(head) = found.name("head") else { return found[0].to_owned() };
    let (through, rest) = found["through"].split_at(end_of_values(&found["through"]));
    format!("{}({})|{LOOPED} {rest}{}", head.as_str(), through.trim(), &found["end"])
}

/// Where in `VALUES if CONDITION recursive` the values end: at the first of the two words that is in no
/// bracket and no string.
fn end_of_values(text: &str) -> usize {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let bytes = text.as_bytes();
    let (mut depth, mut quote, mut at) = (0_i32, None, 0);
    while at < bytes.len() {
        match (quote, bytes[at]) {
            (Some(_), b'\\') => at += 1,
            (Some(open), byte) if byte == open => quote = None,
            (Some(_), _) => {}
            (None, byte @ (b'"' | b'\'')) => quote = Some(byte),
            (None, b'(' | b'[' | b'{') => depth += 1,
            (None, b')' | b']' | b'}') => depth -= 1,
            (None, byte) if is_word(byte) => {
                let n = bytes[at..].iter().take_while(|byte| is_word(**byte)).count();
                if depth == 0 && matches!(&bytes[at..at + n], b"if" | b"recursive") {
                    return at;
                }
                at += n - 1;
            }
            _ => {}
        }
        at += 1;
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_loop_goes_through_is_found_behind_conditions_and_strings() {
        for (source, prepared_source) in [
            ("{% for a in b %}", "{% for a in (b)|looped__ %}"),
            ("{%- for k, v in d|items -%}", "{%- for k, v in (d|items)|looped__ -%}"),
            ("{%for(a,b)in c if a in b%}", "{%for(a,b)in c if a in b%}"),
            ("{% for a in x['if'] if a %}", "{% for a in (x['if'])|looped__ if a %}"),
            (
                "{% for a in (b if c else d) recursive %}",
                "{% for a in ((b if c else d))|looped__ recursive %}",
            ),
            ("{% for a in '%} if '.split() %}", "{% for a in ('%} if '.split())|looped__ %}"),
            ("{% for a in b.iffy[1:] %}", "{% for a in (b.iffy[1:])|looped__ %}"),
            ("{% raw %}{% for a in b %}{% endraw %}", "{% raw %}{% for a in b %}{% endraw %}"),
        ] {
            assert_eq!(prepared(source), prepared_source);
        }
    }
}
