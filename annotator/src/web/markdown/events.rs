//! What the parser found, as what is written: every event of it is counted here, and those that would
//! lose something of the text, or its direction, are replaced.

use super::{
    LayoutWork, MAX_DEPTH, MAX_EVENTS, blanks, formula,
    protect::{Kept, Piece, Protected},
};
use pulldown_cmark::{Alignment, CodeBlockKind, CowStr, Event, LinkType, Tag, TagEnd};
use std::ops::Range;

/// The events of a text on their way to its HTML.
pub(super) struct Events<'a, I> {
    inner: I,
    protected: &'a Protected<'a>,
    work: &'a mut LayoutWork,
    depth: usize,
    quotes: usize,
    /// Of each list around: the number of its next item, if it counts.
    lists: Vec<bool>,
    /// Of each item around: where its text begins.
    columns: Vec<usize>,
    /// Of each link around: where it leads, if it is shown as it was written.
    links: Vec<Option<String>>,
    /// Of each image around: where it is.
    images: Vec<String>,
    columns_of_table: Vec<Alignment>,
    cell: usize,
    is_in_head: bool,
    block: Block,
}

/// What a text is within.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Block {
    Prose,
    /// Code; indented code is shown with its indentation.
    Code {
        is_indented: bool,
    },
    Html,
}

impl<'a, I: Iterator<Item = (Event<'a>, Range<usize>)>> Events<'a, I> {
    pub(super) fn new(inner: I, protected: &'a Protected<'a>, work: &'a mut LayoutWork) -> Self {
        Self {
            inner,
            protected,
            work,
            depth: 0,
            quotes: 0,
            lists: Vec::new(),
            columns: Vec::new(),
            links: Vec::new(),
            images: Vec::new(),
            columns_of_table: Vec::new(),
            cell: 0,
            is_in_head: false,
            block: Block::Prose,
        }
    }

    fn source(&self) -> &'a str {
        &self.protected.text
    }

    /// The tag of a block with the direction of its own text.
    fn start(&mut self, tag: Tag<'a>, range: &Range<usize>) -> Option<Event<'a>> {
        Some(match tag {
            // A page asks nothing of other machines: an image is shown as it was written.
            Tag::Image { dest_url, .. } => {
                self.images.push(self.protected.written(&dest_url).to_string());
                Event::Text("![".into())
            }
            Tag::Paragraph => {
                let indent = blanks::of_width(self.indent(range.start));
                raw(format!("\n<p{}>{indent}", self.direction()))
            }
            Tag::HtmlBlock => {
                self.block = Block::Html;
                raw(format!("\n<p{}>", self.direction()))
            }
            Tag::BlockQuote(_) => {
                self.quotes += 1;
                raw("\n<blockquote dir=\"auto\">\n".to_owned())
            }
            Tag::List(first) => {
                self.lists.push(first.is_some());
                Event::Start(Tag::List(first))
            }
            Tag::Item => {
                self.columns.push(blanks::of_item(self.source(), range.start, self.quotes));
                raw(self.item(range.start))
            }
            Tag::Heading { level, .. } => raw(format!("\n<{level}{}>", self.direction())),
            Tag::CodeBlock(kind) => {
                self.block = Block::Code { is_indented: kind == CodeBlockKind::Indented };
                Event::Start(Tag::CodeBlock(kind))
            }
            Tag::Table(columns) => {
                self.columns_of_table.clone_from(&columns);
                Event::Start(Tag::Table(columns))
            }
            Tag::TableHead | Tag::TableRow => {
                (self.cell, self.is_in_head) = (0, tag == Tag::TableHead);
                Event::Start(tag)
            }
            Tag::TableCell => raw(self.cell()),
            Tag::Link { link_type, dest_url, title, id } => {
                let dest_url = self.protected.written(&dest_url).to_string();
                if link_type != LinkType::Email && !leads_elsewhere(&dest_url) {
                    self.links.push(Some(dest_url));
                    return Some(Event::Text("[".into()));
                }
                self.links.push(None);
                let title = self.protected.written(&title).into();
                Event::Start(Tag::Link { link_type, dest_url: dest_url.into(), title, id })
            }
            tag => Event::Start(tag),
        })
    }

    /// A block within an item or a quote takes the direction of that, which looks for it in the text
    /// of blocks that name none.
    fn direction(&self) -> &'static str {
        if self.depth == 1 { " dir=\"auto\"" } else { "" }
    }

    /// An item of a list that counts keeps the number that was written.
    fn item(&self, at: usize) -> String {
        let written = self.source()[at..].trim_start_matches(' ');
        let digits = written.bytes().take_while(u8::is_ascii_digit).count();
        match written[..digits].parse::<u32>() {
            Ok(number) if self.lists.last() == Some(&true) => {
                format!("\n<li dir=\"auto\" value=\"{number}\">")
            }
            _ => "\n<li dir=\"auto\">".to_owned(),
        }
    }

    fn cell(&mut self) -> String {
        let side = match self.columns_of_table.get(self.cell) {
            Some(Alignment::Right) => " class=\"right\"",
            Some(Alignment::Center) => " class=\"centre\"",
            _ => "",
        };
        self.cell += 1;
        format!("<{} dir=\"auto\"{side}>", if self.is_in_head { "th" } else { "td" })
    }

    fn end(&mut self, tag: TagEnd) -> Option<Event<'a>> {
        match tag {
            TagEnd::Image => {
                let address = self.images.pop().unwrap_or_default();
                return Some(Event::Text(format!("]({address})").into()));
            }
            TagEnd::HtmlBlock => {
                self.block = Block::Prose;
                return Some(raw("</p>\n".to_owned()));
            }
            TagEnd::Link => {
                if let Some(written) = self.links.pop().flatten() {
                    return Some(Event::Text(format!("]({written})").into()));
                }
            }
            TagEnd::CodeBlock => self.block = Block::Prose,
            TagEnd::BlockQuote(_) => self.quotes -= 1,
            TagEnd::List(_) => drop(self.lists.pop()),
            TagEnd::Item => drop(self.columns.pop()),
            _ => {}
        }
        Some(Event::End(tag))
    }

    /// Blanks at the beginning of a line that are there beyond those that its list asks for.
    fn indent(&self, at: usize) -> usize {
        let source = self.source();
        let line = blanks::without_quotes(&source[blanks::line_start(source, at)..at], self.quotes);
        if !line.trim_matches([' ', '\t']).is_empty() {
            return 0; // behind the marker of an item
        }
        blanks::width(line).saturating_sub(self.columns.last().copied().unwrap_or(0))
    }

    /// A line that ends where it was typed to end, and how the next begins.
    fn line_break(&self, range: &Range<usize>) -> Event<'a> {
        let source = self.source();
        let next = source[range.start..].find('\n').map_or(range.end, |at| range.start + at + 1);
        let line = blanks::without_quotes(&source[next..], self.quotes);
        let column = self.columns.last().copied().unwrap_or(0);
        let width = blanks::width(line).saturating_sub(column);
        raw(format!("<br>\n{}", blanks::of_width(width.min(200))))
    }

    fn text(&self, text: &CowStr<'a>, range: &Range<usize>) -> Event<'a> {
        match self.block {
            Block::Code { is_indented: false } => Event::Text(self.protected.written(text).into()),
            Block::Code { is_indented: true } => {
                let written = self.protected.written(text);
                let lines = written.split_inclusive('\n').map(|line| format!("    {line}"));
                Event::Text(lines.collect::<String>().into())
            }
            Block::Html => self.html(text),
            Block::Prose => {
                let before = self.source()[..range.start].chars().next_back();
                let mut html = String::with_capacity(text.len() + 16);
                for piece in self.protected.pieces(text) {
                    let is_after_blank = html.ends_with(' ')
                        || html.ends_with('\n')
                        || (html.is_empty() && before == Some(' '));
                    match piece {
                        Piece::Text(text) => blanks::push(&mut html, text, is_after_blank),
                        Piece::Kept(Kept::Written(text)) => {
                            blanks::push(&mut html, text, is_after_blank);
                        }
                        Piece::Kept(Kept::Formula { written, latex, is_display }) => {
                            match formula::to_mathml(latex, *is_display) {
                                Some(mathml) => html.push_str(&mathml),
                                None => blanks::push(&mut html, written, is_after_blank),
                            }
                        }
                    }
                }
                raw(html)
            }
        }
    }

    /// HTML is shown, not run.
    fn html(&self, text: &str) -> Event<'a> {
        let written = self.protected.written(text);
        let mut html = String::with_capacity(written.len() + 16);
        blanks::push(&mut html, &written, self.block == Block::Html);
        raw(html)
    }

    fn shown(&mut self, event: Event<'a>, range: &Range<usize>) -> Option<Event<'a>> {
        Some(match event {
            Event::Start(tag) => return self.start(tag, range),
            Event::End(tag) => return self.end(tag),
            Event::Html(text) | Event::InlineHtml(text) => self.html(&text),
            Event::Text(text) => self.text(&text, range),
            Event::Code(text) => Event::Code(self.protected.written(&text).into()),
            Event::SoftBreak | Event::HardBreak => self.line_break(range),
            Event::TaskListMarker(is_done) => Event::Text(if is_done { "☑ " } else { "☐ " }.into()),
            event => event,
        })
    }
}

