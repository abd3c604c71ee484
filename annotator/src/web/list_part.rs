//! A part of a long list, the newest first: it goes on after the last row that was shown, so that the
//! thousandth part costs what the first does.

use crate::web::error::AppError;
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Select, Value,
};
use serde::Deserialize;
use std::{fmt::Display, str::FromStr};

/// `?after=`, an older row than which comes first, or `?before=`, a newer one than which comes last.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct ListPosition {
    #[serde(default)]
    pub after: String,
    #[serde(default)]
    pub before: String,
}

/// The rows of a part, and where its neighbours are.
pub struct ListPart<M> {
    pub rows: Vec<M>,
    /// Queries for an address; none at either end.
    pub newer: Option<String>,
    pub older: Option<String>,
}

impl<M> ListPart<M> {
    /// `n` rows of a list by their ids, which sort by the time they were made.
    pub async fn load<E, I>(
        db: &impl ConnectionTrait,
        list: Select<E>,
        (column, id): (E::Column, fn(&M) -> I),
        position: &ListPosition,
        n: usize,
    ) -> Result<Self, AppError>
    where
        E: EntityTrait<Model = M>,
        M: sea_orm::FromQueryResult + Send + Sync,
        I: FromStr + Display + Into<Value>,
    {
        let parsed = |typed: &str| typed.parse::<I>().map_err(|_| AppError::NotFound);
        let backwards = position.after.is_empty() && !position.before.is_empty();
        let ordered = if backwards {
            list.filter(column.gt(parsed(&position.before)?)).order_by_asc(column)
        } else if position.after.is_empty() {
            list.order_by_desc(column)
        } else {
            list.filter(column.lt(parsed(&position.after)?)).order_by_desc(column)
        };
        // One more tells whether there are others.
        let mut rows = ordered.limit(n as u64 + 1).all(db).await?;
        let goes_on = rows.len() > n;
        rows.truncate(n);
        let came_from = backwards || !position.after.is_empty();
        let (mut has_newer, mut has_older) = (came_from, goes_on);
        if backwards {
            rows.reverse();
            (has_newer, has_older) = (goes_on, came_from);
        }
        let newer = rows.first().filter(|_| has_newer).map(|row| format!("before={}", id(row)));
        let older = rows.last().filter(|_| has_older).map(|row| format!("after={}", id(row)));
        Ok(Self { rows, newer, older })
    }
}
