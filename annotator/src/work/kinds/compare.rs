//! The page on which somebody chooses between two answers. It is blind: sides are A and B, in the
//! order of the assignment's seed, and nothing else about an answer reaches the page.

use crate::work::task_view::{Held, View};
use crate::{
    data::texts,
    web::{access::Access, error::AppError, i18n::Language, markdown, page::Page},
    work::{
        judgement,
        shown_answers::{in_order, shown_order},
    },
};
use askama::Template;
use entity::{completion, report::FinishReason, task_completion};
use sea_orm::{ColumnTrait, DatabaseConnection, EntityTrait, PaginatorTrait, QueryFilter};

#[derive(Template)]
#[template(path = "tasks/compare.html")]
pub struct ComparePage {
    pub page: Page,
    pub access: Access,
    pub view: View,
    pub sides: Vec<Side>,
}

/// An answer as it is shown.
pub struct Side {
    label: char,
    html: String,
    /// It reached the most tokens that an answer might have.
    is_cut_off: bool,
}

/// A button of the scale: value in the form, keycap, Fluent key.
pub struct Choice {
    pub value: &'static str,
    pub keycap: &'static str,
    pub text_key: &'static str,
}

const SCALE: [Choice; 7] = [
    Choice { value: "1", keycap: "1", text_key: "compare-a-much" },
    Choice { value: "2", keycap: "2", text_key: "compare-a-better" },
    Choice { value: "3", keycap: "3", text_key: "compare-a-slightly" },
    Choice { value: "0", keycap: "4", text_key: "compare-tie" },
    Choice { value: "5", keycap: "5", text_key: "compare-b-slightly" },
    Choice { value: "6", keycap: "6", text_key: "compare-b-better" },
    Choice { value: "7", keycap: "7", text_key: "compare-b-much" },
];

/// The answers in the order of the assignment's seed.
pub async fn sides(
    held: &Held,
    language: Language,
    db: &DatabaseConnection,
) -> Result<Vec<Side>, AppError> {
    let of_task = task_completion::Entity::find()
        .filter(task_completion::Column::TaskId.eq(held.task.id))
        .count(db)
        .await?;
    let order = shown_order(held.assignment.order_seed, of_task as usize);
    let answers = in_order(db, held.task.id, &order).await?;
    let bodies = texts::load_all(db, answers.iter().map(|row| row.text_hash.clone())).await?;
    let removed = language.text("text-removed").to_string();
    let html =
        |row: &completion::Model| markdown::to_html(bodies.get(&row.text_hash).unwrap_or(&removed));
    let is_cut_off = |row: &completion::Model| row.finish_reason == Some(FinishReason::Length);
    let side = |(label, row)| Side { label, html: html(row), is_cut_off: is_cut_off(row) };
    Ok(('A'..).zip(&answers).map(side).collect())
}

impl ComparePage {
    fn scale(&self) -> &'static [Choice] {
        &SCALE
    }

    /// 4 and 0 both mean a tie.
    fn is_chosen(&self, value: &str) -> bool {
        judgement::verdict(value)
            .is_some_and(|verdict| judgement::verdict(&self.view.form.choice) == Some(verdict))
    }
}
