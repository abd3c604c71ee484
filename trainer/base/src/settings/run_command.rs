//! How a worker turns a kind of run into a command line, and what it makes of the output.

use entity::{model::ModelKind, run_input::InputSlot};

/// The command line of a kind of run. Settings go through `--config`, but for those of a fetch.
#[derive(Debug)]
pub struct RunCommand {
    pub verb: &'static str,
    /// The flag that names the models of a slot, in their order.
    pub models: &'static [(InputSlot, &'static str)],
    /// The flag for the rows of the dataset version.
    pub rows: Option<&'static str>,
    /// The flag for its held-out rows, where a kind measures something on them.
    pub held_out_rows: Option<&'static str>,
    pub output: RunOutput,
}

/// What a kind of run makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunOutput {
    /// A model folder, which becomes a model of the project: `word` begins its name. Checkpoints
    /// lie beside it meanwhile.
    Model { kind: ModelKind, word: &'static str },
    /// A file of this name.
    File(&'static str),
    /// A model folder that becomes a base of every project. What has arrived of it is there when it
    /// goes on, and its steps are megabytes.
    Base,
}
