//! What is wrong with a form: by field, as messages. Checks make it, pages show it; a program that
//! asks without a page can be told the same.

use crate::web::{
    error::AppError,
    message::Message,
    typed::{has_invisible, one_line},
};
use sea_orm::{DbErr, SqlErr};
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

    /// A text of one line, as it is stored. One that is too long, or holds what nobody sees, is a
    /// mistake.
    pub fn line(&mut self, field: &'static str, typed: &str, most: usize) -> String {
        let line = one_line(typed);
        self.within(field, &line, most);
        if has_invisible(&line) {
            self.add(field, "form-invisible");
        }
        line
    }

    /// A text of more characters than a field takes is a mistake.
    pub fn within(&mut self, field: &'static str, text: &str, most: usize) {
        // A text of fewer bytes has fewer characters.
        let n = if text.len() > most { text.chars().count() } else { 0 };
        if n > most {
            self.add(field, Message::new("form-too-long").with("n", n).with("most", most));
        }
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

impl FormError {
    /// What a row could not be stored for: a mistake of this field when somebody else stored one like
    /// it, perhaps in the same moment, which no look beforehand can tell.
    pub fn if_taken(field: &'static str, message: &'static str) -> impl Fn(DbErr) -> Self {
        move |error| match error.sql_err() {
            Some(SqlErr::UniqueConstraintViolation(_)) => FieldErrors::one(field, message).into(),
            _ => Self::Failed(error.into()),
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_bounded_in_characters_and_told_so() {
        let mut errors = FieldErrors::default();
        errors.within("name", &"ё".repeat(100), 100);
        assert!(errors.is_empty());
        errors.within("name", &"ё".repeat(101), 100);
        let told = errors.of("name").unwrap().to_string();
        assert!(told.contains("101") && told.contains("100"), "{told}");
    }

    #[test]
    fn a_name_with_what_nobody_sees_is_a_mistake() {
        let mut errors = FieldErrors::default();
        assert_eq!(errors.line("name", " Anna \n B. ", 100), "Anna B.");
        assert!(errors.is_empty());
        errors.line("name", "Anna\u{FFFD}", 100);
        assert_eq!(errors, FieldErrors::one("name", "form-invisible"));
    }
}
