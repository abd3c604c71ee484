//! What is wrong with a form: by field, as messages. Checks make it, pages show it; a program that
//! asks without a page can be told the same.

use crate::web::{error::AppError, message::Message};
use sea_orm::DbErr;
use storage::database::WriteError;

/// The mistakes in a form, in the order of its fields.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FieldErrors(Vec<(&'static str, Message)>);

impl FieldErrors {
    /// One mistake.
    pub fn one(field: &'static str, message: impl Into<Message>) -> Self {
        Self(vec![(field, message.into())])
    }

    /// Adds a mistake: a Fluent key, or a message with arguments.
    pub fn add(&mut self, field: &'static str, message: impl Into<Message>) {
        self.0.push((field, message.into()));
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn of(&self, field: &str) -> Option<&Message> {
        self.0.iter().find(|(name, _)| *name == field).map(|(_, message)| message)
    }

    pub fn iter(&self) -> impl Iterator<Item = &(&'static str, Message)> {
        self.0.iter()
    }

    /// Nothing if there is no mistake.
    pub fn or_invalid(self) -> Result<(), FormError> {
        if self.is_empty() { Ok(()) } else { Err(FormError::Invalid(self)) }
    }
}

/// Why what a form asks for was not done.
#[derive(Debug)]
pub enum FormError {
    /// What was typed will not do; nothing was changed.
    Invalid(FieldErrors),
    /// Anything else.
    Failed(AppError),
}

impl From<FieldErrors> for FormError {
    fn from(errors: FieldErrors) -> Self {
        Self::Invalid(errors)
    }
}

impl<E: Into<AppError>> From<E> for FormError {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

impl WriteError for FormError {
    fn of_database(&self) -> Option<&DbErr> {
        match self {
            Self::Failed(error) => error.of_database(),
            Self::Invalid(_) => None,
        }
    }
}