/// Whether a link leads to another site, or to a mailbox, whatever page it stands on. One that a browser
/// would complete (`/admin`, `//host`, `http:admin`) would lead into this app from under somebody's text.
fn leads_elsewhere(address: &str) -> bool {
    let lower = address.to_ascii_lowercase();
    ["http://", "https://", "mailto:"].iter().any(|start| {
        lower
            .strip_prefix(start)
            .is_some_and(|rest| !rest.is_empty() && !rest.starts_with(['/', '\\']))
    })
}

fn raw(html: String) -> Event<'static> {
    Event::InlineHtml(html.into())
}

impl<'a, I: Iterator<Item = (Event<'a>, Range<usize>)>> Iterator for Events<'a, I> {
    type Item = Event<'a>;

    /// Ends beyond the bounds: the work says so.
    fn next(&mut self) -> Option<Event<'a>> {
        loop {
            let (event, range) = self.inner.next()?;
            self.work.events += 1;
            match event {
                Event::Start(_) => self.depth += 1,
                Event::End(_) => self.depth -= 1,
                _ => {}
            }
            self.work.depth = self.work.depth.max(self.depth);
            if self.work.events > MAX_EVENTS || self.depth > MAX_DEPTH {
                return None;
            }
            if let Some(event) = self.shown(event, &range) {
                return Some(event);
            }
        }
    }
}
