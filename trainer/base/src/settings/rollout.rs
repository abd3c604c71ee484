//! The files of the commands whose policy learns from answers of its own.

use super::{
    StartFlags,
    run_command::{RunCommand, RunOutput},
};
use entity::{model::ModelKind, run_input::InputSlot};
use std::path::PathBuf;

/// Where `trainer ppo`, `trainer grpo` and `trainer rloo` read and write.
#[derive(Clone, Debug, clap::Args)]
pub struct RolloutPaths {
    /// The policy to improve, which is also the reference: a Hugging Face folder
    #[arg(long, value_name = "DIR")]
    pub policy: PathBuf,
    /// The reward model; the value model of PPO starts from it, too. Without one answers are rewarded by rules alone, which PPO does not do
    #[arg(long, value_name = "DIR")]
    pub reward: Option<PathBuf>,
    /// Prompts to answer (JSONL, .gz allowed)
    #[arg(long, value_name = "FILE")]
    pub prompts: PathBuf,
    /// Prompts that it never learns from, to measure the policy on beside the one it starts from
    #[arg(long, value_name = "FILE")]
    pub eval_prompts: Option<PathBuf>,
    /// Where the new policy goes
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    #[command(flatten)]
    pub start: StartFlags,
}

/// The command of such a method, whose policies' names begin with `word`.
pub(super) const fn rollout_command(verb: &'static str, word: &'static str) -> RunCommand {
    RunCommand {
        verb,
        models: &[(InputSlot::Model, "--policy"), (InputSlot::Reward, "--reward")],
        rows: Some("--prompts"),
        held_out_rows: Some("--eval-prompts"),
        output: RunOutput::Model { kind: ModelKind::Policy, word },
    }
}
