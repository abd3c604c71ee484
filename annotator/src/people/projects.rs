//! Projects: making, finding and changing them.

use crate::{
    people::{
        audit::{self, AuditAction, AuditSubject},
        members,
    },
    web::{
        error::AppError,
        form::{FieldErrors, FormError},
        message::Message,
        typed::{MAX_NAME, MAX_NOTE, one_line},
    },
};
use entity::{
    account,
    hash::sha256_hex,
    ids::{AccountId, ProjectId},
    membership::{self, ProjectRole},
    project,
    time::UnixMillis,
};
use sea_orm::{
    ActiveModelTrait,
    ActiveValue::Set,
    ColumnTrait, ConnectionTrait, DatabaseConnection, DbErr, EntityTrait, IntoActiveModel,
    QueryFilter, QueryOrder, QuerySelect, Select,
    sea_query::{LockType, Query, SelectStatement},
};
use serde::Deserialize;
use serde_json::json;
use std::ops::RangeInclusive;
use storage::{database::write, storable::stored_forms};

/// What a good answer is, to begin with; a manager rewrites it.
pub const FIRST_GUIDELINES: &str = include_str!("../../demo/guidelines.md");

/// How many people may be asked to judge one comparison.
const OVERLAPS: RangeInclusive<i32> = 1..=100;

/// A new project; a name that is taken is the database's unique error, unless by a deleted project,
/// which makes way.
pub async fn create(
    db: &impl ConnectionTrait,
    name: &str,
    guidelines: &str,
) -> Result<project::Model, DbErr> {
    if let Some(deleted) =
        named(name).filter(project::Column::DeletedAt.is_not_null()).one(db).await?
    {
        rename_deleted(db, deleted).await?;
    }
    let row = project::ActiveModel {
        id: Set(ProjectId::new()),
        name: Set(one_line(name)),
        guidelines: Set(guidelines.to_owned()),
        comparison_overlap: Set(1),
        created_at: Set(UnixMillis::now()),
        ..Default::default()
    };
    row.insert(db).await
}

pub async fn find_by_name(
    db: &impl ConnectionTrait,
    name: &str,
) -> Result<Option<project::Model>, DbErr> {
    named(name).filter(project::Column::DeletedAt.is_null()).one(db).await
}

fn named(name: &str) -> Select<project::Entity> {
    // Some were stored as they were typed.
    project::Entity::find().filter(project::Column::Name.is_in(stored_forms(&one_line(name))))
}

async fn rename_deleted(db: &impl ConnectionTrait, deleted: project::Model) -> Result<(), DbErr> {
    let name = format!("{}-{}", deleted.name, deleted.id.short());
    let mut row = deleted.into_active_model();
    row.name = Set(name);
    row.update(db).await.map(drop)
}

/// The ids of the deleted projects, for a query to leave them out.
pub fn deleted() -> SelectStatement {
    Query::select()
        .column(project::Column::Id)
        .from(project::Entity)
        .and_where(project::Column::DeletedAt.is_not_null())
        .to_owned()
}

/// The projects that a person sees: all for an administrator, else those with a role in them.
pub async fn visible_to(
    db: &impl ConnectionTrait,
    account: &account::Model,
) -> Result<Vec<project::Model>, DbErr> {
    let mut query = project::Entity::find()
        .filter(project::Column::DeletedAt.is_null())
        .order_by_asc(project::Column::Name);
    if !account.is_admin {
        let mine = Query::select()
            .column(membership::Column::ProjectId)
            .from(membership::Entity)
            .and_where(membership::Column::AccountId.eq(account.id))
            .to_owned();
        query = query.filter(project::Column::Id.in_subquery(mine));
    }
    query.all(db).await
}

/// What somebody who makes a project may do in it: everything.
const FOUNDERS_ROLES: [ProjectRole; 3] =
    [ProjectRole::Manager, ProjectRole::Engineer, ProjectRole::Annotator];

/// Makes a project, as typed; whoever makes it may do everything in it.
pub async fn found(
    db: &DatabaseConnection,
    by: AccountId,
    name: &str,
    guidelines: &str,
) -> Result<project::Model, FormError> {
    let mut errors = FieldErrors::default();
    let name = &errors.line("name", name, MAX_NAME);
    if name.is_empty() {
        errors.add("name", "project-name-missing");
    }
    errors.within("guidelines", guidelines, MAX_NOTE);
    errors.or_invalid()?;
    write(db, |turn| async move {
        if find_by_name(&*turn, name).await?.is_some() {
            return Err(FieldErrors::one("name", "project-name-taken").into());
        }
        let project = create(&*turn, name, guidelines).await;
        let project = project.map_err(FormError::if_taken("name", "project-name-taken"))?;
        for role in FOUNDERS_ROLES {
            members::give_role(&*turn, by, project.id, role).await?;
        }
        let (subject, details) = (AuditSubject::project(project.id), json!({"name": project.name}));
        audit::record(&*turn, by, AuditAction::ProjectCreate, subject, details).await?;
        Ok(project)
    })
    .await
}

