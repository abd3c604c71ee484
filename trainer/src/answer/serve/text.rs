//! From tokens to text as it grows: never half a character, nothing of a stop text.

use trainer_base::tokenizer::Tokenizer;

/// The text of an answer while it is being written.
pub(super) struct TextStream<'a> {
    tokenizer: &'a Tokenizer,
    stops: &'a [String],
    ids: Vec<i64>,
    /// Bytes of the text that were given out.
    given: usize,
    has_stopped: bool,
}

impl<'a> TextStream<'a> {
    pub(super) fn new(tokenizer: &'a Tokenizer, stops: &'a [String]) -> Self {
        Self { tokenizer, stops, ids: Vec::new(), given: 0, has_stopped: false }
    }

    /// Whether a stop text was written; what follows it does not count.
    pub(super) fn has_stopped(&self) -> bool {
        self.has_stopped
    }

    pub(super) fn n_tokens(&self) -> usize {
        self.ids.len()
    }

    /// What is certain of the text after one more token.
    pub(super) fn push(&mut self, id: i64) -> String {
        self.ids.push(id);
        let text = self.tokenizer.completion_text(&self.ids);
        // A token may end within a character, which the decoder writes as U+FFFD.
        let whole = text.trim_end_matches('\u{FFFD}').len();
        self.give(&text, whole, true)
    }

    /// The rest of the text.
    pub(super) fn finish(&mut self) -> String {
        let text = self.tokenizer.completion_text(&self.ids);
        self.give(&text, text.len(), false)
    }

    /// The text from where it was given out to `end`, or to a stop text; with `holds_back`, not
    /// what may be the beginning of one.
    fn give(&mut self, text: &str, mut end: usize, holds_back: bool) -> String {
        if self.has_stopped {
            return String::new();
        }
        let new = text.get(self.given..end).unwrap_or_default();
        let stops = self.stops.iter().filter(|stop| !stop.is_empty());
        if let Some(at) = stops.clone().filter_map(|stop| new.find(stop.as_str())).min() {
            self.has_stopped = true;
            end = self.given + at;
        } else if holds_back {
            let held = stops.map(|stop| overlap(new, stop)).max().unwrap_or(0);
            end = end.saturating_sub(held);
        }
        let piece = text.get(self.given..end).unwrap_or_default().to_owned();
        self.given += piece.len();
        piece
    }
}

/// How many bytes at the end of `text` are the beginning of `stop`.
fn overlap(text: &str, stop: &str) -> usize {
    let ends = stop.char_indices().map(|(at, _)| at).skip(1);
    ends.filter(|&end| text.ends_with(&stop[..end])).last().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::fixture_path;

    fn tokenizer() -> Tokenizer {
        Tokenizer::load(&fixture_path("tiny_llama")).unwrap()
    }

    /// The pieces of a text given token by token, and whether a stop text was in it.
    fn pieces(text: &str, stops: &[&str]) -> (Vec<String>, bool) {
        let tokenizer = tokenizer();
        let stops: Vec<String> = stops.iter().map(|stop| (*stop).to_owned()).collect();
        let mut stream = TextStream::new(&tokenizer, &stops);
        let mut pieces = Vec::new();
        for id in tokenizer.encode(text, false).unwrap() {
            pieces.push(stream.push(id));
        }
        pieces.push(stream.finish());
        (pieces, stream.has_stopped())
    }

    #[test]
    fn pieces_are_whole_characters_and_make_up_the_text() {
        let text = "Лиса 🦊 und Füchse, naïve: 狐";
        let (pieces, has_stopped) = pieces(text, &[]);
        assert_eq!(pieces.concat(), text);
        assert!(pieces.iter().all(|piece| !piece.contains('\u{FFFD}')), "{pieces:?}");
        assert!(pieces.iter().filter(|piece| !piece.is_empty()).count() > 5, "{pieces:?}");
        assert!(!has_stopped);
    }

    #[test]
    fn a_stop_text_ends_the_answer_and_no_part_of_it_is_shown() {
        for (text, stops, expected) in [
            ("one two END three", &["END"][..], "one two "),
            ("one END two STOP", &["STOP", "END"], "one "),
            ("ends with its stop END", &["END"], "ends with its stop "),
        ] {
            let (pieces, has_stopped) = pieces(text, stops);
            assert_eq!((pieces.concat().as_str(), has_stopped), (expected, true));
        }
    }

    #[test]
    fn what_only_looked_like_a_stop_text_is_given_in_the_end() {
        let (pieces, has_stopped) = pieces("the EN of it is EN", &["END"]);
        assert_eq!((pieces.concat().as_str(), has_stopped), ("the EN of it is EN", false));
    }

    #[test]
    fn the_longest_beginning_of_a_stop_text_is_held_back() {
        assert_eq!(overlap("abcab", "abd"), 2);
        assert_eq!(overlap("abc", "xyz"), 0);
        assert_eq!(overlap("да", "ад"), 2);
        assert_eq!(overlap("END", "END"), 0, "a whole one is found, not held back");
    }
}
