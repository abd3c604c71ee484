//! From judgements to rows: which revision counts, and what "left is better" said of the answers.

use crate::data::dataset::LeftOut;
use entity::{
    completion,
    conversation::{ChatMessage, PromptBody},
    ids::{JudgementId, ProjectId, PromptId, TaskId},
    judgement::{self, ComparisonVerdict, JudgementPayload, ShownOrder},
    prompt, task, task_completion,
};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, FromQueryResult, JoinType, QueryFilter,
    QueryOrder, QuerySelect,
    sea_query::{Alias, Expr, ExprTrait, Query},
};
use serde_json::{Value, json};
use std::collections::HashMap;

/// A judgement with the prompt that it is about.
#[derive(Clone, Debug, FromQueryResult)]
pub(super) struct Judged {
    pub(super) id: JudgementId,
    pub(super) task_id: TaskId,
    payload: JudgementPayload,
    shown_order: ShownOrder,
    pub(super) prompt_id: PromptId,
    pub(super) prompt_hash: String,
}

/// The latest revision of every assignment (an imported judgement has none and stands for itself),
/// sorted by the prompt's hash and the judgement's id. Nothing of withdrawn prompts.
pub(super) async fn latest_judgements(
    db: &impl ConnectionTrait,
    project: ProjectId,
    kind: task::TaskKind,
) -> Result<Vec<Judged>, DbErr> {
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
        .select_only()
        .columns([judgement::Column::Id, judgement::Column::TaskId])
        .columns([judgement::Column::Payload, judgement::Column::ShownOrder])
        .column_as(prompt::Column::Id, "prompt_id")
        .column_as(prompt::Column::TextHash, "prompt_hash")
        .join(JoinType::InnerJoin, task_of)
        .join(JoinType::InnerJoin, prompt_of)
        .filter(task::Column::ProjectId.eq(project))
        .filter(task::Column::Kind.eq(kind))
        .filter(prompt::Column::WithdrawnAt.is_null())
        .filter(Expr::exists(newer_revision).not())
        .order_by_asc(prompt::Column::TextHash)
        .order_by_asc(judgement::Column::Id)
        .into_model::<Judged>()
        .all(db)
        .await
}

/// What a judgement says, in hashes of texts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Row {
    Demonstration { completion: String },
    Preference { chosen: String, rejected: String },
}

impl Row {
    pub(super) fn hashes(&self) -> impl Iterator<Item = &str> {
        let (first, second) = match self {
            Self::Demonstration { completion } => (completion, None),
            Self::Preference { chosen, rejected } => (chosen, Some(rejected)),
        };
        std::iter::once(first).chain(second).map(String::as_str)
    }

    /// The row in TRL's format: an answer to messages is a message, an answer to text is text.
    pub(super) fn json(
        &self,
        judged: &Judged,
        texts: &HashMap<String, String>,
    ) -> Result<Value, LeftOut> {
        let text = |hash: &str| texts.get(hash).cloned().ok_or(LeftOut::Redacted);
        let prompt_text = text(&judged.prompt_hash)?;
        let prompt: PromptBody =
            serde_json::from_str(&prompt_text).unwrap_or(PromptBody::Text(prompt_text));
        let answer = |hash: &str| {
            let answer = text(hash)?;
            Ok(match prompt {
                PromptBody::Text(_) => Value::String(answer),
                PromptBody::Messages(_) => json!([ChatMessage::assistant(answer)]),
            })
        };
        Ok(match self {
            Self::Demonstration { completion } => {
                json!({ "prompt": prompt, "completion": answer(completion)? })
            }
            Self::Preference { chosen, rejected } => {
                json!({ "prompt": prompt, "chosen": answer(chosen)?, "rejected": answer(rejected)? })
            }
        })
    }

    pub(super) fn ids(&self, judged: &Judged) -> Value {
        let mut ids = json!({
            "judgement": judged.id, "prompt": judged.prompt_id, "prompt_hash": judged.prompt_hash
        });
        match self {
            Self::Demonstration { completion } => ids["completion_hash"] = json!(completion),
            Self::Preference { chosen, rejected } => {
                ids["chosen_hash"] = json!(chosen);
                ids["rejected_hash"] = json!(rejected);
            }
        }
        ids
    }
}

