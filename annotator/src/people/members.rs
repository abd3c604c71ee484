//! Who works on a project, in which roles.

use crate::{
    people::{
        account_changes::{self, NewPerson},
        accounts,
        audit::{self, AuditAction, AuditSubject},
        links::FreshLink,
    },
    web::{
        access::Access,
        error::AppError,
        form::{FieldErrors, FormError},
        typed::MAX_NAME,
    },
};
use entity::{
    account,
    ids::{AccountId, MembershipId, ProjectId},
    membership::{self, ProjectRole},
    time::UnixMillis,
};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, ConnectionTrait, DatabaseConnection, DbErr, EntityTrait, QueryFilter, QueryOrder,
    QuerySelect,
    sea_query::{OnConflict, Query},
};
use serde_json::json;
use storage::database::{WriteError, write};

/// Somebody who is to work on a project, as typed.
#[derive(Clone)]
pub struct NewMember {
    pub login: String,
    /// Of somebody who has no account yet.
    pub name: String,
    pub roles: Vec<ProjectRole>,
}

/// Who has roles now; with the invitation of an account that was just made.
pub struct AddedMember {
    pub display_name: String,
    pub created: Option<FreshLink>,
}

/// Whether somebody may give a role in their project, and take it away: who looks after people does
/// not decide who trains models on their words, so that is for engineers.
pub fn may_give(by: &Access, role: ProjectRole) -> bool {
    match role {
        ProjectRole::Engineer => by.is_engineer(),
        ProjectRole::Annotator | ProjectRole::Reviewer | ProjectRole::Manager => by.is_manager(),
    }
}

/// Gives roles to the person of that login, who gets an account and an invitation if there is none.
pub async fn add(
    db: &DatabaseConnection,
    by: &Access,
    new: NewMember,
) -> Result<AddedMember, FormError> {
    let new = &new;
    write(db, |turn| async move {
        let known = accounts::find_by_login(&*turn, &new.login).await?;
        let mut new = new.clone();
        mistakes(by, &mut new, known.as_ref()).or_invalid()?;
        let NewMember { login, name, roles } = new;
        let person = NewPerson { login, name, is_admin: false };
        let (account, created) = match known {
            Some(account) => {
                if !accounts::hold_unerased(&*turn, account.id).await? {
                    return Err(FieldErrors::one("login", "people-login-erased").into());
                }
                (account, None)
            }
            None => match account_changes::invite(&*turn, by.account.id, person).await? {
                Some((account, link)) => (account, Some(link)),
                // Somebody else has made it in this moment: sent again, the form finds it.
                None => return Err(FieldErrors::one("login", "people-login-just-taken").into()),
            },
        };
        for role in &roles {
            give_role(&*turn, account.id, by.project.id, *role).await?;
        }
        let subject = AuditSubject::in_project(by.project.id, account.id);
        let details = json!({"project": by.project.id, "roles": roles});
        audit::record(&*turn, by.account.id, AuditAction::MembershipAdd, subject, details).await?;
        Ok(AddedMember { display_name: account.display_name, created })
    })
    .await
}

/// Of what was typed, whose name is cleaned.
fn mistakes(by: &Access, new: &mut NewMember, known: Option<&account::Model>) -> FieldErrors {
    let mut errors = FieldErrors::default();
    new.name = errors.line("name", &new.name, MAX_NAME);
    if !accounts::is_login(&new.login) {
        errors.add("login", "people-login-wrong");
    }
    if known.is_none() && new.name.is_empty() {
        errors.add("name", "people-name-missing");
    }
    if new.roles.is_empty() {
        errors.add("role", "people-role-missing");
    } else if !new.roles.iter().all(|role| may_give(by, *role)) {
        errors.add("role", "people-role-not-yours");
    }
    errors
}

