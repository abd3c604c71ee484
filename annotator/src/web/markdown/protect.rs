//! What Markdown must not touch, taken out of a text before it is parsed: formulas, backslashes that
//! escape nothing, stars between letters. A placeholder stands where each was, a letter to the parser;
//! in code it becomes what was written again. One pass over the text.

use super::lines::{
    defines_a_link, fence_end, is_a_price, is_blank_line, is_of_a_word, last_ticks, marker, run,
};
use std::collections::HashMap;

/// Around the number of what a placeholder stands for: private letters of Unicode, which mean nothing.
const OPEN: char = '\u{F0000}';
const CLOSE: char = '\u{F0001}';

/// Markers of quotes and lists at the beginning of one line. Each is a level, and the parser's time
/// grows with the square of them.
const MAX_MARKERS: usize = 24;

/// The longest formula, in bytes.
const MAX_FORMULA: usize = 4000;

/// Signs that Markdown lets a backslash escape although they mean nothing to it.
const NOT_ESCAPED: &[u8] = br#"()[]{}\%,;:="'/@^?"#;

/// Environments that are formulas without signs around them.
const ENVIRONMENTS: [&str; 8] =
    ["equation", "align", "gather", "cases", "matrix", "pmatrix", "bmatrix", "aligned"];

/// What a placeholder stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kept<'a> {
    /// Shown as it is.
    Written(&'a str),
    /// Typeset: what was written, the formula in it, and whether it stands on a line of its own.
    Formula { written: &'a str, latex: &'a str, is_display: bool },
}

impl Kept<'_> {
    fn written(&self) -> &str {
        match self {
            Kept::Written(written) | Kept::Formula { written, .. } => written,
        }
    }
}

/// A text for the parser, and what was taken out of it.
pub(super) struct Protected<'a> {
    pub(super) text: String,
    kept: Vec<Kept<'a>>,
}

/// A piece of a parsed text.
pub(super) enum Piece<'a, 'b> {
    Text(&'b str),
    Kept(&'b Kept<'a>),
}

impl<'a> Protected<'a> {
    /// None for a text that nests too deeply.
    pub(super) fn new(source: &'a str) -> Option<Self> {
        let mut scanner = Scanner {
            source,
            at: 0,
            protected: Self { text: String::with_capacity(source.len() + 64), kept: Vec::new() },
            last_ticks: last_ticks(source),
            closers: HashMap::new(),
        };
        scanner.run()?;
        Some(scanner.protected)
    }

    fn keep(&mut self, kept: Kept<'a>) {
        self.text.push(OPEN);
        self.text.push_str(&self.kept.len().to_string());
        self.text.push(CLOSE);
        self.kept.push(kept);
    }

    /// A text of the parser, in pieces.
    pub(super) fn pieces<'b>(&'b self, text: &'b str) -> impl Iterator<Item = Piece<'a, 'b>> {
        let mut rest = text;
        std::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            if let Some((number, after)) =
                rest.strip_prefix(OPEN).and_then(|inner| inner.split_once(CLOSE))
                && let Some(kept) = number.parse().ok().and_then(|at: usize| self.kept.get(at))
            {
                rest = after;
                return Some(Piece::Kept(kept));
            }
            let first = rest.chars().next().map_or(0, char::len_utf8);
            let end = rest[first..].find(OPEN).map_or(rest.len(), |at| first + at);
            let (piece, after) = rest.split_at(end);
            rest = after;
            Some(Piece::Text(piece))
        })
    }

    /// A text of the parser as it was written.
    pub(super) fn written(&self, text: &str) -> String {
        let piece = |piece| match piece {
            Piece::Text(text) => text.to_owned(),
            Piece::Kept(kept) => kept.written().to_owned(),
        };
        self.pieces(text).map(piece).collect()
    }
}

struct Scanner<'a> {
    source: &'a str,
    at: usize,
    protected: Protected<'a>,
    last_ticks: HashMap<usize, usize>,
    /// Where each closer was found last, so that no stretch is looked through twice; none is there
    /// after the end.
    closers: HashMap<&'static str, usize>,
}

