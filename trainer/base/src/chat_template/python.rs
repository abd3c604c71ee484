//! Values written as Python writes them: `str(…)` for what a template prints, `json.dumps` for
//! its `tojson`.

use minijinja::{
    Error, ErrorKind, Output, State,
    value::{Kwargs, Value, ValueKind},
};
use serde::Serialize;
use serde_json::{Value as Json, ser::Formatter};
use std::io;

/// What `{{ value }}` writes.
pub(super) fn format(out: &mut Output, _: &mut State, value: &Value) -> Result<(), Error> {
    match value.as_str() {
        Some(text) => out.write_str(text)?,
        None => out.write_str(&to_str(value))?,
    }
    Ok(())
}

/// What `str(value)` gives.
pub(super) fn to_str(value: &Value) -> String {
    match value.as_str() {
        Some(text) => text.to_owned(),
        None if value.is_undefined() => String::new(),
        None => to_repr(value),
    }
}

fn to_repr(value: &Value) -> String {
    let items = |value: &Value| -> Vec<Value> {
        value.try_iter().map(Iterator::collect).unwrap_or_default()
    };
    match value.kind() {
        ValueKind::None => "None".to_owned(),
        ValueKind::Bool => if value.is_true() { "True" } else { "False" }.to_owned(),
        ValueKind::String => quoted(value.as_str().unwrap_or_default()),
        ValueKind::Number if !value.is_integer() => {
            f64::try_from(value.clone()).map_or_else(|_| value.to_string(), float)
        }
        ValueKind::Seq => {
            let items: Vec<_> = items(value).iter().map(to_repr).collect();
            match (value.is_tuple(), items.as_slice()) {
                (true, [one]) => format!("({one},)"),
                (true, items) => format!("({})", items.join(", ")),
                (false, items) => format!("[{}]", items.join(", ")),
            }
        }
        ValueKind::Map => {
            let pair = |key: &Value| {
                let item = value.get_item(key).unwrap_or_default();
                format!("{}: {}", to_repr(key), to_repr(&item))
            };
            format!("{{{}}}", items(value).iter().map(pair).collect::<Vec<_>>().join(", "))
        }
        ValueKind::Undefined => "Undefined".to_owned(),
        _ => value.to_string(),
    }
}

/// `repr(number)`: the shortest digits, with an exponent where Python writes one.
pub(super) fn float(number: f64) -> String {
    let short = format!("{number:e}");
    let Some((digits, exponent)) = short.split_once('e') else {
        // inf, -inf and nan are told apart by nothing else.
        return short.to_lowercase();
    };
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if number == 0.0 || (-4..16).contains(&exponent) {
        let text = number.to_string();
        return if text.contains('.') { text } else { text + ".0" };
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.unsigned_abs())
}

fn quoted(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut quoted = String::from(quote);
    for letter in text.chars() {
        let code = u32::from(letter);
        match letter {
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\\' => quoted.push_str("\\\\"),
            letter if letter == quote => quoted.extend(['\\', letter]),
            letter if is_printable(letter) => quoted.push(letter),
            _ if code < 0x100 => quoted.push_str(&format!("\\x{code:02x}")),
            _ if code < 0x1_0000 => quoted.push_str(&format!("\\u{code:04x}")),
            _ => quoted.push_str(&format!("\\U{code:08x}")),
        }
    }
    quoted.push(quote);
    quoted
}

/// Whether Python prints the letter as it is. Rust escapes the same classes of Unicode within a text.
fn is_printable(letter: char) -> bool {
    matches!(letter, '\'' | '"') || format!("a{letter}").escape_debug().nth(1) == Some(letter)
}

/// The widest indent of JSON: every line has it as often as it is deep, and nothing counts what that
/// takes.
const MAX_INDENT: usize = 64;

/// `json.dumps(value, ensure_ascii, indent, separators, sort_keys)` with transformers' defaults.
pub(super) fn tojson(state: &State, value: &Value, options: Kwargs) -> Result<Value, Error> {
    let dumps = Dumps::try_from(options)?;
    let cannot = |error: serde_json::Error| {
        Error::new(ErrorKind::BadSerialization, "tojson: not JSON").with_source(error)
    };
    ensure_defined(value)?;
    let mut json = serde_json::to_value(value).map_err(cannot)?;
    if dumps.is_sorted {
        json.sort_all_objects();
    }
    let text = dumps.write(&json).map_err(cannot)?;
    // Of JSON that is written as JSON again and again every backslash doubles: what the text takes counts,
    // and what it was made of, which is about as much.
    state.consume_fuel(2 * text.len() as u64)?;
    Ok(Value::from_safe_string(text))
}

