//! A form is accepted only with the token of whom it was shown to (synchroniser token): that of the
//! session of whoever is signed in, else that of a cookie, so that nobody who only looks costs a
//! session. [`crate::web::form_guard`] refuses every other POST.
//!
//! What a page shows is the token under a mask that is drawn anew for every answer: compression would
//! otherwise tell it letter by letter to whoever can have a page made again and again (BREACH).

use crate::web::{cookies, error::AppError};
use actix_session::{Session, SessionExt};
use actix_web::{
    Error, HttpMessage, HttpRequest,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    http::header,
    middleware::Next,
};
use rand::{
    RngExt,
    distr::{Alphanumeric, SampleString},
};
use subtle::ConstantTimeEq;

const TOKEN: &str = "csrf";

/// The hidden field that carries the token; a script may send it as a header of the same name.
pub const FIELD: &str = "csrf";

/// Keeps the token of a browser that nobody is signed in on.
const COOKIE: &str = "attune_form";

const TOKEN_BYTES: usize = 32;

/// As a page shows it: mask and masked token, in hexadecimal digits.
pub const MASKED_BYTES: usize = 4 * TOKEN_BYTES;

/// A token that this answer gives the browser.
struct FreshToken(String);

fn fresh() -> String {
    Alphanumeric.sample_string(&mut rand::rng(), TOKEN_BYTES)
}

/// The token for a page, masked.
pub fn token(request: &HttpRequest) -> Result<String, AppError> {
    if let Some(token) = expected(request) {
        return Ok(mask(&token));
    }
    let (token, session) = (fresh(), request.get_session());
    if session.entries().is_empty() {
        request.extensions_mut().insert(FreshToken(token.clone()));
    } else {
        keep(&session, &token)?;
    }
    Ok(mask(&token))
}

/// The token of the session, if there is one since somebody signed in; else of the browser.
fn expected(request: &HttpRequest) -> Option<String> {
    let session = request.get_session();
    if !session.entries().is_empty() {
        return session.get::<String>(TOKEN).ok().flatten();
    }
    if let Some(FreshToken(token)) = request.extensions().get() {
        return Some(token.clone());
    }
    browser_token(request)
}

/// The token of the browser, whoever is signed in on it.
pub fn browser_token(request: &HttpRequest) -> Option<String> {
    let kept = request.cookie(COOKIE)?.value().to_owned();
    (kept.len() == TOKEN_BYTES).then_some(kept)
}

/// A fresh token: at sign-in, with the fresh session key.
pub fn renew(session: &Session) -> Result<(), AppError> {
    keep(session, &fresh())
}

fn keep(session: &Session, token: &str) -> Result<(), AppError> {
    let kept = session.insert(TOKEN, token);
    kept.map_err(|error| AppError::Internal(anyhow::anyhow!("{error}")))
}

/// Whose token a form came with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenOwner {
    /// The session of whoever is signed in.
    Session,
    /// A browser that nobody was signed in on when it was shown the form.
    Browser,
}

/// Whose token came with a form, compared in constant time; else why it is none. A form that pages of
/// signed-out people have (`is_open`) may come with the browser's, though somebody has signed in
/// meanwhile: by the same form a moment ago, or in another window.
pub fn check(
    request: &HttpRequest,
    sent: Option<&str>,
    is_open: bool,
) -> Result<TokenOwner, AppError> {
    let sent = sent.and_then(unmask);
    let is_it =
        |token: &String| sent.as_ref().is_some_and(|sent| bool::from(sent.ct_eq(token.as_bytes())));
    let has_session = !request.get_session().entries().is_empty();
    let expected = expected(request);
    if expected.as_ref().is_some_and(is_it) {
        return Ok(if has_session { TokenOwner::Session } else { TokenOwner::Browser });
    }
    if is_open && browser_token(request).as_ref().is_some_and(is_it) {
        return Ok(TokenOwner::Browser);
    }
    match (sent, expected) {
        (Some(_), None) if request.headers().get(header::COOKIE).is_none() => {
            Err(AppError::NoCookie { needs_https: needs_https(request) })
        }
        _ => Err(AppError::StaleForm),
    }
}

/// Whether the browser got cookies for HTTPS alone over plain HTTP, and so kept none.
fn needs_https(request: &HttpRequest) -> bool {
    let came_from = [header::ORIGIN, header::REFERER];
    let mut came_from = came_from.iter().filter_map(|name| request.headers().get(name));
    cookies::are_secure(request)
        && came_from.next().is_some_and(|from| from.as_bytes().starts_with(b"http://"))
}

fn mask(token: &str) -> String {
    let mut mask = vec![0; token.len()];
    rand::rng().fill(&mut mask[..]);
    let masked: Vec<u8> = token.bytes().zip(&mask).map(|(byte, mask)| byte ^ mask).collect();
    hex::encode(mask) + &hex::encode(masked)
}

/// What was sent under a mask of its own, valid or not; none if it is no token at all.
pub fn masked_anew(sent: &str) -> Option<String> {
    Some(mask(&String::from_utf8(unmask(sent)?).ok()?))
}

fn unmask(sent: &str) -> Option<Vec<u8>> {
    if sent.len() != MASKED_BYTES {
        return None;
    }
    let bytes = hex::decode(sent).ok()?;
    let (mask, masked) = bytes.split_at(bytes.len() / 2);
    Some(masked.iter().zip(mask).map(|(byte, mask)| byte ^ mask).collect())
}

/// Middleware: a browser that was shown a fresh token keeps it.
pub async fn keep_token(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let mut response = next.call(request).await?;
    let fresh = response.request().extensions_mut().remove::<FreshToken>();
    if let Some(FreshToken(token)) = fresh {
        let cookie = cookies::passing(response.request(), COOKIE.to_owned(), token).finish();
        response.response_mut().add_cookie(&cookie)?;
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_looks_different_every_time_and_is_the_same() {
        let token = fresh();
        let (first, second) = (mask(&token), mask(&token));
        assert_eq!(first.len(), MASKED_BYTES);
        for masked in [&first, &second] {
            assert_eq!(unmask(masked).as_deref(), Some(token.as_bytes()));
            assert!(!masked.contains(&token) && !masked.contains(&hex::encode(&token)));
        }
        let n_alike = first.bytes().zip(second.bytes()).filter(|(a, b)| a == b).count();
        assert!(n_alike < MASKED_BYTES / 2, "{n_alike} digits are those of another answer");
        for odd in ["", &token, &first[1..], &"я".repeat(64)] {
            assert_eq!(unmask(odd), None);
        }
    }
}
