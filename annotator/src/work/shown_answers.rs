//! The answers that a task is about, in the order in which a person sees them.

use crate::{
    data::texts,
    web::{
        i18n::Language,
        shown_text::{self, ShownText},
    },
};
use entity::{completion, ids::TaskId, report::FinishReason, task_completion};
use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, EntityTrait, PaginatorTrait, QueryFilter};

/// An answer as it is shown. Who wrote it is not part of that.
pub struct ShownAnswer {
    /// A, B, … from left to right.
    pub label: char,
    pub text: ShownText,
    /// It reached the most tokens that an answer might have.
    pub is_cut_off: bool,
}

/// The answers of a task in the order of an assignment's seed.
pub async fn of_task(
    db: &impl ConnectionTrait,
    language: Language,
    task: TaskId,
    order_seed: i64,
) -> Result<Vec<ShownAnswer>, DbErr> {
    let answers = in_order(db, task, &order_of(db, task, order_seed).await?).await?;
    let texts = texts_of(db, language, &answers).await?;
    let shown = |(label, (row, text)): (char, (&completion::Model, ShownText))| ShownAnswer {
        label,
        text,
        is_cut_off: row.finish_reason == Some(FinishReason::Length),
    };
    Ok(('A'..).zip(answers.iter().zip(texts)).map(shown).collect())
}

/// The texts of answers that are compared, all shown by the same rules.
pub async fn texts_of(
    db: &impl ConnectionTrait,
    language: Language,
    answers: &[completion::Model],
) -> Result<Vec<ShownText>, DbErr> {
    let bodies = texts::load_all(db, answers.iter().map(|row| row.text_hash.clone())).await?;
    let removed = language.text("text-removed").to_string();
    let text = |row: &completion::Model| bodies.get(&row.text_hash).unwrap_or(&removed).clone();
    Ok(shown_text::markdown_alike(answers.iter().map(text).collect()).await)
}

/// The order in which an assignment's seed shows the answers of its task.
pub async fn order_of(
    db: &impl ConnectionTrait,
    task: TaskId,
    order_seed: i64,
) -> Result<Vec<i32>, DbErr> {
    let answers = task_completion::Entity::find().filter(task_completion::Column::TaskId.eq(task));
    Ok(shown_order(order_seed, answers.count(db).await? as usize))
}

/// The order in which `n` answers are shown, decided by the assignment's seed alone: the seed picks
/// one of the n! permutations (its Lehmer code), so a reload shows the same one.
fn shown_order(order_seed: i64, n: usize) -> Vec<i32> {
    let mut rest = order_seed.cast_unsigned();
    let mut order: Vec<i32> = (0..n as i32).collect();
    for last in (1..n).rev() {
        let n_choices = last as u64 + 1;
        order.swap(last, (rest % n_choices) as usize);
        rest /= n_choices;
    }
    order
}

/// The answers of a task in an order of their positions.
pub async fn in_order(
    db: &impl ConnectionTrait,
    task: TaskId,
    order: &[i32],
) -> Result<Vec<completion::Model>, DbErr> {
    let places = task_completion::Entity::find()
        .filter(task_completion::Column::TaskId.eq(task))
        .all(db)
        .await?;
    let ids = places.iter().map(|place| place.completion_id);
    let rows = completion::Entity::find().filter(completion::Column::Id.is_in(ids)).all(db).await?;
    let at = |position: &i32| {
        let place = places.iter().find(|place| place.position == *position)?;
        rows.iter().find(|row| row.id == place.completion_id).cloned()
    };
    Ok(order.iter().filter_map(at).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_shown_order_depends_on_the_seed_alone() {
        assert_eq!(shown_order(12345, 4), shown_order(12345, 4));
        assert_eq!(shown_order(0, 2), [1, 0]);
        assert_eq!(shown_order(1, 2), [0, 1]);
        assert_eq!(shown_order(-1, 1), [0]);
    }

    #[test]
    fn every_order_is_reached_equally_often() {
        let orders: Vec<Vec<i32>> = (0..600).map(|seed| shown_order(seed, 3)).collect();
        let distinct: BTreeSet<_> = orders.iter().collect();
        assert_eq!(distinct.len(), 6);
        for order in distinct {
            assert_eq!(orders.iter().filter(|other| *other == order).count(), 100);
        }
    }
}