/// Python refuses to write what is not there, rather than to call it null.
fn ensure_defined(value: &Value) -> Result<(), Error> {
    match value.kind() {
        ValueKind::Undefined => {
            Err(Error::new(ErrorKind::BadSerialization, "tojson: the value is undefined"))
        }
        ValueKind::Seq => value.try_iter()?.try_for_each(|item| ensure_defined(&item)),
        ValueKind::Map => {
            value.try_iter()?.try_for_each(|key| ensure_defined(&value.get_item(&key)?))
        }
        _ => Ok(()),
    }
}

/// Python's layout for serde_json.
struct Dumps {
    item: String,
    key: String,
    indent: Option<usize>,
    ascii: bool,
    is_sorted: bool,
    depth: usize,
    is_empty: bool,
}

impl TryFrom<Kwargs> for Dumps {
    type Error = Error;

    fn try_from(options: Kwargs) -> Result<Self, Error> {
        let indent: Option<usize> = options.get("indent")?;
        if indent.is_some_and(|indent| indent > MAX_INDENT) {
            return Err(Error::new(ErrorKind::InvalidOperation, "tojson: the indent is too wide"));
        }
        let item = if indent.is_some() { "," } else { ", " };
        let (mut item, mut key) = (item.to_owned(), ": ".to_owned());
        if let Some(separators) = options.get::<Option<Vec<String>>>("separators")? {
            [item, key] = <[String; 2]>::try_from(separators).map_err(|_| {
                Error::new(ErrorKind::InvalidOperation, "tojson: separators takes two strings")
            })?;
        }
        let ascii = options.get::<Option<bool>>("ensure_ascii")?.unwrap_or(false);
        let is_sorted = options.get::<Option<bool>>("sort_keys")?.unwrap_or(false);
        options.assert_all_used()?;
        Ok(Self { item, key, indent, ascii, is_sorted, depth: 0, is_empty: true })
    }
}

impl Dumps {
    fn write(self, json: &Json) -> serde_json::Result<String> {
        let mut bytes = Vec::new();
        json.serialize(&mut serde_json::Serializer::with_formatter(&mut bytes, self))?;
        Ok(String::from_utf8(bytes).expect("JSON is UTF-8"))
    }

    fn new_line<W: ?Sized + io::Write>(&self, writer: &mut W) -> io::Result<()> {
        match self.indent {
            Some(indent) => write!(writer, "\n{}", " ".repeat(indent * self.depth)),
            None => Ok(()),
        }
    }

    fn open<W: ?Sized + io::Write>(&mut self, writer: &mut W, bracket: &[u8]) -> io::Result<()> {
        self.depth += 1;
        self.is_empty = true;
        writer.write_all(bracket)
    }

    fn close<W: ?Sized + io::Write>(&mut self, writer: &mut W, bracket: &[u8]) -> io::Result<()> {
        self.depth -= 1;
        if !self.is_empty {
            self.new_line(writer)?;
        }
        self.is_empty = false;
        writer.write_all(bracket)
    }

    fn next<W: ?Sized + io::Write>(&mut self, writer: &mut W, is_first: bool) -> io::Result<()> {
        if !is_first {
            writer.write_all(self.item.as_bytes())?;
        }
        self.is_empty = false;
        self.new_line(writer)
    }
}

impl Formatter for Dumps {
    fn begin_array<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.open(writer, b"[")
    }

    fn end_array<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.close(writer, b"]")
    }

    fn begin_array_value<W: ?Sized + io::Write>(
        &mut self,
        w: &mut W,
        first: bool,
    ) -> io::Result<()> {
        self.next(w, first)
    }

    fn begin_object<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.open(writer, b"{")
    }

    fn end_object<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.close(writer, b"}")
    }

    fn begin_object_key<W: ?Sized + io::Write>(
        &mut self,
        w: &mut W,
        first: bool,
    ) -> io::Result<()> {
        self.next(w, first)
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(self.key.as_bytes())
    }

    fn write_f64<W: ?Sized + io::Write>(&mut self, writer: &mut W, number: f64) -> io::Result<()> {
        writer.write_all(float(number).as_bytes())
    }

    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        if !self.ascii {
            return writer.write_all(fragment.as_bytes());
        }
        for unit in fragment.encode_utf16() {
            match u8::try_from(unit) {
                Ok(byte @ ..0x7f) => writer.write_all(&[byte])?,
                _ => write!(writer, "\\u{unit:04x}")?,
            }
        }
        Ok(())
    }
}
