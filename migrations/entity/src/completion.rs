//! An answer that people compare. Its author is a model (with the run that sampled it), or, for an
//! imported answer, unknown.

use crate::{
    ids::{CompletionId, ModelId, PromptId, RunId},
    report::FinishReason,
    time::UnixMillis,
};
use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "completion")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: CompletionId,
    pub prompt_id: PromptId,
    pub text_hash: String,
    pub model_id: Option<ModelId>,
    pub run_id: Option<RunId>,
    /// Which of the prompt's samples in that run; unique with run and prompt.
    pub sample_index: i32,
    /// None when imported.
    pub finish_reason: Option<FinishReason>,
    pub n_tokens: Option<i32>,
    pub created_at: UnixMillis,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
