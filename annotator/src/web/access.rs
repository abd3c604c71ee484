//! Who may do what, as types. A handler that takes a [`Manager`] runs only for a manager of the
//! project in its address (or an administrator); one that takes none cannot even name the person.
//! Somebody else's project looks like one that does not exist.

use crate::web::{error::AppError, session::ACCOUNT};
use actix_session::SessionExt;
use actix_web::{FromRequest, HttpMessage, HttpRequest, dev::Payload, web};
use entity::{
    account,
    ids::{AccountId, ProjectId},
    membership::{self, ProjectRole},
    project,
};
use sea_orm::{ColumnTrait, DatabaseConnection, EntityTrait, QueryFilter};
use std::{future::Future, ops::Deref, pin::Pin};

type Extracted<T> = Pin<Box<dyn Future<Output = Result<T, AppError>>>>;

/// The database that the request belongs to.
pub fn database(request: &HttpRequest) -> Result<DatabaseConnection, AppError> {
    let db = request.app_data::<web::Data<DatabaseConnection>>();
    Ok(db.ok_or_else(|| anyhow::anyhow!("the app has no database"))?.get_ref().clone())
}

/// The row read for this request, so that page and extractors ask once.
#[derive(Clone)]
struct Known(Option<account::Model>);

/// Who is signed in, if anybody; an account that was disabled is nobody.
pub async fn current_account(request: &HttpRequest) -> Result<Option<account::Model>, AppError> {
    if let Some(known) = request.extensions().get::<Known>() {
        return Ok(known.0.clone());
    }
    let id = request.get_session().get::<AccountId>(ACCOUNT).ok().flatten();
    let account = match id {
        Some(id) => account::Entity::find_by_id(id).one(&database(request)?).await?,
        None => None,
    };
    let account = account.filter(|account| account.disabled_at.is_none());
    // Extractors are polled in turns: another may have been here meanwhile.
    let is_first = request.extensions().get::<Known>().is_none();
    if let Some(account) = account.as_ref().filter(|_| is_first) {
        tracing::Span::current().record("account", tracing::field::display(account.id));
    }
    request.extensions_mut().insert(Known(account.clone()));
    Ok(account)
}

/// Somebody who is signed in.
pub struct SignedIn(pub account::Model);

impl SignedIn {
    async fn of(request: &HttpRequest) -> Result<Self, AppError> {
        match current_account(request).await? {
            Some(account) => Ok(Self(account)),
            None if request.method().is_safe() => {
                Err(AppError::SignInFirst { next: request.uri().to_string() })
            }
            None => Err(AppError::SignInFirst { next: "/".to_owned() }),
        }
    }
}

impl FromRequest for SignedIn {
    type Error = AppError;
    type Future = Extracted<Self>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move { Self::of(&request).await })
    }
}

/// An administrator of the installation.
pub struct Admin(pub account::Model);

impl FromRequest for Admin {
    type Error = AppError;
    type Future = Extracted<Self>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            let SignedIn(account) = SignedIn::of(&request).await?;
            if account.is_admin { Ok(Self(account)) } else { Err(AppError::Forbidden) }
        })
    }
}

/// A person in the project that `{project}` in the address names.
#[derive(Clone)]
pub struct Access {
    pub account: account::Model,
    pub project: project::Model,
    pub roles: Vec<ProjectRole>,
}

impl Access {
    async fn of(request: &HttpRequest) -> Result<Self, AppError> {
        let access = Self::even_if_deleted(request).await?;
        if access.project.deleted_at.is_some() { Err(AppError::NotFound) } else { Ok(access) }
    }

    async fn even_if_deleted(request: &HttpRequest) -> Result<Self, AppError> {
        let SignedIn(account) = SignedIn::of(request).await?;
        let db = database(request)?;
        let id: ProjectId = request
            .match_info()
            .get("project")
            .and_then(|id| id.parse().ok())
            .ok_or(AppError::NotFound)?;
        let project = project::Entity::find_by_id(id).one(&db).await?.ok_or(AppError::NotFound)?;
        let memberships = membership::Entity::find()
            .filter(membership::Column::AccountId.eq(account.id))
            .filter(membership::Column::ProjectId.eq(id))
            .all(&db)
            .await?;
        if memberships.is_empty() && !account.is_admin {
            return Err(AppError::NotFound);
        }
        Ok(Self { account, project, roles: memberships.into_iter().map(|row| row.role).collect() })
    }

    pub fn has(&self, role: ProjectRole) -> bool {
        self.account.is_admin || self.roles.contains(&role)
    }

    pub fn is_annotator(&self) -> bool {
        self.has(ProjectRole::Annotator)
    }

    pub fn is_manager(&self) -> bool {
        self.has(ProjectRole::Manager)
    }

    pub fn is_engineer(&self) -> bool {
        self.has(ProjectRole::Engineer)
    }

    /// `/projects/{project}` with what follows.
    pub fn url(&self, rest: &str) -> String {
        format!("/projects/{}{rest}", self.project.id)
    }
}

macro_rules! roles {
    ($($(#[$doc:meta])* $name:ident($of:ident): $allowed:expr;)*) => {$(
        $(#[$doc])*
        pub struct $name(pub Access);

        impl Deref for $name {
            type Target = Access;

            fn deref(&self) -> &Access {
                &self.0
            }
        }

        impl FromRequest for $name {
            type Error = AppError;
            type Future = Extracted<Self>;

            fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
                let request = request.clone();
                Box::pin(async move {
                    let access = Access::$of(&request).await?;
                    let allowed: fn(&Access) -> bool = $allowed;
                    if allowed(&access) { Ok(Self(access)) } else { Err(AppError::Forbidden) }
                })
            }
        }
    )*};
}

roles! {
    /// Anybody with a role in the project.
    Member(of): |_| true;
    /// Writes answers and judges.
    Annotator(of): Access::is_annotator;
    /// Sends what they wrote: it is kept, even if the project was deleted while they wrote.
    Author(even_if_deleted): Access::is_annotator;
    /// Prompts, people, quality.
    Manager(of): Access::is_manager;
    /// Datasets, runs, models.
    Engineer(of): Access::is_engineer;
    /// Decides whether the project stays.
    Owner(of): |access| access.account.is_admin;
    /// Whoever looks at what people said: both take it further.
    ManagerOrEngineer(of): |access| access.is_manager() || access.is_engineer();
}
