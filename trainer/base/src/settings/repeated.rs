//! Files and folders that are given twice: a setting's last value counts, as scripts that append to a
//! command line rely on, but of two files to train on somebody expects both to be read.

use clap::{Command, builder::ValueParser};
use std::ffi::OsString;

/// An error that names the flag of a file or folder that stands twice in what was typed.
pub(super) fn refuse_files(command: &Command, typed: &[OsString]) -> Result<(), String> {
    let Some(verb) = typed.get(1).and_then(|verb| command.find_subcommand(verb)) else {
        return Ok(());
    };
    let texts: Vec<_> = typed.iter().map(|argument| argument.to_string_lossy()).collect();
    let is_path = |parser: &ValueParser| parser.type_id() == ValueParser::path_buf().type_id();
    for argument in verb.get_arguments().filter(|argument| is_path(argument.get_value_parser())) {
        let Some(long) = argument.get_long() else { continue };
        let (flag, with_value) = (format!("--{long}"), format!("--{long}="));
        let given = |text: &&std::borrow::Cow<str>| **text == flag || text.starts_with(&with_value);
        if texts.iter().take_while(|text| *text != "--").filter(given).count() > 1 {
            return Err(format!(
                "{flag} is given twice, and one file or folder is read; give it once (several files \
                 of rows can be put together: cat one.jsonl other.jsonl > both.jsonl)"
            ));
        }
    }
    Ok(())
}
