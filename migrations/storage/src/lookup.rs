//! Rows by many values: a statement takes tens of thousands of values at the most (SQLite 32,766,
//! PostgreSQL 65,535), and what grows with the data may be more. Asked for in portions, there is no
//! end to it.

use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, Select, Value};
use std::collections::BTreeSet;

/// How many values one statement asks for.
pub const AT_ONCE: usize = 500;

/// The rows of a query whose column has one of these values; in the query's order no further than
/// [`AT_ONCE`] values go.
pub async fn find_among<E, V>(
    db: &impl ConnectionTrait,
    query: Select<E>,
    column: E::Column,
    values: impl IntoIterator<Item = V>,
) -> Result<Vec<E::Model>, DbErr>
where
    E: EntityTrait,
    V: Into<Value> + Ord,
{
    let mut found = Vec::new();
    for portion in portions(values) {
        found.extend(query.clone().filter(column.is_in(portion)).all(db).await?);
    }
    Ok(found)
}

/// Values in portions that a statement takes, each value once.
pub fn portions<V: Ord>(values: impl IntoIterator<Item = V>) -> impl Iterator<Item = Vec<V>> {
    let mut values = values.into_iter().collect::<BTreeSet<V>>().into_iter();
    std::iter::from_fn(move || {
        let portion: Vec<V> = values.by_ref().take(AT_ONCE).collect();
        (!portion.is_empty()).then_some(portion)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_is_asked_for_once_and_no_statement_for_too_many() {
        let asked: Vec<Vec<usize>> = portions((0..1200).chain(0..1200)).collect();
        assert_eq!(asked.iter().map(Vec::len).collect::<Vec<_>>(), [500, 500, 200]);
        assert_eq!(asked.concat(), (0..1200).collect::<Vec<_>>());
        assert_eq!(portions(Vec::<usize>::new()).count(), 0);
    }
}
