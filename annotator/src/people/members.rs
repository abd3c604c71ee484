//! Who works on a project, in which roles.

use crate::{
    people::{
        account_changes::{NewPerson, OneTimeLogin},
        accounts::{self, NewAccount},
        audit,
    },
    web::{
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
    ActiveValue::Set, ColumnTrait, ConnectionTrait, DatabaseConnection, DbErr, EntityTrait,
    QueryFilter, QueryOrder, QuerySelect, sea_query::OnConflict,
};
use serde_json::json;
use storage::database::begin_write;

/// Somebody who is to work on a project, as typed.
pub struct NewMember {
    pub login: String,
    /// Of somebody who has no account yet.
    pub name: String,
    pub roles: Vec<ProjectRole>,
}

/// Who has roles now; with the login and the one-time password of an account that was just made.
pub struct AddedMember {
    pub display_name: String,
    pub created: Option<OneTimeLogin>,
}

/// Gives roles to the person of that login, who gets an account if there is none.
pub async fn add(
    db: &DatabaseConnection,
    by: AccountId,
    project: ProjectId,
    mut new: NewMember,
) -> Result<AddedMember, FormError> {
    let known = accounts::find_by_login(db, &new.login).await?;
    mistakes(&mut new, known.as_ref()).or_invalid()?;
    let NewMember { login, name, roles } = new;
    let person = NewPerson { login, name, is_admin: false };
    let (account, password) = match known {
        Some(account) => (account, None),
        None => {
            let (account, password) = NewAccount::with_one_time_password(person).await?;
            let made = accounts::create_account(db, account).await;
            let made = made.map_err(FormError::if_taken("login", "people-login-just-taken"))?;
            (made, Some(password))
        }
    };
    let turn = begin_write(db).await?;
    for role in &roles {
        give_role(&turn, account.id, project, *role).await?;
    }
    let details = json!({"project": project, "roles": roles});
    audit::record(&turn, by, "membership.add", account.id, details).await?;
    turn.commit().await?;
    let created = password.map(|password| OneTimeLogin { login: account.login, password });
    Ok(AddedMember { display_name: account.display_name, created })
}

/// Of what was typed, whose name is cleaned.
fn mistakes(new: &mut NewMember, known: Option<&account::Model>) -> FieldErrors {
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
    }
    errors
}

/// Takes all roles in a project away; twice is once. What the person wrote stays.
pub async fn remove(
    db: &DatabaseConnection,
    by: AccountId,
    project: ProjectId,
    account: AccountId,
) -> Result<(), DbErr> {
    let turn = begin_write(db).await?;
    membership::Entity::delete_many()
        .filter(membership::Column::AccountId.eq(account))
        .filter(membership::Column::ProjectId.eq(project))
        .exec(&turn)
        .await?;
    let details = json!({"project": project});
    audit::record(&turn, by, "membership.remove", account, details).await?;
    turn.commit().await
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
    let accounts = account::Entity::find()
        .filter(account::Column::Id.is_in(rows.iter().map(|row| row.account_id)))
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
