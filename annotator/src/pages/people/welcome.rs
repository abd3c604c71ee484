//! `/welcome?key=…`: where an invitation, or a reset, leads: a person sets their own password.

use crate::{
    config::ServeConfig,
    people::{
        accounts,
        links::{self, FreshLink},
        passwords::NewPassword,
    },
    web::{
        address,
        error::AppError,
        form::{FieldErrors, FormError},
        format, known_browser,
        page::{self, Page},
        session,
        typed::{TypedForm, TypedQuery},
    },
};
use actix_session::Session;
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use entity::{account, account_link::LinkPurpose};
use sea_orm::DatabaseConnection;
use serde::Deserialize;

const PATH: &str = "/welcome";

/// A link as it is passed on.
pub struct ShownLink {
    pub login: String,
    pub display_name: String,
    pub address: String,
    pub until: String,
    pub is_invitation: bool,
}

impl ShownLink {
    /// At the host under which this person reached the app.
    pub fn new(request: &HttpRequest, link: FreshLink) -> Self {
        let config = request.app_data::<web::Data<ServeConfig>>();
        let here = request.connection_info();
        let scheme = if config.is_some_and(|config| config.secure_cookies) {
            "https"
        } else {
            here.scheme()
        };
        let path = address::address(&format!("{PATH}?key={}", link.token));
        Self {
            address: format!("{scheme}://{}{path}", here.host()),
            until: format::date_time(link.expires_at),
            is_invitation: link.purpose == LinkPurpose::Invitation,
            login: link.login,
            display_name: link.display_name,
        }
    }
}

#[derive(Template)]
#[template(path = "welcome.html")]
struct WelcomePage {
    page: Page,
    key: String,
    /// Whose link it is; nobody's when it is worth nothing any more.
    account: Option<account::Model>,
    is_invitation: bool,
    errors: FieldErrors,
    min_password_length: usize,
}

impl WelcomePage {
    async fn new(page: Page, key: &str, db: &DatabaseConnection) -> Result<Self, AppError> {
        let found = links::find(db, key).await?;
        let is_invitation =
            found.as_ref().is_some_and(|(purpose, _)| *purpose == LinkPurpose::Invitation);
        Ok(Self {
            page,
            key: key.to_owned(),
            account: found.map(|(_, account)| account),
            is_invitation,
            errors: FieldErrors::default(),
            min_password_length: accounts::MIN_PASSWORD_LENGTH,
        })
    }

    /// The form, or that the link is worth nothing any more.
    fn shown(&self) -> Result<HttpResponse, AppError> {
        if self.account.is_none() || !self.errors.is_empty() {
            return page::invalid(self);
        }
        page::html(self)
    }
}

#[derive(Deserialize)]
pub struct WelcomeQuery {
    #[serde(default)]
    key: String,
}

/// Looking at a link does not use it up: programs that preview messages do that.
pub async fn show(
    page: Page,
    query: TypedQuery<WelcomeQuery>,
    db: web::Data<DatabaseConnection>,
) -> Result<HttpResponse, AppError> {
    WelcomePage::new(page, &query.key, &db).await?.shown()
}

#[derive(Deserialize)]
pub struct WelcomeForm {
    key: String,
    new: String,
    again: String,
}

/// Sets the password, uses the link up and signs its person in.
pub async fn accept(
    page: Page,
    form: TypedForm<WelcomeForm>,
    session: Session,
    request: HttpRequest,
    db: web::Data<DatabaseConnection>,
) -> Result<HttpResponse, AppError> {
    let WelcomeForm { key, new, again } = form.into_inner();
    match links::accept(&db, &key, NewPassword { new, again }).await {
        Ok(Some(account)) => {
            session::sign_in(&session, &account)?;
            page::notify(&session, "notice-welcome", &account.display_name)?;
            let mut response = page::see_other(&address::address("/"));
            known_browser::remember(&request, &account, &mut response);
            Ok(response)
        }
        Ok(None) => WelcomePage::new(page, &key, &db).await?.shown(),
        Err(FormError::Invalid(errors)) => {
            let view = WelcomePage::new(page, &key, &db).await?;
            WelcomePage { errors, ..view }.shown()
        }
        Err(FormError::Failed(error)) => Err(error),
    }
}
