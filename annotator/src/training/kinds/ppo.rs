//! Proximal policy optimisation against a reward model.

use super::{
    COMMON, FollowUp, ModelField, RowsField, RunDefinition, SamplePrompts, model_field,
    sample_config,
};
use crate::{
    data::dataset::{DatasetContents, PromptSelection},
    training::{
        fields::{
            ADAPTERS, Choices, EPOCHS, FieldControl, FieldGroup, MACHINE, OPTIMISER,
            POLICY_LEARNING_RATE, TEMPERATURE, field,
        },
        findings::{
            answer_length, divergence, entropy, held_out_gain, noisy_metric, rows_left_out,
            truncated_answers,
        },
        row_lengths::prompt_lengths,
        run_work,
    },
};
use entity::{
    model::ModelKind,
    run_config::{PpoConfig, RunKind},
    run_input::InputSlot,
};

use trainer_base::memory;

pub(super) const PPO: RunDefinition = RunDefinition {
    kind: RunKind::Ppo,
    slug: "ppo",
    name: "run-kind-ppo",
    launch: "run-new-ppo",
    lead: "run-lead-ppo",
    form_path: "/runs/new/ppo",
    models: &[
        model_field(&[ModelKind::Base, ModelKind::Sft, ModelKind::Policy]),
        ModelField {
            name: "reward_model",
            slot: InputSlot::Reward,
            label: "run-input-reward",
            kinds: &[ModelKind::Reward],
            not_chosen: "problem-choose-reward-model",
            none_yet: "run-no-reward-model",
            made_by: Some(RunKind::Reward),
        },
    ],
    // It never learns from the prompts that are held out: it is measured on them.
    rows: Some(RowsField {
        contents: |_| DatasetContents::Prompts(PromptSelection::Train),
        offers_prompts: false,
        read: prompt_lengths,
        within_context: false,
    }),
    form: FORM,
    charts: &[
        &["eval_score"],
        &["objective/rlhf_reward", "objective/scores"],
        &["completions/mean_length", "eval_length"],
        &["objective/kl"],
        &["objective/entropy"],
        &["loss/policy_avg", "loss/value_avg"],
        &["policy/clipfrac_avg"],
        &["val/num_eos_tokens"],
        &["grad_norm"],
    ],
    // The score on the prompts that are learnt from is no verdict: it rises by itself.
    learning: |digest, _| {
        let gain = held_out_gain(digest);
        let says = match gain {
            Some(_) => "glance-score-of-batches",
            None => "glance-no-held-out-prompts",
        };
        let batches = noisy_metric(digest, "objective/scores", "glance-score", says);
        [gain, batches, rows_left_out(digest)].into_iter().flatten().collect()
    },
    drift: |digest| {
        [divergence(digest), answer_length(digest), entropy(digest), truncated_answers(digest)]
            .into_iter()
            .flatten()
            .collect()
    },
    memory: memory::of::<PpoConfig>,
    work: run_work::rollouts,
    pace: &["device", "dtype", "lora_rank", "response_length"],
    follow_up: FollowUp::SamplePolicy {
        prompts: SamplePrompts::OfTheRun,
        config: |trained| {
            let trained: PpoConfig = serde_json::from_value(trained.clone())?;
            // Answers as long as the policy learnt to give.
            let length = trained.response_length;
            Ok(sample_config(length, trained.max_length, &trained.optimisation))
        },
    },
    ..COMMON
};

const KL_ESTIMATORS: Choices = &[("k1", "choice-k1"), ("k3", "choice-k3")];

const FORM: &[FieldGroup] = &[
    FieldGroup {
        title: "config-group-main",
        fields: &[
            POLICY_LEARNING_RATE,
            field("episodes", FieldControl::Whole, "config-episodes", "config-episodes-help"),
            field(
                "batch_size",
                FieldControl::Whole,
                "config-batch-size-prompts",
                "config-batch-size-prompts-help",
            ),
            field(
                "response_length",
                FieldControl::Whole,
                "config-response-length",
                "config-response-length-help",
            ),
            TEMPERATURE,
            field("kl_coef", FieldControl::Number, "config-kl-coef", "config-kl-coef-help"),
            field(
                "missing_eos_penalty",
                FieldControl::Number,
                "config-missing-eos-penalty",
                "config-missing-eos-penalty-help",
            ),
        ],
    },
    FieldGroup {
        title: "config-group-course",
        fields: &[
            EPOCHS,
            field(
                "max_steps",
                FieldControl::Whole,
                "config-max-steps",
                "config-max-steps-ppo-help",
            ),
            field(
                "eval_every",
                FieldControl::Whole,
                "config-eval-every",
                "config-eval-every-ppo-help",
            ),
            field(
                "max_length",
                FieldControl::Whole,
                "config-max-length",
                "config-max-length-prompts-help",
            ),
        ],
    },
    FieldGroup {
        title: "config-group-ppo",
        fields: &[
            field("ppo_epochs", FieldControl::Whole, "config-ppo-epochs", "config-ppo-epochs-help"),
            field(
                "minibatches",
                FieldControl::Whole,
                "config-minibatches",
                "config-minibatches-help",
            ),
            field(
                "kl_estimator",
                FieldControl::Choice(KL_ESTIMATORS),
                "config-kl-estimator",
                "config-kl-estimator-help",
            ),
            field("cliprange", FieldControl::Number, "config-cliprange", "config-cliprange-help"),
            field(
                "cliprange_value",
                FieldControl::Number,
                "config-cliprange-value",
                "config-cliprange-value-help",
            ),
            field("vf_coef", FieldControl::Number, "config-vf-coef", "config-vf-coef-help"),
            field("gamma", FieldControl::Number, "config-gamma", "config-gamma-help"),
            field("lam", FieldControl::Number, "config-lam", "config-lam-help"),
            field(
                "whiten_rewards",
                FieldControl::Switch,
                "config-whiten-rewards",
                "config-whiten-rewards-help",
            ),
        ],
    },
    ADAPTERS,
    OPTIMISER,
    MACHINE,
];
