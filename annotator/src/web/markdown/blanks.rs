//! Text within a line as HTML that keeps its blanks.

/// Appends a text. A blank is kept where a browser would drop it: after another, and at the beginning
/// of a line.
pub(super) fn push(html: &mut String, text: &str, mut is_after_blank: bool) {
    for letter in text.chars() {
        match letter {
            ' ' if is_after_blank => html.push_str("&nbsp;"),
            '\t' => html.push_str("&nbsp;&nbsp;&nbsp; "),
            '\n' => html.push_str("<br>\n"),
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            letter => html.push(letter),
        }
        is_after_blank = matches!(letter, ' ' | '\t' | '\n');
    }
}

/// So many blanks that stay.
pub(super) fn of_width(width: usize) -> String {
    "&nbsp;".repeat(width)
}

/// Columns of the blanks that a text begins with.
pub(super) fn width(text: &str) -> usize {
    let mut width = 0;
    for byte in text.bytes() {
        match byte {
            b' ' => width += 1,
            b'\t' => width += 4 - width % 4,
            _ => break,
        }
    }
    width
}

/// A line without the markers of the quotes that it is in.
pub(super) fn without_quotes(line: &str, depth: usize) -> &str {
    let mut rest = line;
    for _ in 0..depth {
        let Some(inner) = rest.trim_start_matches([' ', '\t']).strip_prefix('>') else { break };
        rest = inner.strip_prefix(' ').unwrap_or(inner);
    }
    rest
}

/// The beginning of the line that a place is in.
pub(super) fn line_start(source: &str, at: usize) -> usize {
    source[..at].rfind('\n').map_or(0, |end| end + 1)
}

/// The column at which the text of a list's item begins, the item beginning at a place.
pub(super) fn of_item(source: &str, at: usize, quotes: usize) -> usize {
    let before = without_quotes(&source[line_start(source, at)..at], quotes).len();
    let item = source[at..].trim_start_matches(' ');
    let indent = source.len() - at - item.len();
    let marker = item.bytes().take_while(|byte| !byte.is_ascii_whitespace()).count();
    let blanks = width(&item[marker..]);
    before + indent + marker + if (1..=4).contains(&blanks) { blanks } else { 1 }
}
