//! `/projects/{project}/imports/{import}`: a file on its way in: how far it is, what it brought, what
//! is wrong with it. `/cancel` stops it.

use crate::{
    data::{
        formats,
        import::{self as files, queue::ImportQueue},
    },
    people::{accounts, person_name::PersonName},
    web::{
        access::{Access, Manager},
        error::AppError,
        format,
        of::Of,
        page::{self, Page},
    },
};
use actix_session::Session;
use actix_web::{HttpResponse, web};
use askama::Template;
use entity::{
    import::{self, ImportState},
    message::KeyedMessage,
};
use sea_orm::DatabaseConnection;

#[derive(Template)]
#[template(path = "imports/show.html")]
struct ImportPage {
    page: Page,
    access: Access,
    import: import::Model,
    by: Option<PersonName>,
    why: Option<KeyedMessage>,
}

impl ImportPage {
    /// New rows by what they are: a Fluent key, and how many.
    fn new_rows(&self) -> Vec<(&'static str, u64)> {
        let n = |kind| self.import.counts.new.get(&kind).copied().unwrap_or_default();
        let kinds = files::counted_kinds().into_iter();
        kinds
            .map(|kind| (formats::of(kind).words().name, n(kind)))
            .filter(|(_, n)| *n > 0)
            .collect()
    }

    fn refused_title(&self) -> &'static str {
        match self.import.counts.erased {
            0 => "import-refused-title",
            _ => "import-left-out-title",
        }
    }

    /// Rows are in, or are coming in.
    fn has_counts(&self) -> bool {
        self.import.n_done > 0
    }

    /// It ended before all rows were in.
    fn is_half_in(&self) -> bool {
        self.has_counts()
            && matches!(self.import.state, ImportState::Cancelled | ImportState::Failed)
    }

    fn state_key(&self) -> &'static str {
        state_key(&self.import.state)
    }

    /// The class of the state's tag.
    fn state_class(&self) -> &'static str {
        match self.import.state {
            ImportState::Waiting | ImportState::Cancelled => "waiting",
            ImportState::Checking | ImportState::Storing => "running",
            ImportState::Done => "succeeded",
            ImportState::Refused | ImportState::Failed => "failed",
        }
    }

    fn is_checked(&self) -> bool {
        self.import.n_rows + self.import.n_refused > 0
    }
}

/// The Fluent key of a state.
pub fn state_key(state: &ImportState) -> &'static str {
    match state {
        ImportState::Waiting => "import-state-waiting",
        ImportState::Checking => "import-state-checking",
        ImportState::Storing => "import-state-storing",
        ImportState::Done => "import-state-done",
        ImportState::Refused => "import-state-refused",
        ImportState::Cancelled => "import-state-cancelled",
        ImportState::Failed => "import-state-failed",
    }
}

pub async fn show(
    page: Page,
    Of(Manager(access), import): Of<Manager, import::Model>,
    db: web::Data<DatabaseConnection>,
) -> Result<HttpResponse, AppError> {
    let by = accounts::name(db.get_ref(), import.created_by).await?;
    let why = import.why();
    page::html(&ImportPage { page, access, import, by, why })
}

pub async fn cancel(
    Of(Manager(access), import): Of<Manager, import::Model>,
    session: Session,
    queue: web::Data<ImportQueue>,
) -> Result<HttpResponse, AppError> {
    if queue.cancel(import.id, access.account.id).await? {
        page::notify(&session, "notice-import-cancelled", "")?;
    }
    Ok(page::see_other(&access.url(&format!("/imports/{}", import.id))))
}
