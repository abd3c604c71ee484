//! What learns in a run, and how it gets into a checkpoint and out of it.

use super::{engine::RolloutEngine, ensure_finite};
use crate::{
    math::optimizer::AdamW,
    model::{self, Transformer},
};
use anyhow::Result;
use serde_json::Map;
use std::path::Path;
use trainer_base::random;

/// What a checkpoint holds besides how far the run is.
pub(crate) trait LearningState {
    fn engine(&self) -> &RolloutEngine;
    fn engine_mut(&mut self) -> &mut RolloutEngine;
    /// Optimiser steps taken.
    fn n_updates(&self) -> u64;
    /// Writes what learns into a checkpoint's folder.
    fn save(&self, folder: &Path) -> Result<()>;
    /// Reads it after so many optimiser steps.
    fn restore(&mut self, folder: &Path, n_updates: u64) -> Result<()>;
}

/// A model that learns, in a checkpoint: its weights in the folder of its name, its optimiser beside it.
pub(crate) fn save_model(
    model: &Transformer,
    optimizer: &AdamW,
    name: &str,
    folder: &Path,
) -> Result<()> {
    model::save(model, &folder.join(name), &Map::new())?;
    optimizer.save(&folder.join(format!("{name}_optimizer.safetensors")))
}

/// The other way round.
pub(crate) fn restore_model(
    model: &Transformer,
    optimizer: &mut AdamW,
    name: &str,
    folder: &Path,
    n_updates: u64,
) -> Result<()> {
    model.set_weights(&folder.join(name))?;
    optimizer.restore(&folder.join(format!("{name}_optimizer.safetensors")), n_updates)
}

/// Of a method whose policy alone learns.
pub(crate) struct PolicyLearner {
    pub(crate) engine: RolloutEngine,
    pub(crate) optimizer: AdamW,
    n_updates: u64,
}

impl PolicyLearner {
    pub(crate) fn new(engine: RolloutEngine) -> Self {
        let decay = engine.settings.optimisation.weight_decay;
        let optimizer = AdamW::new(engine.policy.trainable(), decay);
        Self { engine, optimizer, n_updates: 0 }
    }

    /// Which inputs of adapters the next step drops follows from its number alone.
    pub(crate) fn begin_step(&self) {
        let key = [self.engine.settings.optimisation.seed, self.n_updates];
        self.engine.policy.draw_dropout_from(random::bits(&key));
    }

    /// Takes an optimiser step along the gradients, and tells their norm before clipping.
    pub(crate) fn step(&mut self, learning_rate: f64) -> Result<f64> {
        let max_norm = self.engine.settings.optimisation.max_grad_norm;
        let norm = self.optimizer.clip_gradients(max_norm)?;
        ensure_finite(norm)?;
        self.optimizer.step(learning_rate)?;
        self.n_updates += 1;
        Ok(norm)
    }
}

impl LearningState for PolicyLearner {
    fn engine(&self) -> &RolloutEngine {
        &self.engine
    }

    fn engine_mut(&mut self) -> &mut RolloutEngine {
        &mut self.engine
    }

    fn n_updates(&self) -> u64 {
        self.n_updates
    }

    fn save(&self, folder: &Path) -> Result<()> {
        save_model(&self.engine.policy, &self.optimizer, "policy", folder)
    }

    fn restore(&mut self, folder: &Path, n_updates: u64) -> Result<()> {
        restore_model(&self.engine.policy, &mut self.optimizer, "policy", folder, n_updates)?;
        self.n_updates = n_updates;
        Ok(())
    }
}
