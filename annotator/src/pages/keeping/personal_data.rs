//! `/admin/people/{account}/erase` and `/export.jsonl`, and a person's own `/settings/export.jsonl`.

use crate::{
    keeping::erasure::{
        ErasureOrder, export,
        people::{self, WrittenTexts},
    },
    people::person_name::PersonName,
    web::{
        access::{Admin, SignedIn},
        address,
        error::AppError,
        form::FieldErrors,
        of::Of,
        page::{self, Page},
        typed::TypedForm,
    },
};
use actix_session::Session;
use actix_web::{
    HttpResponse,
    http::{Method, header},
    web,
};
use askama::Template;
use entity::account;
use sea_orm::DatabaseConnection;
use serde::Deserialize;
use storage::artifact_store::ArtifactStore;
use tokio_util::io::ReaderStream;

#[derive(Template)]
#[template(path = "admin/people/erase.html")]
struct ErasePersonPage {
    page: Page,
    person: account::Model,
    form: PersonErasureForm,
    errors: FieldErrors,
}

impl ErasePersonPage {
    /// Who it was is gone: what they wrote may still go.
    fn is_erased(&self) -> bool {
        PersonName::of(&self.person).is_erased()
    }

    fn title(&self) -> &'static str {
        if self.is_erased() { "erase-person-rest-title" } else { "erase-person-title" }
    }

    fn lead(&self) -> &'static str {
        if self.is_erased() { "erase-person-rest-lead" } else { "erase-person-lead" }
    }
}

pub async fn ask(
    page: Page,
    Of(_, person): Of<Admin, account::Model>,
) -> Result<HttpResponse, AppError> {
    let (form, errors) = (PersonErasureForm::default(), FieldErrors::default());
    page::html(&ErasePersonPage { page, person, form, errors })
}

#[derive(Default, Deserialize)]
pub struct PersonErasureForm {
    reason: String,
    /// What they wrote goes, too.
    #[serde(default)]
    texts: Option<String>,
}

pub async fn erase(
    page: Page,
    Of(Admin(me), person): Of<Admin, account::Model>,
    form: TypedForm<PersonErasureForm>,
    session: Session,
    shared: (web::Data<DatabaseConnection>, web::Data<ArtifactStore>),
) -> Result<HttpResponse, AppError> {
    let (db, store) = shared;
    let form = form.into_inner();
    match ErasureOrder::by_form(&form.reason, me.id) {
        Ok(order) => {
            let written = if form.texts.is_some() { WrittenTexts::Go } else { WrittenTexts::Stay };
            people::erase(&db, &store, person.id, written, &order).await?;
            page::notify(&session, "notice-erased", "")?;
            Ok(page::see_other(&address::address("/admin/erasures")))
        }
        Err(errors) => page::invalid(&ErasePersonPage { page, person, form, errors }),
    }
}

pub async fn export(
    Of(Admin(me), person): Of<Admin, account::Model>,
    db: web::Data<DatabaseConnection>,
    method: Method,
) -> Result<HttpResponse, AppError> {
    download(&db, &person, &me, &method).await
}

/// What is kept of whoever asks.
pub async fn export_own(
    SignedIn(person): SignedIn,
    db: web::Data<DatabaseConnection>,
    method: Method,
) -> Result<HttpResponse, AppError> {
    download(&db, &person, &person, &method).await
}

/// HEAD takes nothing away, and is not in the log.
async fn download(
    db: &DatabaseConnection,
    person: &account::Model,
    by: &account::Model,
    method: &Method,
) -> Result<HttpResponse, AppError> {
    let mut answer = HttpResponse::Ok();
    answer
        .insert_header((header::CONTENT_TYPE, "application/x-ndjson"))
        .insert_header((header::CONTENT_DISPOSITION, "attachment; filename=\"person.jsonl\""));
    if method == Method::HEAD {
        return Ok(answer.finish());
    }
    let file = export::of_person(db, person, Some(by.id)).await?;
    Ok(answer.streaming(ReaderStream::new(tokio::fs::File::from_std(file))))
}
