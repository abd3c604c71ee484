//! What a run keeps beside the algorithm: how far it is, what it says, its checkpoints.

use super::{Ppo, PpoPaths, plan::Plan};
use crate::{
    model,
    run::{
        checkpoint::{Checkpoints, Rhythm},
        identity::{hash_of_model, hash_of_sequences},
    },
};
use anyhow::ensure;
use entity::message;
use entity::report::{LogLevel, RunReport};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::{ops::ControlFlow, path::Path, time::Instant};
use trainer_base::{
    job::{Outcome, Report},
    progress::{Progress, say},
    rows::PromptIds,
};

/// A run between two rollout batches.
pub(super) struct Run {
    /// Rollout batches done.
    pub(super) step: u64,
    n_steps: u64,
    rhythm: Rhythm,
    checkpoints: Checkpoints,
    progress: Progress,
    /// The last value of each metric.
    last: Map<String, Value>,
}

/// What a checkpoint holds besides weights and optimisers. Nothing random is in it: draws and
/// orders are functions of the seed and of how far the run is.
#[derive(Serialize, Deserialize)]
struct State {
    n_updates: u64,
    work: f64,
    tokens: u64,
    seconds: f64,
    last: Map<String, Value>,
}

impl Run {
    /// Starts a run, or goes on from its newest checkpoint.
    pub(super) fn open(
        ppo: &mut Ppo,
        prompts: &[PromptIds],
        paths: &PpoPaths,
        plan: &Plan,
        report: &mut Report,
    ) -> anyhow::Result<Self> {
        let inputs = [
            (&paths.policy, message!("ppo-policy", "policy")),
            (&paths.reward, message!("ppo-reward-model", "reward model")),
        ];
        for (input, name) in inputs {
            ensure!(
                paths.out.canonicalize().ok() != Some(input.canonicalize()?),
                message!(
                    "ppo-out-is-input",
                    "--out is the folder of the {name}; the result needs a folder of its own",
                    name = name
                )
            );
        }
        let identity = identity(ppo, prompts, paths)?;
        let (checkpoints, found) = Checkpoints::open::<State>(&paths.out, identity, paths.resume)?;
        let work = plan.episodes_before(plan.n_steps) as f64 * ppo.config.ppo_epochs as f64;
        let mut run = Self {
            step: 0,
            n_steps: plan.n_steps,
            rhythm: Rhythm::new(ppo.config.optimisation.save_every),
            checkpoints,
            progress: Progress::new(plan.n_steps, work),
            last: Map::new(),
        };
        if let Some(found) = found {
            say(report, LogLevel::Info, found.message());
            let State { n_updates, work, tokens, seconds, last } = found.state;
            ppo.restore(&found.folder, n_updates)?;
            run.step = found.step;
            run.progress.resume(work, tokens, seconds);
            run.last = last;
        }
        Ok(run)
    }

    /// Counts responses that an optimiser step saw, and response tokens that were drawn.
    pub(super) fn advance(
        &mut self,
        n_responses: usize,
        n_tokens: usize,
        report: &mut Report,
    ) -> ControlFlow<()> {
        self.progress.advance(self.step, n_responses as f64, n_tokens as u64, report)
    }

    /// The metrics of the step under way that come from the plan.
    pub(super) fn metrics(&self, plan: &Plan, learning_rate: f64) -> Map<String, Value> {
        let episode = plan.episodes_before(self.step + 1);
        let metrics = [
            ("step", json!(self.step + 1)),
            ("episode", json!(episode)),
            ("learning_rate", json!(learning_rate)),
            ("lr", json!(learning_rate)),
            ("eps", json!(episode as f64 / self.progress.seconds())),
        ];
        metrics.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// Says what a step brought; when the answer is to stop, or it is time, writes a checkpoint.
    pub(super) fn finish_step(
        &mut self,
        ppo: &Ppo,
        metrics: Map<String, Value>,
        examples: Vec<RunReport>,
        n_tokens: usize,
        report: &mut Report,
    ) -> anyhow::Result<ControlFlow<()>> {
        self.step += 1;
        self.last.clone_from(&metrics);
        let is_done = self.step == self.n_steps;
        let mut answers = vec![report(RunReport::Metrics { metrics })];
        answers.extend(examples.into_iter().map(&mut *report));
        answers.push(self.advance(0, n_tokens, report));
        let stops = !is_done && answers.iter().any(ControlFlow::is_break);
        if !is_done && (stops || self.rhythm.is_due(self.step)) {
            self.save(ppo)?;
        }
        Ok(if stops { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    }

    /// Ends before a batch has changed the models, with a checkpoint of the batches before.
    pub(super) fn stop(&mut self, ppo: &Ppo) -> anyhow::Result<Outcome> {
        self.save(ppo)?;
        Ok(Outcome::Stopped)
    }

    /// Nothing where there is nothing to keep yet, or checkpoints are not wanted.
    fn save(&mut self, ppo: &Ppo) -> anyhow::Result<()> {
        if self.step == 0 || !self.rhythm.is_wanted() {
            return Ok(());
        }
        let began = Instant::now();
        let state = State {
            n_updates: ppo.n_updates,
            work: self.progress.done(),
            tokens: self.progress.tokens(),
            seconds: self.progress.seconds(),
            last: self.last.clone(),
        };
        self.checkpoints.save(self.step, &state, |folder| ppo.save(folder))?;
        self.rhythm.written(began);
        Ok(())
    }

    /// Writes the policy, then removes the checkpoints.
    pub(super) fn finish(self, ppo: &Ppo, out: &Path) -> anyhow::Result<Outcome> {
        let summary = self.progress.summary("ppo", self.step, self.last);
        model::save(&ppo.models.policy, out, &Map::new())?;
        self.checkpoints.remove_all()?;
        Ok(Outcome::Finished(summary))
    }
}

/// What tells this run from others.
fn identity(ppo: &Ppo, prompts: &[PromptIds], paths: &PpoPaths) -> anyhow::Result<Value> {
    let Value::Object(mut config) = serde_json::to_value(ppo.config)? else {
        unreachable!("a configuration is an object")
    };
    config.shift_remove("save_every");
    Ok(json!({
        "kind": "ppo",
        "config": config,
        "policy": hash_of_model(&paths.policy)?,
        "reward": hash_of_model(&paths.reward)?,
        "prompts": hash_of_sequences(prompts.iter().map(|prompt| prompt.ids.as_slice())),
    }))
}

const POLICY: &str = "policy";
const VALUE: &str = "value";
const POLICY_OPTIMIZER: &str = "policy_optimizer.safetensors";
const VALUE_OPTIMIZER: &str = "value_optimizer.safetensors";

impl Ppo<'_> {
    /// Writes what learns into a checkpoint's folder.
    fn save(&self, folder: &Path) -> anyhow::Result<()> {
        model::save(&self.models.policy, &folder.join(POLICY), &Map::new())?;
        model::save(&self.models.value, &folder.join(VALUE), &Map::new())?;
        self.policy_optimizer.save(&folder.join(POLICY_OPTIMIZER))?;
        self.value_optimizer.save(&folder.join(VALUE_OPTIMIZER))
    }

    fn restore(&mut self, folder: &Path, n_updates: u64) -> anyhow::Result<()> {
        self.models.policy.set_weights(&folder.join(POLICY))?;
        self.models.value.set_weights(&folder.join(VALUE))?;
        self.policy_optimizer.restore(&folder.join(POLICY_OPTIMIZER), n_updates)?;
        self.value_optimizer.restore(&folder.join(VALUE_OPTIMIZER), n_updates)?;
        self.n_updates = n_updates;
        Ok(())
    }
}
