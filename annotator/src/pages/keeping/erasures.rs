//! `/admin/erasures`: finding a text, seeing where it is used, erasing it; and what was erased.

use crate::{
    data::{prompts, texts::beginning},
    keeping::erasure::{
        self, ErasureOrder,
        texts::{self, TextUses},
    },
    people::accounts,
    web::{
        access::Admin,
        address,
        error::AppError,
        form::FieldErrors,
        format,
        of::{AddressObject, Of},
        page::{self, Page},
        typed::{TypedForm, TypedQuery},
    },
};
use actix_session::Session;
use actix_web::{HttpResponse, web};
use askama::Template;
use entity::{erasure as erasure_row, text};
use sea_orm::{DatabaseConnection, DbErr, EntityTrait};
use serde::Deserialize;

#[derive(Template)]
#[template(path = "admin/erasures/list.html")]
struct ErasuresPage {
    page: Page,
    words: String,
    found: Vec<Found>,
    /// Where the first part of what was found is, unless it is this, and where the next is.
    newest: Option<String>,
    older: Option<String>,
    erased: Vec<Line>,
}

/// A text that has the words.
struct Found {
    hash: String,
    beginning: String,
    is_erased: bool,
}

/// Something that was erased, and by whom.
struct Line {
    erasure: erasure_row::Model,
    by: Option<String>,
}

impl Line {
    fn kind(&self) -> &'static str {
        match self.erasure.kind {
            erasure_row::ErasureKind::Text => "erasure-of-text",
            erasure_row::ErasureKind::Account => "erasure-of-person",
        }
    }

    fn is_text(&self) -> bool {
        self.erasure.kind == erasure_row::ErasureKind::Text
    }
}

#[derive(Deserialize)]
pub struct SearchQuery {
    #[serde(default)]
    words: String,
    /// The text that the last page ended with, by its hash.
    #[serde(default)]
    after: String,
}

pub async fn list(
    page: Page,
    _: Admin,
    query: TypedQuery<SearchQuery>,
    db: web::Data<DatabaseConnection>,
) -> Result<HttpResponse, AppError> {
    let db = db.get_ref();
    let SearchQuery { words, after } = query.into_inner();
    let words = words.trim().to_owned();
    let last = match after.is_empty() {
        true => None,
        false => Some(NamedText::load(db, after).await?.ok_or(AppError::NotFound)?.0),
    };
    let mut found = match words.is_empty() {
        true => Vec::new(),
        // One more tells whether there are others.
        false => texts::find(db, &words, last.as_ref(), Some(texts::FOUND as u64 + 1)).await?,
    };
    let goes_on = found.len() > texts::FOUND;
    found.truncate(texts::FOUND);
    let again = format!("words={}", address::query_value(&words));
    let older = found.last().filter(|_| goes_on).map(|text| format!("{again}&after={}", text.hash));
    let newest = last.map(|_| again);
    let found = found.into_iter().map(|text| Found {
        is_erased: text.body.is_none(),
        beginning: text.body.map(shown).unwrap_or_default(),
        hash: text.hash,
    });
    let found = found.collect();
    let rows = erasure::all(db).await?;
    let people = accounts::names(db, rows.iter().filter_map(|row| row.erased_by)).await?;
    let line = |erasure: erasure_row::Model| Line {
        by: erasure.erased_by.and_then(|id| people.get(&id).cloned()),
        erasure,
    };
    let erased = rows.into_iter().map(line).collect();
    page::html(&ErasuresPage { page, words, found, newest, older, erased })
}

/// How a list shows a text, which may be a prompt.
fn shown(body: String) -> String {
    beginning(&prompts::headline(prompts::parse(&body)))
}

/// A text that an address names by its hash.
pub struct NamedText(text::Model);

impl AddressObject for NamedText {
    const PLACEHOLDER: &'static str = "text";

    type Id = String;

    async fn load(db: &DatabaseConnection, hash: String) -> Result<Option<Self>, DbErr> {
        // PostgreSQL refuses byte 0 in what it looks for.
        if !hash.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Ok(None);
        }
        Ok(text::Entity::find_by_id(hash).one(db).await?.map(Self))
    }
}

#[derive(Template)]
#[template(path = "admin/erasures/texts/show.html")]
struct ErasedTextPage {
    page: Page,
    text: text::Model,
    erasure: Option<erasure_row::Model>,
    uses: TextUses,
    reason: String,
    errors: FieldErrors,
}

impl ErasedTextPage {
    async fn new(page: Page, text: text::Model, db: &DatabaseConnection) -> Result<Self, AppError> {
        let mut uses = TextUses::of(db, &text.hash).await?;
        uses.versions.retain(|version| version.filling_since.is_none());
        let erasure = erasure::of_text(db, &text.hash).await?;
        let (reason, errors) = (String::new(), FieldErrors::default());
        Ok(Self { page, text, erasure, uses, reason, errors })
    }
}

pub async fn show(
    page: Page,
    Of(_, NamedText(text)): Of<Admin, NamedText>,
    db: web::Data<DatabaseConnection>,
) -> Result<HttpResponse, AppError> {
    page::html(&ErasedTextPage::new(page, text, &db).await?)
}

#[derive(Deserialize)]
pub struct ErasureForm {
    reason: String,
}

pub async fn erase(
    page: Page,
    Of(Admin(me), NamedText(text)): Of<Admin, NamedText>,
    form: TypedForm<ErasureForm>,
    session: Session,
    db: web::Data<DatabaseConnection>,
) -> Result<HttpResponse, AppError> {
    let reason = form.into_inner().reason;
    match ErasureOrder::by_form(&reason, me.id) {
        Ok(order) => {
            texts::erase(&db, &[text.hash], &order).await?;
            page::notify(&session, "notice-erased", "")?;
            Ok(page::see_other(&address::address("/admin/erasures")))
        }
        Err(errors) => {
            let mut view = ErasedTextPage::new(page, text, &db).await?;
            (view.reason, view.errors) = (reason, errors);
            page::invalid(&view)
        }
    }
}
