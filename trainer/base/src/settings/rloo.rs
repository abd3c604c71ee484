//! How a worker starts `trainer rloo`.

use super::{rollout::rollout_command, run_command::RunCommand};

pub(super) const COMMAND: RunCommand = rollout_command("rloo", "rloo");
