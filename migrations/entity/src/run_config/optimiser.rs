//! The settings of the optimiser, which every kind of training has; transformers' `TrainingArguments`.

use super::{
    ConfigError, ConfigProblem, Device, Dtype, LrScheduler, MOST_OF_ANYTHING, SaveDtype,
    at_least_one, at_most, is_positive, not_negative, problem,
};
use clap::Args;
use serde::{Deserialize, Serialize};

/// How the optimiser walks: AdamW with betas 0.9 and 0.999 and epsilon 1e-8, as transformers' Trainer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Args)]
pub struct OptimiserSettings {
    /// Sequences (pairs for reward and DPO, prompts for PPO, GRPO and RLOO) per micro-batch
    #[arg(long, default_value_t = 8)]
    pub batch_size: usize,
    /// Micro-batches per optimiser step
    #[arg(long, default_value_t = 1)]
    pub grad_accum: usize,
    /// Passes over the data
    #[arg(long, default_value_t = 3.0)]
    pub epochs: f64,
    /// Stop after this many optimiser steps (PPO, GRPO, RLOO: rollout batches); 0 follows --epochs
    #[arg(long, default_value_t = 0)]
    pub max_steps: usize,
    /// Steps over which the learning rate rises from zero
    #[arg(long, default_value_t = 0)]
    pub warmup_steps: usize,
    /// How the learning rate falls after the warm-up
    #[arg(long, value_enum, default_value_t = LrScheduler::Linear)]
    pub lr_scheduler: LrScheduler,
    /// Steps at the end over which the learning rate of wsd falls; 0 is a tenth of all
    #[arg(long, default_value_t = 0)]
    #[serde(default)] // runs that are older than the setting go on
    pub decay_steps: usize,
    /// Decoupled weight decay; norms and biases are left out
    #[arg(long, default_value_t = 0.0)]
    pub weight_decay: f64,
    /// Clip the gradient to this norm; 0 does not clip
    #[arg(long, default_value_t = 1.0)]
    pub max_grad_norm: f64,
    /// Shuffle the rows in every epoch; false keeps the file's order
    #[arg(long, action = clap::ArgAction::Set, default_value_t = true, value_name = "true|false")]
    pub shuffle: bool,
    /// Seed of everything random
    #[arg(long, default_value_t = 42)]
    pub seed: u64,
    /// Precision of the forward and backward pass; weights and optimiser stay f32
    #[arg(long, value_enum, default_value_t = Dtype::Auto)]
    pub dtype: Dtype,
    /// Keep only the inputs of layers for the backward pass, which computes these once more: less memory, more time
    #[arg(long, action = clap::ArgAction::Set, default_value_t = false, value_name = "true|false")]
    #[serde(default)]
    pub gradient_checkpointing: bool,
    /// Where to compute
    #[arg(long, value_enum, default_value_t = Device::Auto)]
    pub device: Device,
    /// Write a checkpoint every so many steps, and after five minutes without one; 0 writes none
    #[arg(long, default_value_t = 100)]
    pub save_every: usize,
    /// Precision of the weights that are written at the end; checkpoints keep f32
    #[arg(long, value_enum, default_value_t = SaveDtype::F32)]
    #[serde(default)] // runs that are older than the setting go on
    pub save_dtype: SaveDtype,
}

impl Default for OptimiserSettings {
    fn default() -> Self {
        Self {
            batch_size: 8,
            grad_accum: 1,
            epochs: 3.0,
            max_steps: 0,
            warmup_steps: 0,
            lr_scheduler: LrScheduler::Linear,
            decay_steps: 0,
            weight_decay: 0.0,
            max_grad_norm: 1.0,
            shuffle: true,
            seed: 42,
            dtype: Dtype::Auto,
            gradient_checkpointing: false,
            device: Device::Auto,
            save_every: 100,
            save_dtype: SaveDtype::F32,
        }
    }
}

impl OptimiserSettings {
    pub(super) fn problems(&self) -> Vec<ConfigError> {
        let mut found = Vec::new();
        at_least_one(&mut found, "batch_size", self.batch_size);
        at_least_one(&mut found, "grad_accum", self.grad_accum);
        if self.max_steps == 0 && !is_positive(self.epochs) {
            found.push(problem("epochs", ConfigProblem::NoEnd));
        }
        if self.epochs > MOST_OF_ANYTHING as f64 {
            found.push(problem(
                "epochs",
                ConfigProblem::AboveMost { most: MOST_OF_ANYTHING as u64 },
            ));
        }
        for (field, value) in [
            ("max_steps", self.max_steps),
            ("warmup_steps", self.warmup_steps),
            ("decay_steps", self.decay_steps),
            ("save_every", self.save_every),
        ] {
            at_most(&mut found, field, value, MOST_OF_ANYTHING);
        }
        not_negative(&mut found, "weight_decay", self.weight_decay);
        not_negative(&mut found, "max_grad_norm", self.max_grad_norm);
        found
    }
}
