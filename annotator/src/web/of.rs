//! What an address names, as an argument: `Of(Engineer(access), run): Of<Engineer, run::Model>`
//! runs only for an engineer of the project that the run is of. A handler gets an object in no
//! other way, so that nobody reads another project's by a slip.
//!
//! An address with `{project}` names the project first: whoever has no role there is told nothing
//! of what is in it. In an address without one, the object says its project.

use crate::web::{
    access::{Access, Admin, ExtractorFuture, RoleArgument, placeholder},
    error::AppError,
    principal::{Principal, database},
};
use actix_web::{FromRequest, HttpRequest, dev::Payload};
use entity::{
    account, dataset_version,
    ids::{AccountId, DatasetVersionId, ImportId, ModelId, ProjectId, PromptId, RunId},
    import, model, project, prompt, run,
};
use sea_orm::{DatabaseConnection, DbErr, EntityTrait};
use std::{future::Future, str::FromStr};

/// Something that an address can name.
pub trait AddressObject: Sized + 'static {
    /// The placeholder in a path that holds its id.
    const PLACEHOLDER: &'static str;

    type Id: FromStr;

    fn load(
        db: &DatabaseConnection,
        id: Self::Id,
    ) -> impl Future<Output = Result<Option<Self>, DbErr>>;
}

/// Something that belongs to a project, or to all of them.
pub trait ProjectObject: AddressObject {
    /// None: every project may use it, as a base model.
    fn project(&self) -> Option<ProjectId>;

    /// Whether somebody with a sufficient role in its project sees it.
    fn is_shown_to(&self, _: &account::Model) -> bool {
        true
    }

    /// The object with what the account is in its project, where one statement reads both: for what
    /// people ask for all day. None: ask for the project first, which tells why there is nothing.
    fn load_with_access(
        _: &DatabaseConnection,
        _: &account::Model,
        _: Self::Id,
    ) -> impl Future<Output = Result<Option<(Access, Self)>, DbErr>> {
        async { Ok(None) }
    }
}

/// Whoever asks in their role, and what they ask for. For an [`Admin`] it may be anything of the
/// installation, for a role in a project what that project may use.
pub struct Of<R, M>(pub R, pub M);

impl<R: RoleArgument, M: ProjectObject> Of<R, M> {
    async fn find(request: &HttpRequest) -> Result<Self, AppError> {
        if request.match_info().get("project").is_some() {
            if let Some((access, object)) = together::<M>(request).await? {
                return Self::checked(R::admit(request, access)?, object);
            }
            let role = R::in_address(request).await?;
            return Self::checked(role, named(request).await?);
        }
        Principal::required(request).await?;
        let object: M = named(request).await?;
        // In which role somebody asks for what belongs to no project, only a project tells.
        let project = object.project().ok_or(AppError::NotFound)?;
        Self::checked(R::in_project(request, project).await?, object)
    }

    fn checked(role: R, object: M) -> Result<Self, AppError> {
        let is_of_project = object.project().is_none_or(|project| project == role.project.id);
        if is_of_project && object.is_shown_to(&role.account) {
            Ok(Self(role, object))
        } else {
            Err(AppError::NotFound)
        }
    }
}

/// What `{project}` and the object's placeholder name, if both were read at once and belong together.
async fn together<M: ProjectObject>(
    request: &HttpRequest,
) -> Result<Option<(Access, M)>, AppError> {
    let account = Principal::required(request).await?.into_account();
    let project = placeholder::<ProjectId>(request, "project");
    let (Ok(project), Ok(id)) = (project, placeholder(request, M::PLACEHOLDER)) else {
        return Ok(None);
    };
    let found = M::load_with_access(&database(request)?, &account, id).await?;
    Ok(found.filter(|(access, _)| access.project.id == project))
}

async fn named<M: AddressObject>(request: &HttpRequest) -> Result<M, AppError> {
    let id = placeholder(request, M::PLACEHOLDER)?;
    M::load(&database(request)?, id).await?.ok_or(AppError::NotFound)
}

impl<R: RoleArgument, M: ProjectObject> FromRequest for Of<R, M> {
    type Error = AppError;
    type Future = ExtractorFuture<Self>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move { Self::find(&request).await })
    }
}

impl<M: AddressObject> FromRequest for Of<Admin, M> {
    type Error = AppError;
    type Future = ExtractorFuture<Self>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            let admin = Admin::of(&request).await?;
            Ok(Self(admin, named(&request).await?))
        })
    }
}

macro_rules! rows {
    ($($table:ident by $id:ident in $placeholder:literal;)*) => {$(
        impl AddressObject for $table::Model {
            const PLACEHOLDER: &'static str = $placeholder;

            type Id = $id;

            async fn load(db: &DatabaseConnection, id: $id) -> Result<Option<Self>, DbErr> {
                $table::Entity::find_by_id(id).one(db).await
            }
        }
    )*};
}

rows! {
    account by AccountId in "account";
    project by ProjectId in "project";
    prompt by PromptId in "prompt";
    import by ImportId in "import";
    run by RunId in "run";
    model by ModelId in "model";
}

impl AddressObject for dataset_version::Model {
    const PLACEHOLDER: &'static str = "version";

    type Id = DatasetVersionId;

    /// One whose rows are not all there is nobody's yet.
    async fn load(db: &DatabaseConnection, id: Self::Id) -> Result<Option<Self>, DbErr> {
        let version = dataset_version::Entity::find_by_id(id).one(db).await?;
        Ok(version.filter(|version| version.filling_since.is_none()))
    }
}

impl ProjectObject for prompt::Model {
    fn project(&self) -> Option<ProjectId> {
        Some(self.project_id)
    }
}

impl ProjectObject for import::Model {
    fn project(&self) -> Option<ProjectId> {
        Some(self.project_id)
    }
}

impl ProjectObject for dataset_version::Model {
    fn project(&self) -> Option<ProjectId> {
        Some(self.project_id)
    }
}

impl ProjectObject for run::Model {
    fn project(&self) -> Option<ProjectId> {
        Some(self.project_id)
    }
}

impl ProjectObject for model::Model {
    /// A base is every project's.
    fn project(&self) -> Option<ProjectId> {
        self.project_id
    }
}

#[cfg(test)]
mod tests;
