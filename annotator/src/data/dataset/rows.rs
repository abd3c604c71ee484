//! From judgements to rows: which revision counts, and which answers its row holds.

use crate::{
    data::{formats::DataFormat, prompts},
    work::kinds::{self, LeftOut},
};
use entity::{
    completion,
    ids::{AssignmentId, JudgementId, ProjectId, PromptId, TaskId},
    judgement::{self, JudgementPayload, ShownOrder},
    prompt,
    task::{self, TaskKind},
    task_completion,
};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, FromQueryResult, JoinType, QueryFilter,
    QueryOrder, QuerySelect, Select,
    sea_query::{Alias, Expr, ExprTrait, Query},
};
use serde_json::{Value, json};
use std::collections::HashMap;

/// A judgement with the prompt that it is about.
#[derive(Clone, Debug, FromQueryResult)]
pub(super) struct Judged {
    pub(super) id: JudgementId,
    pub(super) task_id: TaskId,
    /// None when imported: then nobody was asked how much better an answer is.
    assignment_id: Option<AssignmentId>,
    payload: JudgementPayload,
    shown_order: ShownOrder,
    pub(super) prompt_id: PromptId,
    pub(super) prompt_hash: String,
}

/// [`judged`] sorted by the prompt's hash and the judgement's id; so many of them, or all.
pub(super) async fn latest_judgements(
    db: &impl ConnectionTrait,
    project: ProjectId,
    kinds: Vec<TaskKind>,
    most: Option<u64>,
) -> Result<Vec<Judged>, DbErr> {
    judged(project, kinds)
        .select_only()
        .columns([judgement::Column::Id, judgement::Column::TaskId])
        .column(judgement::Column::AssignmentId)
        .columns([judgement::Column::Payload, judgement::Column::ShownOrder])
        .column_as(prompt::Column::Id, "prompt_id")
        .column_as(prompt::Column::TextHash, "prompt_hash")
        .order_by_asc(prompt::Column::TextHash)
        .order_by_asc(judgement::Column::Id)
        .limit(most)
        .into_model::<Judged>()
        .all(db)
        .await
}

/// The latest revision of every assignment (an imported judgement has none and stands for itself).
/// Nothing of withdrawn prompts.
pub(super) fn judged(project: ProjectId, kinds: Vec<TaskKind>) -> Select<judgement::Entity> {
    let newer = Alias::new("newer");
    let newer_revision = Query::select()
        .expr(Expr::val(1))
        .from_as(judgement::Entity, newer.clone())
        .and_where(
            Expr::col((newer.clone(), judgement::Column::AssignmentId))
                .equals((judgement::Entity, judgement::Column::AssignmentId)),
        )
        .and_where(
            Expr::col((newer, judgement::Column::Revision))
                .gt(Expr::col((judgement::Entity, judgement::Column::Revision))),
        )
        .to_owned();
    let task_of = judgement::Entity::belongs_to(task::Entity)
        .from(judgement::Column::TaskId)
        .to(task::Column::Id)
        .into();
    let prompt_of = task::Entity::belongs_to(prompt::Entity)
        .from(task::Column::PromptId)
        .to(prompt::Column::Id)
        .into();
    judgement::Entity::find()
        .join(JoinType::InnerJoin, task_of)
        .join(JoinType::InnerJoin, prompt_of)
        .filter(task::Column::ProjectId.eq(project))
        .filter(task::Column::Kind.is_in(kinds))
        .filter(prompt::Column::WithdrawnAt.is_null())
        .filter(Expr::exists(newer_revision).not())
}

/// The answers of tasks: text hash by position.
pub(super) type TaskAnswers = HashMap<TaskId, HashMap<i32, String>>;

impl Judged {
    /// The hashes of the answers of its row, through the order in which answers were shown.
    pub(super) fn answers(&self, of_tasks: &TaskAnswers) -> Result<Vec<String>, LeftOut> {
        let of_task = of_tasks.get(&self.task_id);
        let places = self.shown_order.0.iter();
        let shown: Vec<_> = places.map(|place| of_task?.get(place).map(String::as_str)).collect();
        kinds::stored_answer(&self.payload).row(&shown)
    }

