//! The settings of a launch form: which a kind of run has, in which order, under which heading, and
//! the words for each. Names and defaults come from [`entity::run_config`]; a test holds the two
//! together.

use entity::run::RunKind;

/// What can be typed into a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Control {
    /// A whole number, 0 or above.
    Whole,
    /// A number; a comma is as good as a point.
    Number,
    /// A name.
    Text,
    /// Yes or no.
    Switch,
    /// One of these: value and Fluent key.
    Choice(&'static [(&'static str, &'static str)]),
}

/// One setting; `label` and `help` are Fluent keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    pub name: &'static str,
    pub label: &'static str,
    pub help: &'static str,
    pub control: Control,
}

/// Fields under one heading; the first group of a form is open, the others unfold.
#[derive(Clone, Copy, Debug)]
pub struct Group {
    /// A Fluent key.
    pub title: &'static str,
    pub fields: &'static [Field],
}

use Control::{Choice, Number, Switch, Text, Whole};

const fn field(
    name: &'static str,
    control: Control,
    label: &'static str,
    help: &'static str,
) -> Field {
    Field { name, label, help, control }
}

const YES_NO: &[(&str, &str)] = &[("true", "choice-yes"), ("false", "choice-no")];
const SCHEDULERS: &[(&str, &str)] =
    &[("linear", "choice-linear"), ("cosine", "choice-cosine"), ("constant", "choice-constant")];
const DTYPES: &[(&str, &str)] =
    &[("auto", "choice-dtype-auto"), ("bf16", "choice-bf16"), ("f32", "choice-f32")];
const DEVICES: &[(&str, &str)] =
    &[("auto", "choice-device-auto"), ("cpu", "choice-cpu"), ("cuda", "choice-cuda")];
const KL_ESTIMATORS: &[(&str, &str)] = &[("k1", "choice-k1"), ("k3", "choice-k3")];

impl Control {
    /// What a select offers; none for a text field.
    pub fn choices(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Whole | Number | Text => &[],
            Switch => YES_NO,
            Choice(choices) => choices,
        }
    }
}

const LEARNING_RATE: Field =
    field("learning_rate", Number, "config-learning-rate", "config-learning-rate-help");
const REWARD_LEARNING_RATE: Field =
    field("learning_rate", Number, "config-learning-rate", "config-learning-rate-reward-help");
const POLICY_LEARNING_RATE: Field =
    field("learning_rate", Number, "config-learning-rate", "config-learning-rate-policy-help");
const EPOCHS: Field = field("epochs", Number, "config-epochs", "config-epochs-help");
const BATCH_SIZE: Field = field("batch_size", Whole, "config-batch-size", "config-batch-size-help");
const MAX_LENGTH: Field = field("max_length", Whole, "config-max-length", "config-max-length-help");
const MAX_STEPS: Field = field("max_steps", Whole, "config-max-steps", "config-max-steps-help");
const SEED: Field = field("seed", Whole, "config-seed", "config-seed-help");
const DTYPE: Field = field("dtype", Choice(DTYPES), "config-dtype", "config-dtype-help");
const DEVICE: Field = field("device", Choice(DEVICES), "config-device", "config-device-help");
const SAVE_EVERY: Field = field("save_every", Whole, "config-save-every", "config-save-every-help");
const TEMPERATURE: Field =
    field("temperature", Number, "config-temperature", "config-temperature-help");

const OPTIMISER: Group = Group {
    title: "config-group-optimiser",
    fields: &[
        field("grad_accum", Whole, "config-grad-accum", "config-grad-accum-help"),
        field("warmup_steps", Whole, "config-warmup-steps", "config-warmup-steps-help"),
        field(
            "lr_scheduler",
            Choice(SCHEDULERS),
            "config-lr-scheduler",
            "config-lr-scheduler-help",
        ),
        field("weight_decay", Number, "config-weight-decay", "config-weight-decay-help"),
        field("max_grad_norm", Number, "config-max-grad-norm", "config-max-grad-norm-help"),
        field("shuffle", Switch, "config-shuffle", "config-shuffle-help"),
    ],
};

const MACHINE: Group =
    Group { title: "config-group-machine", fields: &[SEED, DTYPE, DEVICE, SAVE_EVERY] };

const SFT: &[Group] = &[
    Group { title: "config-group-main", fields: &[LEARNING_RATE, EPOCHS, BATCH_SIZE, MAX_LENGTH] },
    Group {
        title: "config-group-course",
        fields: &[
            MAX_STEPS,
            field("eval_every", Whole, "config-eval-every", "config-eval-every-sft-help"),
        ],
    },
    OPTIMISER,
    MACHINE,
];

const REWARD: &[Group] = &[
    Group {
        title: "config-group-main",
        fields: &[
            REWARD_LEARNING_RATE,
            EPOCHS,
            field("batch_size", Whole, "config-batch-size-pairs", "config-batch-size-help"),
            field("max_length", Whole, "config-max-length", "config-max-length-pairs-help"),
        ],
    },
    Group {
        title: "config-group-course",
        fields: &[
            MAX_STEPS,
            field("eval_every", Whole, "config-eval-every", "config-eval-every-reward-help"),
            field(
                "center_rewards_coefficient",
                Number,
                "config-center-rewards-coefficient",
                "config-center-rewards-coefficient-help",
            ),
        ],
    },
    OPTIMISER,
    MACHINE,
];

