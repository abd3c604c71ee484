//! Flags in what was typed.

use std::ffi::OsString;

/// How often a flag stands there, `--flag VALUE` or `--flag=VALUE`.
pub(super) fn n_given(flag: &str, typed: &[OsString]) -> usize {
    let (alone, with_value) = (format!("--{flag}"), format!("--{flag}="));
    let texts = typed.iter().map(|argument| argument.to_string_lossy());
    let flags = texts.take_while(|text| text != "--");
    flags.filter(|text| *text == alone || text.starts_with(&with_value)).count()
}
