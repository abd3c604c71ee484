//! What a hostile client puts where a page has a field, a parameter or an id.

use crate::support::dice::Dice;

/// A value as it stands in a form's body or in an address.
#[derive(Clone, Debug)]
pub(super) struct HostileValue {
    pub(super) name: String,
    /// Percent-encoded, or broken on purpose.
    pub(super) encoded: String,
    /// What it is before that: the content of a file, a string of JSON.
    pub(super) bytes: Vec<u8>,
}

impl HostileValue {
    fn new(name: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into();
        Self { name: name.into(), encoded: percent_encoded(&bytes), bytes }
    }

    /// What no browser would send: percent signs that encode nothing.
    fn raw(text: &str) -> Self {
        Self { name: format!("raw {text}"), encoded: text.to_owned(), bytes: text.into() }
    }

    /// Two in a row, cut off anywhere: what nobody thought of.
    pub(super) fn mixed(values: &[Self], dice: &mut Dice) -> Self {
        let pick = |dice: &mut Dice| {
            let bytes = &values[dice.below(values.len())].bytes;
            bytes[..bytes.len().min(1 + dice.below(4000))].to_vec()
        };
        let bytes = [pick(dice), pick(dice)].concat();
        Self::new(
            format!("mixed {:?}", String::from_utf8_lossy(&bytes[..bytes.len().min(60)])),
            bytes,
        )
    }
}

/// A form's or an address' way to write bytes.
pub(super) fn percent_encoded(bytes: &[u8]) -> String {
    let mut encoded = String::with_capacity(bytes.len());
    for byte in bytes {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' => encoded.push((*byte).into()),
            _ => encoded += &format!("%{byte:02X}"),
        }
    }
    encoded
}

/// Every value by itself. What is long comes last.
pub(super) fn all(dice: &mut Dice) -> Vec<HostileValue> {
    let mut values: Vec<HostileValue> = TEXTS
        .iter()
        .map(|text| HostileValue::new(format!("{text:?}"), *text))
        .chain(NO_TEXTS.iter().map(|bytes| HostileValue::new(format!("{bytes:x?}"), *bytes)))
        .chain(["%", "%0", "%zz", "%u0000", "a%00%0a", "+%2B+"].map(HostileValue::raw))
        .collect();
    let controls: Vec<u8> = (0..32).chain([127]).collect();
    // What no index compresses.
    let random: String = (0..9000).map(|_| char::from(b'a' + dice.below(26) as u8)).collect();
    values.extend([
        HostileValue::new("all controls", controls),
        HostileValue::new("9,000 random letters", random),
        HostileValue::new("5,000 marks on a letter", format!("a{}", "\u{301}".repeat(5000))),
        HostileValue::new("20,000 brackets", "[".repeat(20_000)),
        HostileValue::new("objects in objects", r#"{"a":"#.repeat(500)),
        HostileValue::new("101 letters of two bytes", "ё".repeat(101)),
        HostileValue::new("1 MB", "a".repeat(1_000_000)),
        HostileValue::new("1 MB of four bytes each", "\u{1F600}".repeat(250_000)),
    ]);
    values
}

const TEXTS: [&str; 44] = [
    "",
    " ",
    "\0",
    "Other\0",
    "\u{80}\u{9f}\u{85}",
    "\r\n\r\nSet-Cookie: a=b",
    "-1",
    "0",
    "101",
    "2.5",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775809",
    "18446744073709551616",
    "1e400",
    "-1e400",
    "1e-400",
    "NaN",
    "inf",
    "-Infinity",
    "0x10",
    "true",
    "null",
    "{\"a\": [1, {\"b\": null}]}",
    "[{\"role\": \"user\", \"content\": \"\\u0000\\ud800\"}]",
    "{\"prompt\": \"\\u0000\", \"completion\": \"\\ud800\"}",
    "'; DROP TABLE account; --",
    "\" OR 1=1 --",
    "%' OR '%'='",
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "{ $value } {{ 7 * 7 }} ${7*7}",
    "../../../../etc/passwd",
    "/etc/passwd",
    "//elsewhere.example",
    "\\\\elsewhere",
    "\u{202e}txet\u{200f}\u{2066}",
    "\u{1F600}\u{1D54F}\u{10FFFF}",
    "\u{FEFF}\u{FFFE}\u{FFFF}\u{200B}",
    "İıſK\u{130}ß",
    "e\u{301}",
    "00000000-0000-0000-0000-000000000000",
    "ffffffff-ffff-ffff-ffff-ffffffffffff",
    "01890000-0000-7000-8000-000000000000",
];

/// Bytes that are no UTF-8: lone surrogates, overlong, too large, cut off.
const NO_TEXTS: [&[u8]; 7] = [
    b"\xED\xA0\x80",
    b"\xED\xBF\xBF",
    b"\xFF\xFE",
    b"\xC0\x80",
    b"\xF4\x90\x80\x80",
    b"a\xE2\x82",
    b"\x1f\x8b\x08\x00\x00\x00\x00\x00",
];
