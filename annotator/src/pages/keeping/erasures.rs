//! `/admin/erasures`: finding a text, seeing where it is used, erasing it; and what was erased.

use crate::{
    keeping::erasure::{
        self, ErasureOrder,
        elsewhere::{self, WordsElsewhere},
        search::{self, FoundText},
        texts,
        uses::TextUses,
    },
    people::{accounts, person_name::PersonName},
    web::{
        access::Admin,
        address,
        error::AppError,
        form::FieldErrors,
        format,
        list_part::{ListPart, ListPosition},
        of::{AddressObject, Of},
        page::{self, Page},
        typed::{TypedForm, TypedQuery},
    },
};
use actix_session::Session;
use actix_web::{HttpResponse, web};
use askama::Template;
use entity::{erasure as erasure_row, ids::ErasureId, text};
use sea_orm::{ConnectionTrait, DatabaseConnection, DbErr, EntityTrait};
use serde::Deserialize;
use storage::artifact_store::ArtifactStore;

/// Texts, and erasures, that a page shows at the most.
const PER_PAGE: usize = 100;

#[derive(Template)]
#[template(path = "admin/erasures/list.html")]
struct ErasuresPage {
    page: Page,
    words: String,
    /// The texts that have the words.
    found: Option<FoundTexts>,
    /// Without words, what was erased.
    erased: Option<ListPart<Line>>,
}

struct FoundTexts {
    texts: Vec<FoundText>,
    /// Where the first part of what was found is, unless it is this, and where the next is.
    newest: Option<String>,
    older: Option<String>,
}

/// Something that was erased, and by whom.
struct Line {
    erasure: erasure_row::Model,
    by: Option<PersonName>,
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
    /// What the last page ended with: a text by its hash, an erasure by its id.
    #[serde(default)]
    after: String,
    /// The erasure that the last page began with.
    #[serde(default)]
    before: String,
}

pub async fn list(
    page: Page,
    _: Admin,
    query: TypedQuery<SearchQuery>,
    db: web::Data<DatabaseConnection>,
) -> Result<HttpResponse, AppError> {
    let db = db.get_ref();
    let SearchQuery { words, after, before } = query.into_inner();
    let words = words.trim().to_owned();
    let (mut found, mut erased) = (None, None);
    if words.is_empty() {
        erased = Some(erased_part(db, &ListPosition { after, before }).await?);
    } else {
        found = Some(FoundTexts::of(db, &words, after).await?);
    }
    page::html(&ErasuresPage { page, words, found, erased })
}

impl FoundTexts {
    async fn of(db: &DatabaseConnection, words: &str, after: String) -> Result<Self, AppError> {
        let last = match after.is_empty() {
            true => None,
            false => Some(NamedText::load(db, after).await?.ok_or(AppError::NotFound)?.0),
        };
        let place = last.as_ref().map(|text| (text.created_at, text.hash.clone()));
        // One more tells whether there are others.
        let mut found = search::find(db, words, place, PER_PAGE + 1).await?;
        let goes_on = found.len() > PER_PAGE;
        found.truncate(PER_PAGE);
        let again = format!("words={}", address::query_value(words));
        let older =
            found.last().filter(|_| goes_on).map(|text| format!("{again}&after={}", text.hash));
        let newest = last.map(|_| again);
        Ok(Self { texts: found, newest, older })
    }
}

async fn erased_part(
    db: &impl ConnectionTrait,
    position: &ListPosition,
) -> Result<ListPart<Line>, AppError> {
    let key: (_, fn(&erasure_row::Model) -> ErasureId) = (erasure_row::Column::Id, |row| row.id);
    let all = erasure_row::Entity::find();
    let ListPart { rows, newer, older } = ListPart::load(db, all, key, position, PER_PAGE).await?;
    let people = accounts::names(db, rows.iter().filter_map(|row| row.erased_by)).await?;
    let line = |erasure: erasure_row::Model| Line {
        by: erasure.erased_by.and_then(|id| people.get(&id).cloned()),
        erasure,
    };
    Ok(ListPart { rows: rows.into_iter().map(line).collect(), newer, older })
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
    elsewhere: WordsElsewhere,
    form: ErasureForm,
    errors: FieldErrors,
}

impl ErasedTextPage {
    async fn new(page: Page, text: text::Model, db: &DatabaseConnection) -> Result<Self, AppError> {
        let uses = TextUses::of(db, &text.hash).await?;
        let erasure = erasure::of_text(db, &text.hash).await?;
        let elsewhere = WordsElsewhere::of(db, &text, &elsewhere::guidelines(db).await?).await?;
        let (form, errors) = (ErasureForm::default(), FieldErrors::default());
        Ok(Self { page, text, erasure, uses, elsewhere, form, errors })
    }
}

pub async fn show(
    page: Page,
    Of(_, NamedText(text)): Of<Admin, NamedText>,
    db: web::Data<DatabaseConnection>,
) -> Result<HttpResponse, AppError> {
    page::html(&ErasedTextPage::new(page, text, &db).await?)
}

#[derive(Default, Deserialize)]
pub struct ErasureForm {
    reason: String,
    /// The words go from guidelines, too.
    #[serde(default)]
    guidelines: Option<String>,
}

pub async fn erase(
    page: Page,
    Of(Admin(me), NamedText(text)): Of<Admin, NamedText>,
    form: TypedForm<ErasureForm>,
    session: Session,
    shared: (web::Data<DatabaseConnection>, web::Data<ArtifactStore>),
) -> Result<HttpResponse, AppError> {
    let (db, store) = shared;
    let form = form.into_inner();
    match ErasureOrder::by_form(&form.reason, me.id) {
        Ok(order) => {
            let order = order.with_guidelines(form.guidelines.is_some());
            texts::erase(&db, &store, &[text.hash], &order).await?;
            page::notify(&session, "notice-erased", "")?;
            Ok(page::see_other(&address::address("/admin/erasures")))
        }
        Err(errors) => {
            let mut view = ErasedTextPage::new(page, text, &db).await?;
            (view.form, view.errors) = (form, errors);
            page::invalid(&view)
        }
    }
}