const DPO: &[Group] = &[
    Group {
        title: "config-group-main",
        fields: &[
            POLICY_LEARNING_RATE,
            field("beta", Number, "config-beta", "config-beta-help"),
            EPOCHS,
            field("batch_size", Whole, "config-batch-size-pairs", "config-batch-size-help"),
            MAX_LENGTH,
        ],
    },
    Group {
        title: "config-group-course",
        fields: &[
            MAX_STEPS,
            field("eval_every", Whole, "config-eval-every", "config-eval-every-reward-help"),
        ],
    },
    OPTIMISER,
    MACHINE,
];

const PPO: &[Group] = &[
    Group {
        title: "config-group-main",
        fields: &[
            POLICY_LEARNING_RATE,
            field("episodes", Whole, "config-episodes", "config-episodes-help"),
            field(
                "batch_size",
                Whole,
                "config-batch-size-prompts",
                "config-batch-size-prompts-help",
            ),
            field(
                "response_length",
                Whole,
                "config-response-length",
                "config-response-length-help",
            ),
            TEMPERATURE,
            field("kl_coef", Number, "config-kl-coef", "config-kl-coef-help"),
            field(
                "missing_eos_penalty",
                Number,
                "config-missing-eos-penalty",
                "config-missing-eos-penalty-help",
            ),
        ],
    },
    Group {
        title: "config-group-course",
        fields: &[
            EPOCHS,
            field("max_steps", Whole, "config-max-steps", "config-max-steps-ppo-help"),
            field("max_length", Whole, "config-max-length", "config-max-length-prompts-help"),
        ],
    },
    Group {
        title: "config-group-ppo",
        fields: &[
            field("ppo_epochs", Whole, "config-ppo-epochs", "config-ppo-epochs-help"),
            field("minibatches", Whole, "config-minibatches", "config-minibatches-help"),
            field(
                "kl_estimator",
                Choice(KL_ESTIMATORS),
                "config-kl-estimator",
                "config-kl-estimator-help",
            ),
            field("cliprange", Number, "config-cliprange", "config-cliprange-help"),
            field(
                "cliprange_value",
                Number,
                "config-cliprange-value",
                "config-cliprange-value-help",
            ),
            field("vf_coef", Number, "config-vf-coef", "config-vf-coef-help"),
            field("gamma", Number, "config-gamma", "config-gamma-help"),
            field("lam", Number, "config-lam", "config-lam-help"),
            field("whiten_rewards", Switch, "config-whiten-rewards", "config-whiten-rewards-help"),
        ],
    },
    OPTIMISER,
    MACHINE,
];

const SAMPLE: &[Group] = &[
    Group {
        title: "config-group-main",
        fields: &[
            field("n", Whole, "config-n", "config-n-help"),
            field("max_new_tokens", Whole, "config-max-new-tokens", "config-max-new-tokens-help"),
            field("temperature", Number, "config-temperature", "config-temperature-sample-help"),
            field("top_p", Number, "config-top-p", "config-top-p-help"),
        ],
    },
    Group {
        title: "config-group-machine",
        fields: &[
            field(
                "batch_size",
                Whole,
                "config-batch-size-decoded",
                "config-batch-size-decoded-help",
            ),
            field("max_length", Whole, "config-max-length", "config-max-length-sample-help"),
            field(
                "skip_long_prompts",
                Switch,
                "config-skip-long-prompts",
                "config-skip-long-prompts-help",
            ),
            field("seed", Whole, "config-seed", "config-seed-sample-help"),
            DTYPE,
            DEVICE,
        ],
    },
];

/// The form of these two is a page of its own: `handlers/models/new.rs`.
const FETCH: &[Group] = &[Group {
    title: "config-group-main",
    fields: &[
        field("source", Text, "config-source", "config-source-help"),
        field("revision", Text, "config-revision", "config-revision-help"),
    ],
}];

/// The form of a kind of run.
pub fn groups(kind: RunKind) -> &'static [Group] {
    match kind {
        RunKind::Sample => SAMPLE,
        RunKind::Sft => SFT,
        RunKind::Reward => REWARD,
        RunKind::Dpo => DPO,
        RunKind::Ppo => PPO,
        RunKind::Fetch => FETCH,
    }
}

/// Every field of the form of a kind of run.
pub fn all(kind: RunKind) -> impl Iterator<Item = &'static Field> {
    groups(kind).iter().flat_map(|group| group.fields)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::training::settings;
    use std::collections::BTreeSet;

    #[test]
    fn a_form_asks_for_exactly_the_settings_of_its_kind() {
        for kind in RunKind::OF_MODELS.into_iter().chain([RunKind::Fetch]) {
            let defaults = settings::defaults(kind);
            let known: BTreeSet<_> = defaults.keys().map(String::as_str).collect();
            let asked: Vec<_> = all(kind).map(|field| field.name).collect();
            assert_eq!(asked.len(), known.len(), "{kind:?} asks twice");
            assert_eq!(asked.into_iter().collect::<BTreeSet<_>>(), known, "{kind:?}");
        }
    }

    #[test]
    fn every_choice_that_is_offered_is_accepted() {
        for kind in RunKind::OF_MODELS {
            for field in all(kind) {
                for (value, _) in field.control.choices() {
                    assert_eq!(settings::checked_one(kind, field, value), Ok(()), "{}", field.name);
                }
            }
        }
    }
}
