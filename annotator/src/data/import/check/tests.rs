//! Files as people have them, and as nobody should.

use super::*;
use flate2::{Compression, write::GzEncoder};
use std::io::{Cursor, Write};

const LINES: &str = "{\"prompt\":\"Q\"}\n\n{\"prompt\":\"Q\",\"completion\":\"Ответ\"}\n";

fn rows(bytes: impl Into<Vec<u8>>, limits: ImportLimits) -> Result<Vec<FileRow>, KeyedMessage> {
    FileRows::open(Cursor::new(bytes.into()), limits)?.collect()
}

/// The rows of a file in which nothing is wrong.
fn good_rows(bytes: impl Into<Vec<u8>>) -> Vec<ImportRow> {
    let rows = rows(bytes, ImportLimits::UPLOAD).unwrap();
    let row = |row| match row {
        FileRow::Row { row, .. } => row,
        FileRow::Refused(refused) => panic!("{refused:?}"),
    };
    rows.into_iter().map(row).collect()
}

fn check(bytes: impl Into<Vec<u8>>) -> Result<FileCheck, KeyedMessage> {
    let file = Cursor::new(bytes.into());
    FileCheck::of(file, ImportLimits::UPLOAD, &CheckWatch::default())
}

/// What is said of a file as a whole.
fn refusal(bytes: impl Into<Vec<u8>>) -> String {
    check(bytes).unwrap_err().text
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(bytes).unwrap();
    gzip.finish().unwrap()
}

fn utf16(text: &str, bytes_of: fn(u16) -> [u8; 2]) -> Vec<u8> {
    text.encode_utf16().flat_map(bytes_of).collect()
}

#[test]
fn the_same_rows_are_read_however_a_file_is_written() {
    let plain = good_rows(LINES);
    assert_eq!(plain.len(), 2);
    let marked = format!("\u{feff}{LINES}");
    let halves = LINES.as_bytes().split_at(30);
    for (what, bytes) in [
        ("gzip", gzip(LINES.as_bytes())),
        ("gzip in two parts", [gzip(halves.0), gzip(halves.1)].concat()),
        ("a byte order mark", marked.clone().into()),
        ("CRLF", LINES.replace('\n', "\r\n").into()),
        ("no newline at the end", LINES.trim_end().into()),
        ("blank lines", format!("\n \n\t\r\n{LINES}\n\n\n").into()),
        ("UTF-16, little end first", utf16(&marked, u16::to_le_bytes)),
        ("UTF-16, big end first", utf16(&marked, u16::to_be_bytes)),
        ("UTF-16 without a mark", utf16(LINES, u16::to_le_bytes)),
        ("UTF-16 in gzip", gzip(&utf16(&marked, u16::to_be_bytes))),
    ] {
        assert_eq!(good_rows(bytes), plain, "{what}");
    }
}

#[test]
fn every_line_that_is_no_row_is_told_with_its_number() {
    let file = b"{\"prompt\":\"Q\"}\n\n{\"text\":\"T\"}\n{\"prompt\": \xd1\x91}\n{\"prompt\":\"\xff\"}\n[1]\n";
    let check = check(file).unwrap();
    assert_eq!((check.n_lines, check.n_rows, check.n_refused), (6, 1, 4));
    let told: Vec<_> = check.refused.iter().map(|it| (it.line, it.reason.text.as_str())).collect();
    assert!(told[0].0 == 3 && told[0].1.starts_with("field `text`"), "{told:?}");
    assert_eq!(told[1], (4, "not JSON: expected value at character 12"));
    assert_eq!(told[2], (5, "it is not UTF-8 text; save the file as UTF-8"));
    assert!(
        told[3].0 == 6 && told[3].1.starts_with("not a row, which is a JSON object"),
        "{told:?}"
    );
    assert!(check.verdict(true).is_ok());
    assert_eq!(check.verdict(false).unwrap_err().text, "4 of 5 rows cannot be read");
}

