//! What runs made of files of rows, in words.

use crate::web::page::Page;
use entity::{
    dataset_version_item::DatasetSplit,
    row_use::{LeftOutReason, RowUse},
};

/// A sentence for each file.
pub fn in_words(page: &Page, files: &[RowUse]) -> Vec<String> {
    files.iter().map(|file| of_file(page, file)).collect()
}

/// What was used of the held-out rows.
pub fn held_out(files: &[RowUse]) -> Option<&RowUse> {
    files.iter().find(|file| file.file == DatasetSplit::Eval.file())
}

fn of_file(page: &Page, file: &RowUse) -> String {
    let key =
        if file.file == DatasetSplit::Eval.file() { "rows-used-held-out" } else { "rows-used" };
    let mut said = page.text(key).arg("used", file.used).arg("rows", file.rows).to_string();
    for left_out in &file.left_out {
        let text = page.text(reason(left_out.reason)).arg("n", left_out.rows);
        said += &format!(" {}", text.arg("length", file.max_length));
    }
    if file.cut > 0 {
        let text = page.text("rows-cut").arg("n", file.cut).arg("length", file.max_length);
        said += &format!(" {text}");
    }
    if file.split > 0 {
        said += &format!(" {}", page.text("rows-split").arg("n", file.split));
    }
    if file.tokens > 0 {
        let percent = format!("{:.0}", 100.0 * file.learnt as f64 / file.tokens as f64);
        said += &format!(" {}", page.text("rows-learnt").arg("percent", percent));
    }
    said
}

fn reason(reason: LeftOutReason) -> &'static str {
    match reason {
        LeftOutReason::TooLong => "rows-too-long",
        LeftOutReason::Empty => "rows-empty",
        LeftOutReason::Identical => "rows-identical",
        LeftOutReason::NotReached => "rows-not-reached",
    }
}

/// Why a row was left out, by itself.
pub fn why(reason: LeftOutReason) -> &'static str {
    match reason {
        LeftOutReason::TooLong => "row-too-long",
        LeftOutReason::Empty => "row-empty",
        LeftOutReason::Identical => "row-identical",
        LeftOutReason::NotReached => "row-not-reached",
    }
}