/// What a manager may change of a project, as typed.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct ProjectChange {
    #[serde(default)]
    pub guidelines: String,
    /// How many people judge each new comparison.
    #[serde(default)]
    pub overlap: String,
    /// What its page has seen stored: a [`settings_hash`]. Whoever says nothing has seen nothing.
    #[serde(default)]
    pub seen: String,
}

impl ProjectChange {
    /// What is stored, as a form holds it.
    pub fn of(project: &project::Model) -> Self {
        Self {
            guidelines: project.guidelines.clone(),
            overlap: project.comparison_overlap.to_string(),
            seen: settings_hash(project),
        }
    }

    /// The number of people, if nothing is wrong with any field.
    fn checked(&self) -> Result<i32, FieldErrors> {
        let mut errors = FieldErrors::default();
        errors.within("guidelines", &self.guidelines, MAX_NOTE);
        let overlap = self.overlap.trim().parse().ok().filter(|n| OVERLAPS.contains(n));
        if overlap.is_none() {
            errors.add("overlap", "overlap-out-of-range");
        }
        overlap.filter(|_| errors.is_empty()).ok_or(errors)
    }

    /// Whether it is what is stored, however a browser ends lines.
    fn says_what_is_stored(&self, overlap: i32, stored: &project::Model) -> bool {
        let text = |text: &str| text.replace("\r\n", "\n");
        overlap == stored.comparison_overlap && text(&self.guidelines) == text(&stored.guidelines)
    }
}

/// Tells one state of what can be changed of a project from another.
fn settings_hash(project: &project::Model) -> String {
    sha256_hex(format!("{} {}", project.comparison_overlap, project.guidelines))
}

/// What came of a change.
#[derive(Debug)]
pub enum ChangeOutcome {
    /// It is stored, as it was already or just now.
    Stored,
    /// Something else is stored that its page has not seen: nothing is changed.
    Overtaken(Box<project::Model>),
}

/// Sets a project's guidelines, and how many people judge each new comparison: for whoever has seen
/// what is stored now.
pub async fn change(
    db: &DatabaseConnection,
    by: AccountId,
    project: ProjectId,
    typed: &ProjectChange,
) -> Result<ChangeOutcome, FormError> {
    let overlap = typed.checked()?;
    write(db, |turn| async move {
        // Locked, so that the line in the audit log says what this change replaces.
        let stored = project::Entity::find_by_id(project)
            .filter(project::Column::DeletedAt.is_null())
            .lock(LockType::NoKeyUpdate)
            .one(&*turn)
            .await?;
        let stored = stored.ok_or(AppError::NotFound)?;
        if typed.says_what_is_stored(overlap, &stored) {
            return Ok(ChangeOutcome::Stored);
        }
        if typed.seen != settings_hash(&stored) {
            return Ok(ChangeOutcome::Overtaken(Box::new(stored)));
        }
        let before = json!({"guidelines": stored.guidelines, "overlap": stored.comparison_overlap});
        let mut row = stored.into_active_model();
        row.guidelines = Set(typed.guidelines.clone());
        row.comparison_overlap = Set(overlap);
        row.update(&*turn).await?;
        let subject = AuditSubject::project(project);
        audit::record(&*turn, by, AuditAction::ProjectChange, subject, before).await?;
        Ok(ChangeOutcome::Stored)
    })
    .await
}

/// The name that somebody means at a shell, as it is stored.
pub fn checked_name(name: &str) -> Result<String, Message> {
    let mut errors = FieldErrors::default();
    let name = errors.line("name", name, MAX_NAME);
    if name.is_empty() {
        errors.add("name", "project-name-missing");
    }
    match errors.of("name") {
        Some(mistake) => Err(mistake.clone()),
        None => Ok(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_overlap_is_a_number_of_people() {
        let checked = |overlap: &str| {
            ProjectChange { overlap: overlap.to_owned(), ..ProjectChange::default() }.checked()
        };
        assert_eq!(checked(" 3 "), Ok(3));
        for wrong in ["", "0", "101", "-1", "2.5", "many", "99999999999999999999"] {
            assert_eq!(checked(wrong), Err(FieldErrors::one("overlap", "overlap-out-of-range")));
        }
    }
}
