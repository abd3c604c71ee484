//! `/projects/{project}/people`: who works on a project.

use crate::{
    pages::people::welcome::ShownLink,
    people::members::{self, AddedMember, NewMember, ProjectMember, may_give},
    web::{
        access::{Access, Manager},
        error::AppError,
        form::{FieldErrors, FormError},
        page::{self, Page},
        typed::TypedForm,
    },
};
use actix_session::Session;
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use entity::{ids::AccountId, membership::ProjectRole};
use sea_orm::DatabaseConnection;
use serde::Deserialize;

/// The roles that can be given today, in the order in which a form shows them.
const ROLES: [ProjectRole; 3] =
    [ProjectRole::Annotator, ProjectRole::Manager, ProjectRole::Engineer];

#[derive(Template)]
#[template(path = "people/list.html")]
struct PeoplePage {
    page: Page,
    access: Access,
    people: Vec<ProjectMember>,
    /// Those that this person may give.
    roles: Vec<ProjectRole>,
    form: AddForm,
    errors: FieldErrors,
    /// Shown once: of a person who was just created.
    created: Option<ShownLink>,
}

impl PeoplePage {
    async fn new(page: Page, access: Access, db: &DatabaseConnection) -> Result<Self, AppError> {
        let people = members::of_project(db, access.project.id).await?;
        let (form, errors) = (AddForm::default(), FieldErrors::default());
        let roles = ROLES.into_iter().filter(|role| may_give(&access, *role)).collect();
        Ok(Self { page, access, people, roles, form, errors, created: None })
    }

    /// Whether this person may take somebody's roles away.
    fn may_remove(&self, person: &ProjectMember) -> bool {
        person.account.id == self.access.account.id
            || person.roles.iter().all(|role| may_give(&self.access, *role))
    }

    fn role_value(&self, role: &ProjectRole) -> &'static str {
        role_value(role)
    }

    fn role_name(&self, role: &ProjectRole) -> String {
        self.page.text(members::role_key(*role)).to_string()
    }
}

/// A role's value in a form.
fn role_value(role: &ProjectRole) -> &'static str {
    match role {
        ProjectRole::Annotator => "annotator",
        ProjectRole::Reviewer => "reviewer",
        ProjectRole::Manager => "manager",
        ProjectRole::Engineer => "engineer",
    }
}

#[derive(Clone, Default)]
pub struct AddForm {
    login: String,
    name: String,
    roles: Vec<ProjectRole>,
}

impl AddForm {
    fn member(&self) -> NewMember {
        let Self { login, name, roles } = self.clone();
        NewMember { login, name, roles }
    }
}

impl From<Vec<(String, String)>> for AddForm {
    /// A checkbox per role comes as a repeated field, which a struct cannot take.
    fn from(fields: Vec<(String, String)>) -> Self {
        let mut form = Self::default();
        for (field, value) in fields {
            match field.as_str() {
                "login" => form.login = value,
                "name" => form.name = value,
                "role" => {
                    form.roles.extend(ROLES.into_iter().find(|role| role_value(role) == value));
                }
                _ => {}
            }
        }
        form
    }
}

pub async fn show(
    page: Page,
    Manager(access): Manager,
    db: web::Data<DatabaseConnection>,
) -> Result<HttpResponse, AppError> {
    page::html(&PeoplePage::new(page, access, db.get_ref()).await?)
}

/// Gives roles to the person of that login, who is created if there is none.
pub async fn add(
    page: Page,
    Manager(access): Manager,
    fields: TypedForm<Vec<(String, String)>>,
    session: Session,
    request: HttpRequest,
    db: web::Data<DatabaseConnection>,
) -> Result<HttpResponse, AppError> {
    let form = AddForm::from(fields.into_inner());
    let added = members::add(&db, &access, form.member()).await;
    if let Ok(AddedMember { display_name, created: None }) = &added {
        page::notify(&session, "notice-person-added", display_name)?;
        return Ok(page::see_other(&access.url("/people")));
    }
    let mut view = PeoplePage::new(page, access, &db).await?;
    match added {
        Ok(AddedMember { created, .. }) => {
            let created = created.map(|link| ShownLink::new(&request, link));
            page::html(&PeoplePage { created, ..view })
        }
        Err(FormError::Invalid(errors)) => {
            (view.form, view.errors) = (form, errors);
            page::invalid(&view)
        }
        Err(FormError::Failed(error)) => Err(error),
    }
}

/// The path of a person in a project.
#[derive(Deserialize)]
pub struct MemberPath {
    account: AccountId,
}

/// Takes all roles in this project away. What the person wrote stays.
pub async fn remove(
    Manager(access): Manager,
    path: web::Path<MemberPath>,
    session: Session,
    db: web::Data<DatabaseConnection>,
) -> Result<HttpResponse, AppError> {
    members::remove(&db, &access, path.account).await?;
    page::notify(&session, "notice-person-removed", "")?;
    Ok(page::see_other(&access.url("/people")))
}
