//! What a run keeps beside the algorithm: how far it is, what it reports, its checkpoints.

use super::{Ppo, plan::RolloutPlan};
use crate::{
    model,
    run::{
        identity::{RunIdentity, hash_of_model, hash_of_sequences},
        journal::{JournalOpening, RunJournal, refuse_as_output},
    },
};
use entity::{message, report::RunReport};
use serde_json::{Map, Value, json};
use std::{ops::ControlFlow, path::Path};
use trainer_base::{
    evaluation::PPO_MEASURING_COST,
    job::{Report, VerbOutcome},
    progress::RunProgress,
    rows::PromptIds,
    settings::PpoPaths,
};

/// A run between two rollout batches, which are its steps.
pub(super) struct PpoRun {
    journal: RunJournal,
    /// Adapters end up in a whole model.
    merges: bool,
}

impl PpoRun {
    /// Starts a run, or goes on from its newest checkpoint. `n_measured` answers of it are measured and
    /// not learnt from.
    pub(super) fn open(
        ppo: &mut Ppo,
        prompts: &[PromptIds],
        paths: &PpoPaths,
        plan: &RolloutPlan,
        n_measured: u64,
        report: &mut Report,
    ) -> anyhow::Result<Self> {
        refuse_as_output(&paths.out, &paths.policy, message!("the-policy", "policy"))?;
        refuse_as_output(&paths.out, &paths.reward, message!("the-reward-model", "reward model"))?;
        let opening = JournalOpening {
            kind: "ppo",
            out: &paths.out,
            start: paths.start,
            identity: identity(ppo, prompts, paths)?,
            save_every: ppo.config.optimisation.save_every,
            n_steps: plan.n_steps,
            work: plan.episodes_before(plan.n_steps) as f64 * ppo.config.ppo_epochs as f64
                + n_measured as f64 * PPO_MEASURING_COST,
        };
        let journal =
            RunJournal::open(opening, report, |folder, n_updates| ppo.restore(folder, n_updates))?;
        Ok(Self { journal, merges: paths.start.merge })
    }

    /// Rollout batches done.
    pub(super) fn step(&self) -> u64 {
        self.journal.step
    }

    pub(super) fn progress(&mut self) -> &mut RunProgress {
        &mut self.journal.progress
    }

    /// Counts responses that an optimiser step saw, and response tokens that were drawn.
    pub(super) fn advance(
        &mut self,
        n_responses: usize,
        n_tokens: usize,
        report: &mut Report,
    ) -> ControlFlow<()> {
        self.journal.advance(n_responses as f64, n_tokens as u64, report)
    }

    /// Counts answers that were measured and not learnt from.
    pub(super) fn measured(&mut self, n_answers: usize, report: &mut Report) -> ControlFlow<()> {
        self.journal.advance(n_answers as f64 * PPO_MEASURING_COST, 0, report)
    }

    /// Reports what was measured before the first step.
    pub(super) fn report_start(
        &mut self,
        mut metrics: Map<String, Value>,
        report: &mut Report,
    ) -> ControlFlow<()> {
        metrics.insert("step".into(), json!(0));
        self.journal.note(&metrics);
        report(RunReport::Metrics { metrics })
    }

    /// The metrics of the step under way that come from the plan.
    pub(super) fn metrics(&self, plan: &RolloutPlan, learning_rate: f64) -> Map<String, Value> {
        let step = self.journal.step + 1;
        let episode = plan.episodes_before(step);
        let metrics = [
            ("step", json!(step)),
            ("episode", json!(episode)),
            ("learning_rate", json!(learning_rate)),
            ("lr", json!(learning_rate)),
            ("eps", json!(episode as f64 / self.journal.progress.seconds())),
        ];
        metrics.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// Reports what a step brought, and writes a checkpoint when it is asked to stop or one is due.
    pub(super) fn finish_step(
        &mut self,
        ppo: &Ppo,
        metrics: Map<String, Value>,
        examples: Vec<RunReport>,
        n_tokens: usize,
        report: &mut Report,
    ) -> anyhow::Result<ControlFlow<()>> {
        self.journal.step += 1;
        self.journal.note(&metrics);
        let mut answers = vec![report(RunReport::Metrics { metrics })];
        answers.extend(examples.into_iter().map(&mut *report));
        answers.push(self.advance(0, n_tokens, report));
        let stops = !self.journal.is_done() && answers.iter().any(ControlFlow::is_break);
        if stops || self.journal.is_checkpoint_due() {
            self.save(ppo)?;
        }
        Ok(if stops { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    }

    /// Ends before a batch has changed the models, with a checkpoint of the batches before.
    pub(super) fn stop(&mut self, ppo: &Ppo) -> anyhow::Result<VerbOutcome> {
        self.save(ppo)?;
        Ok(VerbOutcome::Stopped)
    }

    fn save(&mut self, ppo: &Ppo) -> anyhow::Result<()> {
        self.journal.save(Some(ppo.n_updates), |folder| ppo.save(folder))
    }

    /// Writes the policy, then removes the checkpoints.
    pub(super) fn finish(mut self, ppo: &mut Ppo) -> anyhow::Result<VerbOutcome> {
        if self.merges {
            ppo.models.policy.merge_when_saved();
        }
        self.journal.finish(|out| model::save(&ppo.models.policy, out, &Map::new()))
    }
}

/// What tells this run from others.
fn identity(ppo: &Ppo, prompts: &[PromptIds], paths: &PpoPaths) -> anyhow::Result<RunIdentity> {
    let prompts = hash_of_sequences(prompts.iter().map(|prompt| prompt.ids.as_slice()));
    let (policy, reward) = (hash_of_model(&paths.policy)?, hash_of_model(&paths.reward)?);
    let inputs = [("policy", policy), ("reward", reward), ("prompts", prompts)];
    Ok(RunIdentity::new("ppo", ppo.config, inputs))
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
