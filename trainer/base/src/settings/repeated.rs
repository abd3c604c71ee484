//! Files and folders that are given twice: a setting's last value counts, as scripts that append to a
//! command line rely on, but of two files to train on somebody expects both to be read.

use super::typed::n_given;
use clap::{Command, builder::ValueParser};
use std::ffi::OsString;

/// An error that names the flag of a file or folder that stands twice in what was typed.
pub(super) fn refuse_files(command: &Command, typed: &[OsString]) -> Result<(), String> {
    let Some(verb) = typed.get(1).and_then(|verb| command.find_subcommand(verb)) else {
        return Ok(());
    };
    let is_path = |parser: &ValueParser| parser.type_id() == ValueParser::path_buf().type_id();
    for argument in verb.get_arguments().filter(|argument| is_path(argument.get_value_parser())) {
        let Some(long) = argument.get_long() else { continue };
        if n_given(long, typed) > 1 {
            return Err(format!(
                "--{long} is given twice, and one file or folder is read; give it once (several files \
                 of rows can be put together: cat one.jsonl other.jsonl > both.jsonl)"
            ));
        }
    }
    Ok(())
}
