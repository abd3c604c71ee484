//! Who asks: a person by their session. A key of the API will be another way to be somebody.

use crate::web::{address, error::AppError, session};
use actix_session::SessionExt;
use actix_web::{HttpMessage, HttpRequest, web};
use entity::{account, ids::AccountId};
use sea_orm::{DatabaseConnection, EntityTrait};

/// The database that the request belongs to.
pub fn database(request: &HttpRequest) -> Result<DatabaseConnection, AppError> {
    let db = request.app_data::<web::Data<DatabaseConnection>>();
    Ok(db.ok_or_else(|| anyhow::anyhow!("the app has no database"))?.get_ref().clone())
}

/// Whoever sent a request, and how they showed it.
#[derive(Clone, Debug, PartialEq)]
pub enum Principal {
    /// A person at a browser, who signed in.
    Session(account::Model),
}

/// What was found for this request, so that page and extractors ask the database once.
#[derive(Clone)]
struct KnownPrincipal(Option<Principal>);

impl Principal {
    /// None: nobody is signed in. An account that was disabled, or whose password was reset, is
    /// nobody.
    pub async fn of(request: &HttpRequest) -> Result<Option<Self>, AppError> {
        if let Some(known) = request.extensions().get::<KnownPrincipal>() {
            return Ok(known.0.clone());
        }
        let principal = Self::of_session(request).await?;
        // Extractors are polled in turns: another may have been here meanwhile.
        let is_first = request.extensions().get::<KnownPrincipal>().is_none();
        if let Some(principal) = principal.as_ref().filter(|_| is_first) {
            let account = principal.account().id;
            tracing::Span::current().record("account", tracing::field::display(account));
        }
        request.extensions_mut().insert(KnownPrincipal(principal.clone()));
        Ok(principal)
    }

    async fn of_session(request: &HttpRequest) -> Result<Option<Self>, AppError> {
        let began = request.get_session();
        let id = began.get::<AccountId>(session::ACCOUNT).ok().flatten();
        let account = match id {
            None => None,
            Some(id) => match session::account_read_along(id) {
                Some(account) => Some(account),
                None => account::Entity::find_by_id(id).one(&database(request)?).await?,
            },
        };
        let is_theirs = |account: &account::Model| {
            account.disabled_at.is_none() && session::is_of(&began, account)
        };
        Ok(account.filter(is_theirs).map(Self::Session))
    }

    /// Like [`Self::of`]; nobody is sent to the sign-in page, which leads back here.
    pub async fn required(request: &HttpRequest) -> Result<Self, AppError> {
        if let Some(principal) = Self::of(request).await? {
            return Ok(principal);
        }
        let is_page = request.method().is_safe();
        let next = if is_page { address::of_request(request) } else { address::address("/") };
        Err(AppError::SignInFirst { next })
    }

    /// Who was found for this request, if anybody was asked for.
    pub fn known(request: &HttpRequest) -> Option<Self> {
        request.extensions().get::<KnownPrincipal>()?.0.clone()
    }

    /// Whose rights the request has.
    pub fn account(&self) -> &account::Model {
        match self {
            Self::Session(account) => account,
        }
    }

    pub fn into_account(self) -> account::Model {
        match self {
            Self::Session(account) => account,
        }
    }

    /// Makes a request of a test this person's, or nobody's.
    #[cfg(test)]
    pub fn set(request: &HttpRequest, account: Option<account::Model>) {
        request.extensions_mut().insert(KnownPrincipal(account.map(Self::Session)));
    }
}

/// The account of whoever is signed in, if anybody.
pub async fn current_account(request: &HttpRequest) -> Result<Option<account::Model>, AppError> {
    Ok(Principal::of(request).await?.map(Principal::into_account))
}
