//! How a worker starts `trainer grpo`.

use super::{rollout::rollout_command, run_command::RunCommand};

pub(super) const COMMAND: RunCommand = rollout_command("grpo", "grpo");