/// Turns "left" and "right" back into answers, through the order in which they were shown.
/// `answers` gives a task's text hashes by position.
pub(super) fn meaning(
    judged: &Judged,
    answers: &HashMap<TaskId, HashMap<i32, String>>,
) -> Result<Row, LeftOut> {
    let (left_wins, verdict) = match &judged.payload {
        JudgementPayload::Demonstration { text_hash } => {
            return Ok(Row::Demonstration { completion: text_hash.clone() });
        }
        JudgementPayload::Skip { .. } => return Err(LeftOut::Skipped),
        JudgementPayload::Comparison { verdict, .. } => {
            (matches!(verdict, ComparisonVerdict::Left(_)), *verdict)
        }
    };
    match verdict {
        ComparisonVerdict::Tie => return Err(LeftOut::Tie),
        ComparisonVerdict::BothBad => return Err(LeftOut::BothBad),
        ComparisonVerdict::Left(_) | ComparisonVerdict::Right(_) => {}
    }
    let shown = |side: usize| {
        let position = judged.shown_order.0.get(side)?;
        answers.get(&judged.task_id)?.get(position).cloned()
    };
    let (Some(left), Some(right)) = (shown(0), shown(1)) else { return Err(LeftOut::Redacted) };
    let (chosen, rejected) = if left_wins { (left, right) } else { (right, left) };
    Ok(Row::Preference { chosen, rejected })
}

/// The answers of tasks: text hash by position.
pub(super) async fn answers_of(
    db: &impl ConnectionTrait,
    tasks: impl Iterator<Item = TaskId>,
) -> Result<HashMap<TaskId, HashMap<i32, String>>, DbErr> {
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
    let mut answers: HashMap<TaskId, HashMap<i32, String>> = HashMap::new();
    for (task, position, hash) in rows {
        answers.entry(task).or_default().insert(position, hash);
    }
    Ok(answers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(verdict: ComparisonVerdict, shown_order: [i32; 2]) -> Judged {
        Judged {
            id: JudgementId::new(),
            task_id: TaskId::new(),
            payload: JudgementPayload::Comparison { verdict, rationale_hash: None },
            shown_order: ShownOrder(shown_order.to_vec()),
            prompt_id: PromptId::new(),
            prompt_hash: "p".into(),
        }
    }

    fn said(verdict: ComparisonVerdict, shown_order: [i32; 2]) -> Result<Row, LeftOut> {
        let judged = judged(verdict, shown_order);
        let answers = HashMap::from([(0, "first".to_owned()), (1, "second".to_owned())]);
        meaning(&judged, &HashMap::from([(judged.task_id, answers)]))
    }

    fn preference(chosen: &str, rejected: &str) -> Result<Row, LeftOut> {
        Ok(Row::Preference { chosen: chosen.into(), rejected: rejected.into() })
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
    fn an_answer_to_messages_is_a_message_and_an_answer_to_text_is_text() {
        let judged = judged(ComparisonVerdict::Left(1), [0, 1]);
        let row = Row::Preference { chosen: "c".into(), rejected: "r".into() };
        let texts = |prompt: &str| {
            [("p", prompt), ("c", "yes"), ("r", "no")]
                .map(|(hash, text)| (hash.to_owned(), text.to_owned()))
                .into()
        };
        assert_eq!(
            row.json(&judged, &texts(r#""Why?""#)),
            Ok(json!({"prompt": "Why?", "chosen": "yes", "rejected": "no"}))
        );
        assert_eq!(
            row.json(&judged, &texts(r#"[{"role":"user","content":"Why?"}]"#)),
            Ok(json!({
                "prompt": [{"role": "user", "content": "Why?"}],
                "chosen": [{"role": "assistant", "content": "yes"}],
                "rejected": [{"role": "assistant", "content": "no"}]
            }))
        );
    }

    #[test]
    fn a_row_whose_text_was_redacted_is_left_out() {
        let judged = judged(ComparisonVerdict::Left(1), [0, 1]);
        let row = Row::Demonstration { completion: "gone".into() };
        let texts = HashMap::from([("p".to_owned(), "\"Why?\"".to_owned())]);
        assert_eq!(row.json(&judged, &texts), Err(LeftOut::Redacted));
    }
}
