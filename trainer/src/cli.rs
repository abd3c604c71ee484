//! The program: parses what was typed, runs the verb, and tells how it ended.
//!
//! The last line on stdout is the summary; everything for a person goes to stderr. The exit code is
//! 0, 1 for a run that failed, 2 for a command line that makes no sense.

use crate::{
    algorithms, answer, doctor, eval, fetch, merge,
    run::{
        execute::{configured, exit_with_stdin, reported},
        failure::{VerbFailure, catching},
        library_settings,
    },
};
use anyhow::Context;
use std::{env, ffi::OsString, path::PathBuf, process::ExitCode};
use trainer_base::{
    settings::{CommandLine, Verb},
    worker,
};

/// The program.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let line = match CommandLine::read(arguments) {
        Ok(line) => line,
        Err(problem) => return VerbFailure::Usage(problem).tell(),
    };
    match catching(|| run(line.verb)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.tell(),
    }
}

fn run(verb: Verb) -> Result<(), VerbFailure> {
    match verb {
        Verb::Train(verb) => algorithms::run(&verb),
        Verb::Answer(verb) => answer::run(&verb),
        Verb::Eval(flags) => configured(&flags, eval::run),
        Verb::Fetch(flags) => reported(&flags.output, |report| fetch::run(&flags.paths, report)),
        Verb::Merge(flags) => reported(&flags.output, |report| merge::run(&flags.paths, report)),
        Verb::Doctor(args) => Ok(doctor::run(&args)?),
        Verb::Serve(args) => {
            library_settings::restart_with_settings();
            if args.exit_with_stdin {
                exit_with_stdin();
            }
            // Whoever started it reads its first line on stdout: where it listens, or this.
            let served = catching(|| Ok(answer::serve::run(&args)?));
            served.inspect_err(VerbFailure::report)
        }
        Verb::Worker(args) => Ok(worker::run(&args, own_program)?),
    }
}

/// What a worker starts for each run: the same executable with another verb.
fn own_program() -> anyhow::Result<PathBuf> {
    env::current_exe().context("cannot find this program's own file")
}
