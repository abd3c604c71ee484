//! `/projects/{project}/people`: who works on a project.

use crate::{
    people::{
        accounts,
        accounts::NewAccount,
        audit,
        projects::{self, Person},
    },
    web::{
        access::{Access, Manager},
        error::AppError,
        form::FieldErrors,
        page::{self, Page},
    },
};
use actix_session::Session;
use actix_web::{HttpResponse, web};
use askama::Template;
use entity::{account, ids::AccountId, membership::ProjectRole};
use sea_orm::DatabaseConnection;
use serde_json::json;

/// The roles that can be given today, in the order in which a form shows them.
const ROLES: [ProjectRole; 3] =
    [ProjectRole::Annotator, ProjectRole::Manager, ProjectRole::Engineer];

#[derive(Template)]
#[template(path = "people/show.html")]
struct PeoplePage {
    page: Page,
    access: Access,
    people: Vec<Person>,
    roles: [ProjectRole; 3],
    form: AddForm,
    errors: FieldErrors,
    /// Shown once: the login and password of a person who was just created.
    created: Option<(String, String)>,
}

impl PeoplePage {
    async fn new(page: Page, access: Access, db: &DatabaseConnection) -> Result<Self, AppError> {
        let people = projects::people(db, &access).await?;
        let (form, errors) = (AddForm::default(), FieldErrors::default());
        Ok(Self { page, access, people, roles: ROLES, form, errors, created: None })
    }

    fn role_value(&self, role: &ProjectRole) -> &'static str {
        role_value(role)
    }

    fn role_name(&self, role: &ProjectRole) -> String {
        self.page.text(projects::role_key(*role)).to_string()
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
    fields: web::Form<Vec<(String, String)>>,
    session: Session,
    db: web::Data<DatabaseConnection>,
) -> Result<HttpResponse, AppError> {
    let form = AddForm::from(fields.into_inner());
    let known = accounts::find_by_login(db.get_ref(), &form.login).await?;
    let errors = mistakes(&form, known.as_ref());
    let mut view = PeoplePage::new(page, access, db.get_ref()).await?;
    if !errors.is_empty() {
        (view.form, view.errors) = (form, errors);
        return page::invalid(&view);
    }
    let (account, password) = match known {
        Some(account) => (account, None),
        None => {
            let (account, password) = create_person(db.get_ref(), &form).await?;
            (account, Some(password))
        }
    };
    for role in &form.roles {
        projects::give_role(db.get_ref(), account.id, view.access.project.id, *role).await?;
    }
    let details = json!({"project": view.access.project.id, "roles": form.roles});
    audit::record(db.get_ref(), view.access.account.id, "membership.add", account.id, details)
        .await?;
    let Some(password) = password else {
        page::notify(&session, "notice-person-added", &account.display_name)?;
        return Ok(page::see_other(&view.access.url("/people")));
    };
    view.people = projects::people(db.get_ref(), &view.access).await?;
    view.created = Some((account.login, password));
    page::html(&view)
}

fn mistakes(form: &AddForm, known: Option<&account::Model>) -> FieldErrors {
    let mut errors = FieldErrors::default();
    if !accounts::is_login(&form.login) {
        errors.add("login", "people-login-wrong");
    }
    if known.is_none() && form.name.trim().is_empty() {
        errors.add("name", "people-name-missing");
    }
    if form.roles.is_empty() {
        errors.add("role", "people-role-missing");
    }
    errors
}

async fn create_person(
    db: &DatabaseConnection,
    form: &AddForm,
) -> Result<(account::Model, String), AppError> {
    let password = accounts::one_time_password();
    let new = NewAccount {
        login: form.login.clone(),
        display_name: form.name.clone(),
        password_hash: accounts::hash_password(password.clone()).await?,
        is_admin: false,
        password_is_one_time: true,
    };
    Ok((accounts::create_account(db, new).await?, password))
}

/// Takes all roles in this project away. What the person wrote stays.
pub async fn remove(
    Manager(access): Manager,
    path: web::Path<(String, AccountId)>,
    session: Session,
    db: web::Data<DatabaseConnection>,
) -> Result<HttpResponse, AppError> {
    let (_, id) = path.into_inner();
    for role in
        [ProjectRole::Annotator, ProjectRole::Reviewer, ProjectRole::Manager, ProjectRole::Engineer]
    {
        projects::take_role(db.get_ref(), id, access.project.id, role).await?;
    }
    let details = json!({"project": access.project.id});
    audit::record(db.get_ref(), access.account.id, "membership.remove", id, details).await?;
    page::notify(&session, "notice-person-removed", "")?;
    Ok(page::see_other(&access.url("/people")))
}
