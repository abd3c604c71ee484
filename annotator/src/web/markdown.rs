//! Markdown from people and models to HTML that is safe to show, within a bound on the work that
//! can be counted. What a text says is kept where Markdown would drop it: formulas, backslashes
//! before signs that mean nothing to Markdown, stars inside of words, leading blanks, numbers of lists.

mod blanks;
mod events;
mod formula;
mod lines;
mod protect;
mod sanitise;

use events::Events;
use protect::Protected;
use pulldown_cmark::{Options, Parser, TextMergeWithOffset, html};
use std::fmt;

/// The longest text that is laid out, in bytes: about thirty thousand words. A longer one is shown as
/// it was written.
pub const MAX_BYTES: usize = 128 << 10;

/// Blocks, lists, quotes and emphasis inside of each other. Browsers and sanitisers take time
/// that grows with the square of it.
const MAX_DEPTH: usize = 64;

/// What the parser may come to: twice as much as an ordinary text of the greatest length.
const MAX_EVENTS: usize = 300_000;

/// The greatest HTML, in bytes: formulas grow twenty times on their way to MathML.
const MAX_HTML: usize = 2 << 20;

/// The HTML of a text; none for one that cannot be laid out within the bounds.
pub fn to_html(markdown: &str) -> Option<String> {
    lay_out(markdown).0
}

/// What laying out a text came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct LayoutWork {
    events: usize,
    depth: usize,
    bytes: usize,
}

impl LayoutWork {
    fn is_within_bounds(self) -> bool {
        self.events <= MAX_EVENTS && self.depth <= MAX_DEPTH && self.bytes <= MAX_HTML
    }
}

fn lay_out(markdown: &str) -> (Option<String>, LayoutWork) {
    let mut work = LayoutWork::default();
    if markdown.len() > MAX_BYTES {
        return (None, work);
    }
    let Some(protected) = Protected::new(markdown) else { return (None, work) };
    let options =
        Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TASKLISTS;
    let parsed = Parser::new_ext(&protected.text, options).into_offset_iter();
    let events = Events::new(TextMergeWithOffset::new(parsed), &protected, &mut work);
    let mut html = BoundedText(String::new());
    let is_written = html::write_html_fmt(&mut html, events).is_ok();
    work.bytes = html.0.len();
    let html = (is_written && work.is_within_bounds()).then(|| sanitise::sanitise(&html.0));
    (html, work)
}

/// A text that refuses to grow further than [`MAX_HTML`].
struct BoundedText(String);

impl fmt::Write for BoundedText {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.0.len() + text.len() > MAX_HTML {
            return Err(fmt::Error);
        }
        self.0.push_str(text);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
