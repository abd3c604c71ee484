//! What somebody is called. Who was erased has no name: pages say so in the reader's language, and what
//! programs read says it as it is stored.

use crate::web::i18n::Language;
use entity::{account, ids::AccountId};

/// A name, or that there is none any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PersonName {
    stored: String,
    /// The account that stands in for whoever was erased.
    erased: Option<AccountId>,
}

impl PersonName {
    pub fn of(account: &account::Model) -> Self {
        let erased = (account.login == login_of_erased(account.id)).then_some(account.id);
        Self { stored: account.display_name.clone(), erased }
    }

    pub fn is_erased(&self) -> bool {
        self.erased.is_some()
    }

    /// For a reader.
    pub fn shown(&self, language: Language) -> String {
        match self.erased {
            Some(id) => language.text("erased-person").arg("id", id.short()).to_string(),
            None => self.stored.clone(),
        }
    }

    /// For programs, in no language.
    pub fn stored(&self) -> &str {
        &self.stored
    }
}

/// The login of an account whose person was erased.
pub fn login_of_erased(id: AccountId) -> String {
    format!("erased-{}", id.0.simple())
}

/// Its name, as it is stored.
pub fn name_of_erased(id: AccountId) -> String {
    format!("Erased person {}", id.short())
}
