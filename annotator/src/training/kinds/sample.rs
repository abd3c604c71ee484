//! Answers from a model, for people to compare.

use super::{COMMON, FollowUp, RowsChoice, RowsField, RunDefinition, model_field};
use crate::{
    data::dataset::{DatasetContents, PromptSelection},
    training::{
        fields::{DEVICE, DTYPE, FieldControl, FieldGroup, field},
        row_lengths::prompt_lengths,
        run_work,
    },
};
use entity::{
    model::ModelKind,
    run_config::{RunKind, SampleConfig},
};

use trainer_base::memory;

pub(super) const SAMPLE: RunDefinition = RunDefinition {
    kind: RunKind::Sample,
    slug: "sample",
    name: "run-kind-sample",
    launch: "run-new-sample",
    lead: "run-lead-sample",
    form_path: "/runs/new/sample",
    models: &[model_field(&[ModelKind::Policy, ModelKind::Sft, ModelKind::Base])],
    rows: Some(RowsField {
        contents: |prompts| {
            DatasetContents::Prompts(match prompts {
                Some("held_out") => PromptSelection::HeldOut,
                Some("all") => PromptSelection::All,
                _ => PromptSelection::Train,
            })
        },
        choice: Some(RowsChoice {
            name: "prompts",
            label: "run-prompts",
            help: "run-prompts-help",
            options: &[
                ("train", "run-prompts-train"),
                ("held_out", "run-prompts-held-out"),
                ("all", "run-prompts-all"),
            ],
        }),
        read: prompt_lengths,
        within_context: false,
    }),
    form: FORM,
    memory: memory::of::<SampleConfig>,
    memory_text: "facts-memory-sample",
    memory_of_rows_text: "facts-memory-sample",
    work: run_work::answers,
    pace: &["device", "dtype", "max_new_tokens"],
    answers_are_output: true,
    follow_up: FollowUp::MakeTasks,
    ..COMMON
};

const FORM: &[FieldGroup] = &[
    FieldGroup {
        title: "config-group-main",
        fields: &[
            field("n", FieldControl::Whole, "config-n", "config-n-help"),
            field(
                "max_new_tokens",
                FieldControl::Whole,
                "config-max-new-tokens",
                "config-max-new-tokens-help",
            ),
            field(
                "temperature",
                FieldControl::Number,
                "config-temperature",
                "config-temperature-sample-help",
            ),
            field("top_k", FieldControl::Whole, "config-top-k", "config-top-k-help"),
            field("top_p", FieldControl::Number, "config-top-p", "config-top-p-help"),
            field("min_p", FieldControl::Number, "config-min-p", "config-min-p-help"),
            field("stop", FieldControl::Text, "config-stop", "config-stop-help"),
        ],
    },
    FieldGroup {
        title: "config-group-machine",
        fields: &[
            field(
                "batch_size",
                FieldControl::Whole,
                "config-batch-size-decoded",
                "config-batch-size-decoded-help",
            ),
            field(
                "max_length",
                FieldControl::Whole,
                "config-max-length",
                "config-max-length-sample-help",
            ),
            field(
                "skip_long_prompts",
                FieldControl::Switch,
                "config-skip-long-prompts",
                "config-skip-long-prompts-help",
            ),
            field("seed", FieldControl::Whole, "config-seed", "config-seed-sample-help"),
            DTYPE,
            DEVICE,
        ],
    },
];
