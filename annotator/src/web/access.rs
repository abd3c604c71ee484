//! Who may do what, as types. A handler that takes a [`Manager`] runs only for a manager of the
//! project in its address (or an administrator); one that takes none cannot even name the person.
//! Somebody else's project looks like one that does not exist. What else an address names comes
//! with the role: [`crate::web::of`].

use crate::web::{
    address,
    error::AppError,
    principal::{Principal, database},
};
use actix_web::{FromRequest, HttpMessage, HttpRequest, dev::Payload};
use entity::{
    account,
    ids::{AccountId, ProjectId},
    membership::{self, ProjectRole},
    project,
};
use sea_orm::{
    EntityTrait, JoinType, QuerySelect, RelationDef,
    sea_query::{Expr, ExprTrait, IntoCondition},
};
use std::{future::Future, ops::Deref, pin::Pin, str::FromStr};

/// What an extractor is while it asks the database.
pub type ExtractorFuture<T> = Pin<Box<dyn Future<Output = Result<T, AppError>>>>;

/// The value of a placeholder in the address; one that cannot be read names nothing.
pub fn placeholder<T: FromStr>(request: &HttpRequest, name: &str) -> Result<T, AppError> {
    request.match_info().get(name).and_then(|id| id.parse().ok()).ok_or(AppError::NotFound)
}

/// Somebody who is signed in.
pub struct SignedIn(pub account::Model);

impl FromRequest for SignedIn {
    type Error = AppError;
    type Future = ExtractorFuture<Self>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move { Ok(Self(Principal::required(&request).await?.into_account())) })
    }
}

/// An administrator of the installation.
pub struct Admin(pub account::Model);

impl Admin {
    pub async fn of(request: &HttpRequest) -> Result<Self, AppError> {
        let account = Principal::required(request).await?.into_account();
        if account.is_admin { Ok(Self(account)) } else { Err(AppError::Forbidden) }
    }
}

impl FromRequest for Admin {
    type Error = AppError;
    type Future = ExtractorFuture<Self>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move { Self::of(&request).await })
    }
}

/// From a project to what an account is in it.
pub(crate) fn memberships_of(account: AccountId) -> RelationDef {
    let relation: RelationDef = project::Entity::belongs_to(membership::Entity)
        .from(project::Column::Id)
        .to(membership::Column::ProjectId)
        .into();
    relation.on_condition(move |_, membership| {
        Expr::col((membership, membership::Column::AccountId)).eq(account).into_condition()
    })
}

/// A person in a project.
#[derive(Clone)]
pub struct Access {
    pub account: account::Model,
    pub project: project::Model,
    pub roles: Vec<ProjectRole>,
}

impl Access {
    /// Nothing for whoever has no role there; deleted or not.
    async fn to(request: &HttpRequest, project: ProjectId) -> Result<Self, AppError> {
        let account = Principal::required(request).await?.into_account();
        let found = project::Entity::find_by_id(project)
            .join(JoinType::LeftJoin, memberships_of(account.id))
            .select_also(membership::Entity)
            .all(&database(request)?)
            .await?;
        Self::of_rows(account, found).ok_or(AppError::NotFound)
    }

    /// From the project's row, once for each role of the account there. None: there is no such
    /// project, or it is none of theirs.
    pub(crate) fn of_rows(
        account: account::Model,
        found: Vec<(project::Model, Option<membership::Model>)>,
    ) -> Option<Self> {
        let project = found.first()?.0.clone();
        let roles: Vec<_> = found.into_iter().filter_map(|(_, row)| Some(row?.role)).collect();
        let is_in = account.is_admin || !roles.is_empty();
        is_in.then_some(Self { account, project, roles })
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

    /// The address of the project, with what follows.
    pub fn url(&self, rest: &str) -> String {
        address::in_project(self.project.id, rest)
    }
}

/// What a request was let in by: kept with it, so that what goes on for long can be looked at again.
#[derive(Clone)]
pub struct RoleGrant {
    pub project: ProjectId,
    is_held: fn(&Access) -> bool,
    even_if_deleted: bool,
}

impl RoleGrant {
    /// None: no role in a project was asked for. A page that tells of several projects was let in
    /// by as many.
    pub fn all_of(request: &HttpRequest) -> Vec<Self> {
        request.extensions().get::<Vec<Self>>().cloned().unwrap_or_default()
    }