    /// By how much the scores of the answers are to part, if a person was asked.
    pub(super) fn margin(&self) -> Option<f64> {
        self.assignment_id.and(kinds::stored_answer(&self.payload).margin())
    }

    /// The row of these answers in a format, and where it came from.
    pub(super) fn row(
        &self,
        format: &dyn DataFormat,
        hashes: &[String],
        texts: &HashMap<String, String>,
    ) -> Result<(Value, Value), LeftOut> {
        let text = |hash: &String| texts.get(hash).cloned().ok_or(LeftOut::Redacted);
        let prompt = prompts::parse(&text(&self.prompt_hash)?);
        let row = format.write(&prompt, hashes.iter().map(text).collect::<Result<_, _>>()?);
        let mut ids = json!({
            "judgement": self.id, "prompt": self.prompt_id, "prompt_hash": self.prompt_hash
        });
        for (field, hash) in format.answers().iter().zip(hashes) {
            ids[format!("{field}_hash")] = json!(hash);
        }
        Ok((row, ids))
    }
}

/// What the tasks are about.
pub(super) async fn answers_of(
    db: &impl ConnectionTrait,
    tasks: impl Iterator<Item = TaskId>,
) -> Result<TaskAnswers, DbErr> {
    let completion_of = task_completion::Entity::belongs_to(completion::Entity)
        .from(task_completion::Column::CompletionId)
        .to(completion::Column::Id)
        .into();
    let rows: Vec<(TaskId, i32, String)> = task_completion::Entity::find()
        .select_only()
        .columns([task_completion::Column::TaskId, task_completion::Column::Position])
        .column(completion::Column::TextHash)
        .join(JoinType::InnerJoin, completion_of)
        .filter(task_completion::Column::TaskId.is_in(tasks))
        .into_tuple()
        .all(db)
        .await?;
    let mut answers = TaskAnswers::new();
    for (task, position, hash) in rows {
        answers.entry(task).or_default().insert(position, hash);
    }
    Ok(answers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::formats;
    use entity::{dataset_version::DatasetKind, judgement::ComparisonVerdict};

    fn judged(verdict: ComparisonVerdict, shown_order: [i32; 2]) -> Judged {
        Judged {
            id: JudgementId::new(),
            task_id: TaskId::new(),
            assignment_id: None,
            payload: JudgementPayload::Comparison { verdict, rationale_hash: None },
            shown_order: ShownOrder(shown_order.to_vec()),
            prompt_id: PromptId::new(),
            prompt_hash: "p".into(),
        }
    }

    fn said(verdict: ComparisonVerdict, shown_order: [i32; 2]) -> Result<Vec<String>, LeftOut> {
        let judged = judged(verdict, shown_order);
        let answers = HashMap::from([(0, "first".to_owned()), (1, "second".to_owned())]);
        judged.answers(&HashMap::from([(judged.task_id, answers)]))
    }

    fn preference(chosen: &str, rejected: &str) -> Result<Vec<String>, LeftOut> {
        Ok(vec![chosen.into(), rejected.into()])
    }

    #[test]
    fn the_left_answer_is_the_one_that_was_shown_on_the_left() {
        assert_eq!(said(ComparisonVerdict::Left(1), [0, 1]), preference("first", "second"));
        assert_eq!(said(ComparisonVerdict::Left(3), [1, 0]), preference("second", "first"));
        assert_eq!(said(ComparisonVerdict::Right(2), [0, 1]), preference("second", "first"));
        assert_eq!(said(ComparisonVerdict::Right(1), [1, 0]), preference("first", "second"));
    }

    #[test]
    fn a_tie_and_two_bad_answers_prefer_nothing() {
        assert_eq!(said(ComparisonVerdict::Tie, [0, 1]), Err(LeftOut::Tie));
        assert_eq!(said(ComparisonVerdict::BothBad, [0, 1]), Err(LeftOut::BothBad));
    }

    #[test]
    fn a_row_whose_text_was_redacted_is_left_out() {
        let judged = judged(ComparisonVerdict::Left(1), [0, 1]);
        let format = formats::of(DatasetKind::Demonstrations);
        let texts = HashMap::from([("p".to_owned(), "\"Why?\"".to_owned())]);
        let row = judged.row(format, &["gone".to_owned()], &texts);
        assert_eq!(row, Err(LeftOut::Redacted));
    }
}
