//! A form that could not be done because something failed here: the page that says so holds what was
//! typed, to be sent again. A token that was not valid stays so, and passwords are never shown.

use crate::web::{address, csrf};
use actix_web::{
    HttpMessage, HttpRequest,
    dev::ServiceRequest,
    http::header,
    web::{Bytes, Data},
};
use entity::ids::AccountId;
use uuid::Uuid;

use super::request_body::{ArrivingBody, BodyKind, LargeBodies, SMALL_BYTES};

/// Fields whose values are secrets: a form that has one is not shown again. A test compares the list
/// with every field of that type.
pub const SECRETS: [&str; 5] = ["password", "current", "new", "again", "key"];

/// The longest form that is shown again, in bytes of its values: an answer with room to spare.
const MAX_BYTES: usize = 3 << 20;

/// More fields than any form of ours has.
const MAX_FIELDS: usize = 200;

/// A value that is longer, or has a blank, is shown; others go along.
const MAX_HIDDEN: usize = 64;

/// Nobody in particular, where it is not known who asks.
const NOBODY: AccountId = AccountId(Uuid::nil());

/// The body of a form, kept with its request.
#[derive(Clone)]
struct SentForm(Bytes);

/// What was sent, as a form of a page.
#[derive(Debug, PartialEq, Eq)]
pub struct FormAgain {
    pub action: String,
    /// That which was sent, under a mask of its own.
    pub token: String,
    pub fields: Vec<FieldAgain>,
}

/// A field and what was in it.
#[derive(Debug, PartialEq, Eq)]
pub struct FieldAgain {
    pub name: String,
    pub value: String,
}

impl FieldAgain {
    /// Whether somebody typed it, as far as one can tell.
    pub fn is_text(&self) -> bool {
        self.value.len() > MAX_HIDDEN || self.value.contains(char::is_whitespace)
    }
}

/// Keeps the body with its request, for [`again`]. What a script sends it keeps itself.
pub fn keep(request: &HttpRequest, body: &Bytes) {
    if !request.headers().contains_key(csrf::FIELD) {
        request.extensions_mut().insert(SentForm(body.clone()));
    }
}

/// The form that this request brought, if it can be shown.
pub fn again(request: &HttpRequest) -> Option<FormAgain> {
    let SentForm(body) = request.extensions().get::<SentForm>()?.clone();
    of_body(address::of_request(request), &body)
}

/// Reads the form of a request of which nobody knows whose it is; within the bounds for everybody.
pub async fn read(request: &mut ServiceRequest) -> Option<FormAgain> {
    let kind = request.headers().get(header::CONTENT_TYPE)?;
    let is_form = kind.as_bytes().starts_with(b"application/x-www-form-urlencoded");
    if request.method().is_safe() || !is_form || request.headers().contains_key(csrf::FIELD) {
        return None;
    }
    BodyKind::Form.check(request.headers()).ok()?;
    let mut body = ArrivingBody::new(request.take_payload(), BodyKind::Form);
    let (beginning, is_all) = body.beginning(SMALL_BYTES).await.ok()?;
    let action = address::of_request(request.request());
    if is_all {
        return of_body(action, &beginning);
    }
    let places = request.app_data::<Data<LargeBodies>>()?.clone();
    let _place = places.place(NOBODY).await.ok()?;
    of_body(action, &body.rest(beginning).await.ok()?)
}

fn of_body(action: String, body: &[u8]) -> Option<FormAgain> {
    let mut fields: Vec<(String, String)> = serde_urlencoded::from_bytes(body).ok()?;
    let n_bytes: usize = fields.iter().map(|(name, value)| name.len() + value.len()).sum();
    let is_secret = fields.iter().any(|(name, _)| SECRETS.contains(&name.as_str()));
    if is_secret || n_bytes > MAX_BYTES || fields.len() > MAX_FIELDS {
        return None;
    }
    let at = fields.iter().position(|(name, _)| name == csrf::FIELD)?;
    let (_, token) = fields.remove(at);
    let fields = fields.into_iter().map(|(name, value)| FieldAgain { name, value }).collect();
    Some(FormAgain { action, token: csrf::masked_anew(&token)?, fields })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(body: &str) -> Option<FormAgain> {
        of_body("/here".to_owned(), body.as_bytes())
    }

    #[test]
    fn a_form_is_shown_again_with_its_token_and_without_secrets() {
        let token = "0".repeat(csrf::MASKED_BYTES);
        let form = shown(&format!("csrf={token}&answer=two+words&key_of_page=a1&verdict=left"));
        let form = form.unwrap();
        assert_ne!(form.token, token);
        let of = |at: usize| (form.fields[at].name.as_str(), form.fields[at].is_text());
        assert_eq!(
            [of(0), of(1), of(2)],
            [("answer", true), ("key_of_page", false), ("verdict", false)]
        );
        assert_eq!(form.fields[0].value, "two words");
        for secret in SECRETS {
            assert_eq!(shown(&format!("csrf={token}&login=anna&{secret}=word")), None, "{secret}");
        }
        assert_eq!(shown("csrf=short&answer=a"), None);
        assert_eq!(shown("answer=a"), None);
        let long = "a".repeat(MAX_BYTES);
        assert_eq!(shown(&format!("csrf={token}&answer={long}")), None);
    }
}