impl<'a> Scanner<'a> {
    fn rest(&self) -> &'a str {
        &self.source[self.at..]
    }

    /// Takes so many bytes as they are.
    fn copy(&mut self, n: usize) {
        self.protected.text.push_str(&self.source[self.at..self.at + n]);
        self.at += n;
    }

    fn keep(&mut self, n: usize) {
        let written = &self.source[self.at..self.at + n];
        self.protected.keep(Kept::Written(written));
        self.at += n;
    }

    fn run(&mut self) -> Option<()> {
        let mut is_line_start = true;
        while self.at < self.source.len() {
            if is_line_start {
                is_line_start = false;
                self.line_start()?;
                continue;
            }
            match self.source.as_bytes()[self.at] {
                b'\n' => {
                    self.copy(1);
                    is_line_start = true;
                }
                b'`' => self.ticks(),
                b'\\' => self.backslash(),
                b'$' => self.dollar(),
                b'*' => self.stars(),
                b'~' => {
                    let n = run(self.source, self.at, b'~');
                    if n == 1 { self.keep(1) } else { self.copy(n) }
                }
                _ => self.plain(),
            }
        }
        Some(())
    }

    /// Everything up to the next sign that could mean something.
    fn plain(&mut self) {
        let first = self.rest().chars().next().map_or(0, char::len_utf8);
        if self.rest().starts_with([OPEN, CLOSE]) {
            return self.keep(first);
        }
        let signs = ['\n', '`', '\\', '$', '*', '~', OPEN, CLOSE];
        let n = self.rest()[first..].find(signs).map_or(self.rest().len(), |at| first + at);
        self.copy(n);
    }

    /// The markers of quotes and lists, a fence, a definition of a link.
    fn line_start(&mut self) -> Option<()> {
        let mut n_markers = 0;
        loop {
            let blanks = self.rest().len() - self.rest().trim_start_matches([' ', '\t']).len();
            self.copy(blanks);
            let n = marker(self.rest());
            if n == 0 {
                break;
            }
            n_markers += 1;
            if n_markers > MAX_MARKERS {
                return None;
            }
            self.copy(n);
        }
        if let Some(end) = fence_end(self.rest()) {
            self.copy(end);
        } else if defines_a_link(self.rest()) {
            self.keep(1); // it would vanish from the text
        }
        Some(())
    }

    /// Code within a line.
    fn ticks(&mut self) {
        let n = run(self.source, self.at, b'`');
        if self.last_ticks.get(&n).is_none_or(|last| *last <= self.at) {
            return self.copy(n);
        }
        let mut at = self.at + n;
        while let Some(found) = self.source[at..].find(['`', '\n']) {
            at += found;
            if self.source[at..].starts_with('\n') {
                at += 1;
                if is_blank_line(&self.source[at..]) {
                    break;
                }
                continue;
            }
            let closing = run(self.source, at, b'`');
            at += closing;
            if closing == n {
                return self.copy(at - self.at);
            }
        }
        self.copy(n);
    }

    fn backslash(&mut self) {
        let rest = self.rest();
        let is_formula = if rest.starts_with(r"\(") {
            self.formula(2, r"\)", false)
        } else if rest.starts_with(r"\[") {
            self.formula(2, r"\]", true)
        } else {
            self.environment()
        };
        if is_formula {
            return;
        }
        match rest.as_bytes().get(1) {
            Some(b'\n' | b'\r') | None => self.keep(1),
            Some(byte) if NOT_ESCAPED.contains(byte) => self.keep(2),
            Some(byte) if byte.is_ascii() => self.copy(2),
            Some(_) => self.copy(1),
        }
    }

    /// `$…$` on one line, as Pandoc reads it, so that prices stay prices; `$$…$$` over several.
    fn dollar(&mut self) {
        let n = run(self.source, self.at, b'$');
        if n == 2 && self.formula(2, "$$", true) {
            return;
        }
        if n != 1 {
            return self.copy(n);
        }
        let before = self.source[..self.at].chars().next_back();
        let inside = &self.rest()[1..];
        if before.is_some_and(char::is_alphanumeric) || inside.starts_with(char::is_whitespace) {
            return self.copy(1);
        }
        let Some(end) = inside.find(['$', '\n']) else { return self.copy(1) };
        let latex = &inside[..end];
        let after = inside[end + 1..].chars().next();
        let is_formula = inside[end..].starts_with('$')
            && !latex.is_empty()
            && !is_a_price(latex)
            && latex.len() <= MAX_FORMULA
            && !latex.ends_with(|last: char| last.is_whitespace() || last == '\\')
            && !after.is_some_and(|next| next.is_alphanumeric() || "$({[_".contains(next));
        if !is_formula {
            return self.copy(1);
        }
        self.keep_formula(end + 2, latex, false);
    }

    /// A formula from here to a closer in the same paragraph; false when there is none.
    fn formula(&mut self, n: usize, closer: &'static str, is_display: bool) -> bool {
        let from = self.at + n;
        let Some(end) = self.closer(closer, from) else { return false };
        let latex = &self.source[from..end];
        let is_one = !latex.trim().is_empty()
            && latex.len() <= MAX_FORMULA
            && !latex.lines().any(|line| line.trim().is_empty() && latex.trim().contains('\n'));
        if is_one {
            self.keep_formula(end + closer.len() - self.at, latex, is_display);
        }
        is_one
    }

    /// `\begin{align} … \end{align}` with nothing around it.
    fn environment(&mut self) -> bool {
        let Some(named) = self.rest().strip_prefix(r"\begin{") else { return false };
        let Some((name, _)) = named.get(..24.min(named.len())).and_then(|it| it.split_once('}'))
        else {
            return false;
        };
        if !ENVIRONMENTS.contains(&name.trim_end_matches('*')) {
            return false;
        }
        let ending = format!("\\end{{{name}}}");
        let mut most = self.rest().len().min(MAX_FORMULA);
        while !self.rest().is_char_boundary(most) {
            most -= 1;
        }
        let Some(end) = self.rest()[..most].find(&ending) else { return false };
        let n = end + ending.len();
        let latex = &self.rest()[..n];
        if latex.contains("\n\n") {
            return false;
        }
        self.keep_formula(n, latex, true);
        true
    }

    fn keep_formula(&mut self, n: usize, latex: &'a str, is_display: bool) {
        let written = &self.source[self.at..self.at + n];
        self.protected.keep(Kept::Formula { written, latex, is_display });
        self.at += n;
    }

    /// The next closer at or behind a place.
    fn closer(&mut self, closer: &'static str, from: usize) -> Option<usize> {
        let known = self.closers.get(closer).copied();
        let at = match known {
            Some(at) if at >= from => at,
            _ => self.source[from..].find(closer).map_or(self.source.len(), |at| from + at),
        };
        self.closers.insert(closer, at);
        (at < self.source.len()).then_some(at)
    }

    /// Stars between letters or digits multiply or raise to a power; they stress nothing.
    fn stars(&mut self) {
        let n = run(self.source, self.at, b'*');
        let before = self.source[..self.at].chars().next_back();
        let after = self.rest()[n..].chars().next();
        if before.is_some_and(is_of_a_word) && after.is_some_and(is_of_a_word) {
            self.keep(n);
        } else {
            self.copy(n);
        }
    }
}