#[test]
fn only_the_first_of_many_refusals_are_kept_and_all_are_counted() {
    let check = check("{}\n".repeat(TOLD + 7)).unwrap();
    assert_eq!((check.refused.len(), check.n_refused), (TOLD, TOLD as u64 + 7));
    assert_eq!(check.verdict(true).unwrap_err().text, "none of the rows can be read");
}

#[test]
fn a_refusal_quotes_the_beginning_of_a_name_and_no_byte_0() {
    let name = "\\u0000n".repeat(50_000);
    for row in [
        format!("{{\"{name}\":1}}"),
        format!("{{\"prompt\":[{{\"role\":\"{name}\",\"content\":\"c\"}}]}}"),
        format!("{{\"prompt\":[{{\"role\":\"user\",\"content\":\"c\",\"{name}\":1}}]}}"),
        format!("{{\"{name}\":1,\"{name}\":2}}"),
    ] {
        let told = serde_json::to_string(&check(row).unwrap().refused).unwrap();
        assert!(told.len() < 8 * QUOTED && !told.contains("\\u0000"), "{told}");
    }
}

#[test]
fn a_file_of_another_form_is_told_once() {
    assert_eq!(refusal("\n\n"), "there are no rows in it");
    assert_eq!(refusal(""), "there are no rows in it");
    let list = "the file is one JSON list";
    assert!(refusal("[{\"prompt\":\"Q\"},\n{\"prompt\":\"R\"}]").starts_with(list));
    assert!(refusal("\u{feff}\n [\n").starts_with(list));
    assert!(
        refusal("{\n  \"prompt\": \"Q\"\n}\n").starts_with("a row is spread over several lines")
    );
    assert!(refusal("PK\u{3}\u{4}rest").starts_with("this is a file of zip / xlsx"));
    let whole = gzip(LINES.as_bytes());
    assert!(refusal(&whole[..whole.len() - 9]).starts_with("the compressed file ends too early"));
    let mut damaged = whole;
    damaged[12] ^= 0xff;
    assert!(refusal(damaged).starts_with("the compressed file"));
    let half_letter = [&utf16("\u{feff}{\"prompt\":\"", u16::to_le_bytes)[..], &[0, 0xd8]].concat();
    assert_eq!(
        check(half_letter).unwrap().refused[0].reason.text,
        "it is not UTF-16 text throughout"
    );
}

#[test]
fn what_is_too_much_is_refused_with_its_number() {
    let limits = ImportLimits { text_bytes: 3 << 20, lines: 5, ..ImportLimits::UPLOAD };
    let said = |bytes: Vec<u8>| rows(bytes, limits).unwrap_err().text;
    assert_eq!(said(b"{}\n".repeat(6)), "the file has more than 5 lines; send it in parts");
    let bomb = gzip(&vec![b' '; 4 << 20]);
    assert!(bomb.len() < 100_000);
    assert_eq!(said(bomb), "unpacked, the file is larger than 3 MB; send it in parts");

    // A long line is one refusal; those after it are read.
    let fits = format!("{{\"prompt\":\"{}\"}}", "a".repeat((8 << 20) - 13));
    assert_eq!(fits.len(), 8 << 20);
    let read = rows(format!("{fits}\n a{fits}\r\n{LINES}"), ImportLimits::UPLOAD).unwrap();
    assert_eq!(read.len(), 4);
    let [FileRow::Row { .. }, FileRow::Refused(long), FileRow::Row { line: 3, .. }, _] = &read[..]
    else {
        panic!("{read:?}")
    };
    assert_eq!((long.line, long.reason.text.as_str()), (2, "the line is longer than 8 MB"));
    let crlf = rows(format!("{fits}\r\n"), ImportLimits::UPLOAD).unwrap();
    assert!(matches!(&crlf[..], [FileRow::Row { .. }]));
}

#[test]
fn a_check_that_nobody_waits_for_ends() {
    let watch = CheckWatch { stop: true.into(), ..CheckWatch::default() };
    let file = Cursor::new("{\"prompt\":\"Q\"}\n".repeat(1000));
    let check = FileCheck::of(file, ImportLimits::UPLOAD, &watch).unwrap();
    assert_eq!(check.n_rows, 1);
}
