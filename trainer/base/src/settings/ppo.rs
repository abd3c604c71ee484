//! How a worker starts `trainer ppo`.

use super::{rollout::rollout_command, run_command::RunCommand};

pub(super) const COMMAND: RunCommand = rollout_command("ppo", "policy");