/// Why somebody is still in a project.
#[derive(Debug, thiserror::Error)]
pub enum RemovalError {
    #[error("has a role that another must take away")]
    RoleNotYours,
    #[error(transparent)]
    Database(#[from] DbErr),
}

impl WriteError for RemovalError {
    fn of_database(&self) -> Option<&DbErr> {
        match self {
            Self::Database(error) => Some(error),
            Self::RoleNotYours => None,
        }
    }
}

impl From<RemovalError> for AppError {
    fn from(error: RemovalError) -> Self {
        match error {
            RemovalError::RoleNotYours => Self::conflict("people-remove-not-yours"),
            RemovalError::Database(error) => Self::Database(error),
        }
    }
}

/// Takes all roles in a project away; twice is once. What the person wrote stays. Nobody is locked
/// out for good: an administrator may do everything in every project.
pub async fn remove(
    db: &DatabaseConnection,
    by: &Access,
    account: AccountId,
) -> Result<(), RemovalError> {
    write(db, |turn| async move {
        let taken = membership::Entity::delete_many()
            .filter(membership::Column::AccountId.eq(account))
            .filter(membership::Column::ProjectId.eq(by.project.id))
            .exec_with_returning(&*turn)
            .await?;
        if taken.is_empty() {
            return Ok(());
        }
        // Everybody may leave.
        if account != by.account.id && !taken.iter().all(|row| may_give(by, row.role)) {
            return Err(RemovalError::RoleNotYours);
        }
        let roles: Vec<ProjectRole> = taken.into_iter().map(|row| row.role).collect();
        let subject = AuditSubject::in_project(by.project.id, account);
        let details = json!({"project": by.project.id, "roles": roles});
        audit::record(&*turn, by.account.id, AuditAction::MembershipRemove, subject, details)
            .await?;
        Ok(())
    })
    .await
}

/// Gives a role; giving it twice is giving it once.
pub async fn give_role(
    db: &impl ConnectionTrait,
    account: AccountId,
    project: ProjectId,
    role: ProjectRole,
) -> Result<(), DbErr> {
    let row = membership::ActiveModel {
        id: Set(MembershipId::new()),
        account_id: Set(account),
        project_id: Set(project),
        role: Set(role),
        created_at: Set(UnixMillis::now()),
    };
    let unique =
        [membership::Column::AccountId, membership::Column::ProjectId, membership::Column::Role];
    membership::Entity::insert(row)
        .on_conflict(OnConflict::columns(unique).do_nothing().to_owned())
        .exec_without_returning(db)
        .await?;
    Ok(())
}

/// The Fluent key of a role's name.
pub fn role_key(role: ProjectRole) -> &'static str {
    match role {
        ProjectRole::Annotator => "role-annotator",
        ProjectRole::Reviewer => "role-reviewer",
        ProjectRole::Manager => "role-manager",
        ProjectRole::Engineer => "role-engineer",
    }
}

/// One person of a project with their roles.
pub struct ProjectMember {
    pub account: account::Model,
    pub roles: Vec<ProjectRole>,
}

/// Everybody with a role, by name.
pub async fn of_project(
    db: &impl ConnectionTrait,
    project: ProjectId,
) -> Result<Vec<ProjectMember>, DbErr> {
    let rows = membership::Entity::find()
        .filter(membership::Column::ProjectId.eq(project))
        .order_by_asc(membership::Column::CreatedAt)
        .all(db)
        .await?;
    let theirs = Query::select()
        .column(membership::Column::AccountId)
        .from(membership::Entity)
        .and_where(membership::Column::ProjectId.eq(project))
        .to_owned();
    let accounts = account::Entity::find()
        .filter(account::Column::Id.in_subquery(theirs))
        .order_by_asc(account::Column::DisplayName)
        .limit(10_000)
        .all(db)
        .await?;
    let roles_of =
        |id| rows.iter().filter(|row| row.account_id == id).map(|row| row.role).collect();
    Ok(accounts
        .into_iter()
        .map(|account| ProjectMember { roles: roles_of(account.id), account })
        .collect())
}