    fn keep(self, request: &HttpRequest) {
        let mut granted = Self::all_of(request);
        granted.push(self);
        request.extensions_mut().insert(granted);
    }

    /// Whether somebody with this access would be let in.
    pub fn holds(&self, access: &Access) -> bool {
        let is_in = !access.roles.is_empty() || access.account.is_admin;
        let is_there = access.project.deleted_at.is_none() || self.even_if_deleted;
        is_in && is_there && (self.is_held)(access)
    }
}

/// A role in a project as a type: its value is the proof that the person has it.
pub trait RoleArgument: Deref<Target = Access> + Sized + 'static {
    /// Whether a deleted project still lets the person in.
    const EVEN_IF_DELETED: bool;

    /// Whether what the person has is enough.
    fn is_held(access: &Access) -> bool;

    /// The proof; it is made in [`RoleArgument::in_project`] alone.
    fn new(access: Access) -> Self;

    fn in_project(
        request: &HttpRequest,
        project: ProjectId,
    ) -> impl Future<Output = Result<Self, AppError>> {
        async move { Self::admit(request, Access::to(request, project).await?) }
    }

    /// The proof for somebody with this access, if it is enough.
    fn admit(request: &HttpRequest, access: Access) -> Result<Self, AppError> {
        if access.project.deleted_at.is_some() && !Self::EVEN_IF_DELETED {
            return Err(AppError::NotFound);
        }
        if !Self::is_held(&access) {
            return Err(AppError::Forbidden);
        }
        let (is_held, even_if_deleted) = (Self::is_held, Self::EVEN_IF_DELETED);
        RoleGrant { project: access.project.id, is_held, even_if_deleted }.keep(request);
        Ok(Self::new(access))
    }

    /// In the project that `{project}` in the address names.
    fn in_address(request: &HttpRequest) -> impl Future<Output = Result<Self, AppError>> {
        async move {
            // First, so that nobody learns by an odd address that they need not sign in.
            Principal::required(request).await?;
            Self::in_project(request, placeholder(request, "project")?).await
        }
    }
}

macro_rules! roles {
    ($($(#[$doc:meta])* $name:ident($even_if_deleted:literal): $is_held:expr;)*) => {$(
        $(#[$doc])*
        pub struct $name(pub Access);

        impl Deref for $name {
            type Target = Access;

            fn deref(&self) -> &Access {
                &self.0
            }
        }

        impl RoleArgument for $name {
            const EVEN_IF_DELETED: bool = $even_if_deleted;

            fn is_held(access: &Access) -> bool {
                let is_held: fn(&Access) -> bool = $is_held;
                is_held(access)
            }

            fn new(access: Access) -> Self {
                Self(access)
            }
        }

        impl FromRequest for $name {
            type Error = AppError;
            type Future = ExtractorFuture<Self>;

            fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
                let request = request.clone();
                Box::pin(async move { Self::in_address(&request).await })
            }
        }
    )*};
}

// The literal: whether a deleted project still lets them in.
roles! {
    /// Anybody with a role in the project.
    Member(false): |_| true;
    /// Writes answers and judges.
    Annotator(false): Access::is_annotator;
    /// Sends what they wrote: it is kept, even if the project was deleted while they wrote.
    Author(true): Access::is_annotator;
    /// Prompts, people, quality.
    Manager(false): Access::is_manager;
    /// Datasets, runs, models.
    Engineer(false): Access::is_engineer;
    /// Decides whether the project stays.
    Owner(false): |access| access.account.is_admin;
    /// Whoever looks at what people said: both take it further.
    ManagerOrEngineer(false): |access| access.is_manager() || access.is_engineer();
}
