//! What every page shows: language, who is signed in, the form token, a notice. A page struct holds
//! a `page: Page`, and its template extends `base.html` (or `project.html`, which also wants an
//! `access: Access`).

use crate::{
    people::notices::UnreadRuns,
    web::{
        address, assets, csrf,
        error::AppError,
        i18n::{FluentText, Language},
        message::Message,
        principal::{current_account, database},
        session,
    },
};
use actix_session::{Session, SessionExt};
use actix_web::{
    FromRequest, HttpRequest, HttpResponse,
    dev::Payload,
    http::{Method, header},
};
use askama::Template;
use entity::{account, message::KeyedMessage};
use serde::{Deserialize, Serialize};
use std::{future::Future, pin::Pin};

const NOTICE: &str = "notice";

pub struct Page {
    pub language: Language,
    pub account: Option<account::Model>,
    /// Goes into the hidden field `csrf` of every form.
    pub csrf: String,
    /// This page's address, for coming back to it.
    pub here: String,
    /// The answer to a form is at no address: who would go to another language would lose it.
    pub is_at_address: bool,
    /// What the last action did, shown once.
    pub notice: Option<PageNotice>,
    /// What the header says of the person's runs.
    pub unread_runs: UnreadRuns,
}

/// A Fluent key with at most one argument, kept in the session until the next page.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PageNotice {
    pub key: String,
    pub argument: String,
}

impl Page {
    pub fn text<'a>(&self, key: &'a str) -> FluentText<'a> {
        self.language.text(key)
    }

    /// A message in this page's language.
    pub fn translate(&self, message: &Message) -> String {
        message.text(self.language)
    }

    /// The address of a path of this app.
    pub fn address(&self, path: &str) -> String {
        address::address(path)
    }

    /// What a program said, in this page's language.
    pub fn say(&self, message: &KeyedMessage) -> String {
        self.language.say(message)
    }

    /// The address of an embedded file; it changes with the file.
    pub fn asset(&self, name: &str) -> String {
        assets::url(name)
    }

    /// The notice in this page's language.
    pub fn notice_text(&self) -> Option<String> {
        let notice = self.notice.as_ref()?;
        Some(self.text(&notice.key).arg("value", &notice.argument).to_string())
    }

    /// Whether this page is the project's page of that name, or one under it.
    pub fn is_at(&self, place: &str) -> bool {
        address::is_at(&self.here, place)
    }

    pub fn languages(&self) -> [Language; 2] {
        Language::ALL
    }

    async fn of(request: &HttpRequest) -> Result<Self, AppError> {
        let account = current_account(request).await?;
        let session = request.get_session();
        // Taking out what is not there would count as a change, and every page view would be written.
        let notice = match session.contains_key(NOTICE) {
            true => session.remove_as::<PageNotice>(NOTICE).and_then(Result::ok),
            false => None,
        };
        session::prolong(&session)?;
        let unread_runs = match &account {
            Some(account) if !session::never_launched(account.id) => {
                UnreadRuns::of(&database(request)?, account).await?
            }
            _ => UnreadRuns::default(),
        };
        Ok(Self {
            language: Language::of(request, account.as_ref()),
            account,
            unread_runs,
            csrf: csrf::token(request)?,
            here: address::of_request(request),
            is_at_address: request.method() != Method::POST,
            notice,
        })
    }
}

impl FromRequest for Page {
    type Error = AppError;
    type Future = Pin<Box<dyn Future<Output = Result<Self, AppError>>>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move { Self::of(&request).await })
    }
}

/// Shows a notice on the next page: a Fluent key that may use `{ $value }`.
pub fn notify(session: &Session, key: &str, argument: impl ToString) -> Result<(), AppError> {
    let notice = PageNotice { key: key.to_owned(), argument: argument.to_string() };
    session.insert(NOTICE, notice).map_err(|error| AppError::Internal(anyhow::anyhow!("{error}")))
}

/// 200 with the page.
pub fn html(template: &impl Template) -> Result<HttpResponse, AppError> {
    Ok(ok(template.render()?))
}

/// 422 with the page: the form again, with its errors.
pub fn invalid(template: &impl Template) -> Result<HttpResponse, AppError> {
    Ok(unprocessable(template.render()?))
}

/// 200 with a page that is already written.
pub fn ok(body: String) -> HttpResponse {
    HttpResponse::Ok().insert_header(header::ContentType::html()).body(body)
}

/// 422 with a page that is already written.
pub fn unprocessable(body: String) -> HttpResponse {
    HttpResponse::UnprocessableEntity().insert_header(header::ContentType::html()).body(body)
}

/// 409 with a page that is already written: something else was stored meanwhile.
pub fn conflict(body: String) -> HttpResponse {
    HttpResponse::Conflict().insert_header(header::ContentType::html()).body(body)
}

/// 303: after a POST, go there.
pub fn see_other(location: &str) -> HttpResponse {
    HttpResponse::SeeOther().insert_header((header::LOCATION, location)).finish()
}

/// `?page=`, from 1.
#[derive(Deserialize)]
pub struct PageNumber {
    #[serde(default)]
    pub page: u64,
}

impl PageNumber {
    /// The nearest page that there is.
    pub fn within(&self, n_pages: u64) -> u64 {
        self.page.clamp(1, n_pages.max(1))
    }
}
