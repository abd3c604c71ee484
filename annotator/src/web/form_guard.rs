//! What every form passes before its handler: its token, and the bounds of its body. A handler gets
//! only what somebody sent from a page of ours, and only whoever is signed in sends more than a
//! little.

use crate::web::{
    csrf,
    error::AppError,
    once::AdmittedForm,
    principal::Principal,
    request_body::{
        ArrivingBody, BodyKind, LargeBodies, LargeBodyPlace, SMALL_BYTES, STRANGERS_BYTES,
    },
    sent_form,
};
use actix_multipart::Multipart;
use actix_web::{
    Error, HttpMessage, HttpRequest,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    error::PayloadError,
    http::header,
    middleware::Next,
    web::{self, Bytes},
};
use futures_util::{TryStreamExt, future, stream};

/// Reads as much as it has to of a body of this kind, checks the token, hands the body on. `is_open`:
/// pages of signed-out people have the form.
pub async fn guard_form(
    (kind, is_open): (BodyKind, bool),
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    if request.method().is_safe() {
        return Ok(next.call(request).await?.map_into_boxed_body());
    }
    match admit(kind, is_open, &mut request).await {
        Ok(_place) => Ok(next.call(request).await?.map_into_boxed_body()),
        Err(error) => Ok(request.error_response(error).map_into_boxed_body()),
    }
}

/// The place of a large body is held until it is answered.
async fn admit(
    kind: BodyKind,
    is_open: bool,
    request: &mut ServiceRequest,
) -> Result<Option<LargeBodyPlace>, AppError> {
    kind.check(request.headers())?;
    let length = request.headers().get(header::CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    let is_known = Principal::of(request.request()).await?.is_some();
    let n_small = if is_known { SMALL_BYTES } else { STRANGERS_BYTES };
    if length.is_some_and(|length| length > n_small) {
        sender(request.request()).await?;
    }
    let mut body = ArrivingBody::new(request.take_payload(), kind);
    let (beginning, is_all) = body.beginning(n_small).await?;
    let token = match request.headers().get(csrf::FIELD) {
        Some(value) => value.to_str().ok().map(str::to_owned),
        None => sent_token(request.request(), kind, &beginning, is_all).await,
    };
    let admitted = match csrf::check(request.request(), token.as_deref(), is_open) {
        Ok(owner) => AdmittedForm::new(request.request(), owner),
        // The token of a form may be over because of the form: by a sign-in, a new password, a sign-out.
        Err(error) if is_all && kind == BodyKind::Form => {
            Some(AdmittedForm::sent_again(request.request(), &beginning).ok_or(error)?)
        }
        Err(error) => return Err(error),
    };
    request.extensions_mut().insert(admitted);
    if is_all {
        if kind == BodyKind::Form {
            sent_form::keep(request.request(), &beginning);
        }
        request.set_payload(beginning.into());
        return Ok(None);
    }
    let sender = sender(request.request()).await?;
    let places = request.app_data::<web::Data<LargeBodies>>();
    let places = places.ok_or_else(|| anyhow::anyhow!("no places for large bodies"))?.clone();
    let place = places.place(sender.account().id).await?;
    request.set_payload(match kind {
        BodyKind::Upload => body.onward(beginning),
        BodyKind::Form | BodyKind::Json => {
            let body = body.rest(beginning).await?;
            if kind == BodyKind::Form {
                sent_form::keep(request.request(), &body);
            }
            body.into()
        }
    });
    Ok(Some(place))
}

/// Whoever sends a large body is signed in. If not, their session most likely ended meanwhile, and
/// what they wrote is kept in their browser.
async fn sender(request: &HttpRequest) -> Result<Principal, AppError> {
    Principal::of(request).await?.ok_or(AppError::StaleForm)
}

/// The token in the beginning of a form, however the form is encoded.
async fn sent_token(
    request: &HttpRequest,
    kind: BodyKind,
    beginning: &Bytes,
    is_all: bool,
) -> Option<String> {
    match kind {
        BodyKind::Upload => token_before_file(request, beginning).await,
        BodyKind::Form | BodyKind::Json => token_of_fields(beginning, is_all),
    }
}

fn token_of_fields(beginning: &[u8], is_all: bool) -> Option<String> {
    let fields = std::str::from_utf8(beginning);
    let fields = match fields {
        Ok(fields) => fields,
        Err(error) => std::str::from_utf8(&beginning[..error.valid_up_to()]).ok()?,
    };
    // The last field of a beginning may be half of one.
    let fields = if is_all { fields } else { fields.rsplit_once('&')?.0 };
    let fields = web::Query::<Vec<(String, String)>>::from_query(fields).ok()?;
    fields.into_inner().into_iter().find(|(field, _)| field == csrf::FIELD).map(|(_, token)| token)
}

/// The token in a form with a file, where it comes before the file.
async fn token_before_file(request: &HttpRequest, beginning: &Bytes) -> Option<String> {
    let stream = stream::once(future::ok::<_, PayloadError>(beginning.clone()));
    let mut form = Multipart::new(request.headers(), stream);
    while let Ok(Some(mut field)) = form.try_next().await {
        if field.name() == Some(csrf::FIELD) {
            let token = field.bytes(csrf::MASKED_BYTES).await.ok()?.ok()?;
            return String::from_utf8(token.to_vec()).ok();
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_is_found_in_the_beginning_of_a_long_form() {
        let token = |body: &str, is_all| token_of_fields(body.as_bytes(), is_all);
        assert_eq!(token("csrf=abc&answer=long", false).as_deref(), Some("abc"));
        assert_eq!(token("answer=a&csrf=abc", true).as_deref(), Some("abc"));
        assert_eq!(token("answer=a&csrf=ab", false), None, "it may go on");
        assert_eq!(token("answer=a", true), None);
        let cut = [b"csrf=abc&answer=".as_slice(), &"я".as_bytes()[..1]].concat();
        assert_eq!(token_of_fields(&cut, false).as_deref(), Some("abc"));
    }
}
