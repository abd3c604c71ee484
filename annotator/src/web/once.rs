//! A form that is sent twice within moments, as by a double click, is done once: whoever sends it
//! again gets the answer of the first. Of each person the last form is remembered, for seconds, so
//! that doing a thing again after another is doing it again. Servers beside this one do not know of
//! it; there the database's own rules hold.

use crate::web::session::ACCOUNT;
use actix_session::SessionExt;
use actix_web::{
    Error, HttpResponse,
    body::{BodySize, BoxBody, MessageBody},
    dev::{Payload, ServiceRequest, ServiceResponse},
    http::{StatusCode, header, header::HeaderMap},
    middleware::Next,
    web::{Bytes, Data},
};
use entity::ids::AccountId;
use sha2::{Digest, Sha256};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// How long after its answer a form is known again.
const REMEMBERED: Duration = Duration::from_secs(3);

/// Larger answers are not kept: the page of a form is smaller.
const MAX_KEPT: u64 = 1 << 20;

/// The last form of everybody who has just sent one.
#[derive(Default)]
pub struct SentForms(Mutex<LastForms>);

#[derive(Default)]
struct LastForms {
    of: HashMap<AccountId, SentForm>,
    /// With so many of them, those that are over are forgotten: twice as many as were left the last
    /// time, so that a form costs the same however many people there are.
    n_enough: usize,
}

#[derive(Clone)]
struct SentForm {
    /// Of the address and the body, with the page's token in it.
    digest: [u8; 32],
    answer: KeptAnswer,
}

/// Held by whoever does what the form asks; none until that is done.
type KeptAnswer = Arc<tokio::sync::Mutex<Option<FormAnswer>>>;

struct FormAnswer {
    at: Instant,
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl FormAnswer {
    fn response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status).body(self.body.clone());
        *response.headers_mut() = self.headers.clone();
        response
    }
}

impl SentForms {
    /// Where the answer to this form is kept, whether it is there yet or not. Forms of people who
    /// have sent none for a while are forgotten.
    fn answer_to(&self, account: AccountId, digest: [u8; 32]) -> KeptAnswer {
        let mut forms = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = forms.of.get(&account).filter(|last| last.digest == digest) {
            return last.answer.clone();
        }
        if forms.of.len() >= forms.n_enough {
            forms.of.retain(|_, form| !is_over(form));
            forms.n_enough = (2 * forms.of.len()).max(1);
        }
        let answer = KeptAnswer::default();
        forms.of.insert(account, SentForm { digest, answer: answer.clone() });
        answer
    }
}

/// Whether nobody waits for the answer any more.
fn is_over(form: &SentForm) -> bool {
    // A request that has it in hand is about to lock it.
    if Arc::strong_count(&form.answer) > 1 {
        return false;
    }
    match form.answer.try_lock() {
        Ok(answer) => answer.as_ref().is_none_or(|answer| answer.at.elapsed() > REMEMBERED),
        Err(_) => false,
    }
}

/// Middleware, inside of the check of form tokens.
pub async fn once(
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let account = request.get_session().get::<AccountId>(ACCOUNT).ok().flatten();
    let Some(account) = account.filter(|_| is_form(&request)) else {
        return Ok(next.call(request).await?.map_into_boxed_body());
    };
    let body = match request.extract::<Bytes>().await {
        Ok(body) => body,
        Err(error) => return Ok(request.error_response(error)),
    };
    let digest = Sha256::new().chain_update(request.uri().to_string()).chain_update([0]);
    let digest = digest.chain_update(&body).finalize().into();
    request.set_payload(Payload::from(body));
    let Some(forms) = request.app_data::<Data<SentForms>>().cloned() else {
        return Ok(next.call(request).await?.map_into_boxed_body());
    };
    let answer = forms.answer_to(account, digest);
    // Whoever sent it first holds this until it is done, or has gone and left it undone.
    let mut answer = answer.lock().await;
    if let Some(first) = answer.as_ref().filter(|first| first.at.elapsed() <= REMEMBERED) {
        tracing::info!("a form was sent twice");
        let response = first.response();
        return Ok(request.into_response(response));
    }
    let (request, response) = next.call(request).await?.map_into_boxed_body().into_parts();
    let (response, kept) = kept(response);
    *answer = kept;
    Ok(ServiceResponse::new(request, response))
}

fn is_form(request: &ServiceRequest) -> bool {
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let kind = kind.is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"));
    kind && !request.method().is_safe()
}

/// The answer, and what is kept of it: what was done, not what was refused.
fn kept(response: HttpResponse) -> (HttpResponse, Option<FormAnswer>) {
    let is_small = matches!(response.body().size(), BodySize::None | BodySize::Sized(..=MAX_KEPT));
    if response.status().as_u16() >= 400 || !is_small {
        return (response, None);
    }
    let (head, body) = response.into_parts();
    match body.try_into_bytes() {
        Ok(body) => {
            let (status, headers) = (head.status(), head.headers().clone());
            let answer = FormAnswer { at: Instant::now(), status, headers, body: body.clone() };
            (head.set_body(BoxBody::new(body)), Some(answer))
        }
        Err(body) => (head.set_body(body), None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_form_of_a_person_is_known_again_and_no_other() {
        let (forms, anna, boris) = (SentForms::default(), AccountId::new(), AccountId::new());
        let first = forms.answer_to(anna, [1; 32]);
        assert!(Arc::ptr_eq(&first, &forms.answer_to(anna, [1; 32])));
        assert!(!Arc::ptr_eq(&first, &forms.answer_to(boris, [1; 32])));
        assert!(!Arc::ptr_eq(&first, &forms.answer_to(anna, [2; 32])));
        assert!(!Arc::ptr_eq(&first, &forms.answer_to(anna, [1; 32])), "another came between");
    }

    #[tokio::test]
    async fn those_who_have_gone_are_forgotten() {
        let (forms, anna) = (SentForms::default(), AccountId::new());
        let answer = forms.answer_to(anna, [1; 32]);
        let held = answer.lock().await;
        forms.answer_to(AccountId::new(), [1; 32]);
        assert_eq!(forms.0.lock().unwrap().of.len(), 2, "what is under way is kept");
        drop(held);
        forms.answer_to(AccountId::new(), [1; 32]);
        assert_eq!(forms.0.lock().unwrap().of.len(), 2, "what a request has in hand is kept");
        drop(answer);
        forms.answer_to(AccountId::new(), [1; 32]);
        assert_eq!(forms.0.lock().unwrap().of.len(), 1);
    }
}
