//! A form that is sent twice within moments, as by a double click, is done once: whoever sends it
//! again gets the answer of the first, signed in as by the first. Of each person, and of each browser
//! that nobody is signed in on, the last form is remembered, for seconds, so that doing a thing again
//! after another is doing it again. Servers beside this one do not know of it; there the database's
//! own rules hold.

use crate::web::{
    csrf::{self, TokenOwner},
    error::AppError,
    session::ACCOUNT,
};
use actix_session::{Session, SessionExt, SessionStatus};
use actix_web::{
    Error, HttpMessage, HttpRequest, HttpResponse,
    body::{BodySize, BoxBody, MessageBody},
    dev::{Payload, ServiceRequest, ServiceResponse},
    http::{StatusCode, header, header::HeaderMap},
    middleware::Next,
    web::{Bytes, Data},
};
use entity::ids::AccountId;
use serde_json::Value;
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

/// Who sends forms.
#[derive(Clone, PartialEq, Eq, Hash)]
enum FormSender {
    Account(AccountId),
    /// By its form token.
    Browser(String),
}

/// A form that was let in; kept with its request.
#[derive(Clone)]
pub struct AdmittedForm {
    sender: FormSender,
    /// Its token is over: it may have the answer of the first, and nothing else.
    is_answer_only: bool,
}

impl AdmittedForm {
    /// None where nobody is known by the token.
    pub fn new(request: &HttpRequest, owner: TokenOwner) -> Option<Self> {
        let sender = match owner {
            TokenOwner::Session => FormSender::Account(account(&request.get_session())?),
            TokenOwner::Browser => FormSender::Browser(csrf::browser_token(request)?),
        };
        Some(Self { sender, is_answer_only: false })
    }

    /// None unless the very same form, with its token, was done a moment ago.
    pub fn sent_again(request: &HttpRequest, body: &Bytes) -> Option<Self> {
        let forms = request.app_data::<Data<SentForms>>()?;
        let sender = forms.sender_of(digest(request, body))?;
        Some(Self { sender, is_answer_only: true })
    }
}

fn account(session: &Session) -> Option<AccountId> {
    session.get(ACCOUNT).ok().flatten()
}

fn digest(request: &HttpRequest, body: &Bytes) -> [u8; 32] {
    let digest = Sha256::new().chain_update(request.uri().to_string()).chain_update([0]);
    digest.chain_update(body).finalize().into()
}

/// The last form of everybody who has just sent one.
#[derive(Default)]
pub struct SentForms(Mutex<LastForms>);

#[derive(Default)]
struct LastForms {
    of: HashMap<FormSender, SentForm>,
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
    /// What the session holds that it began.
    session: Option<HashMap<String, String>>,
}

impl FormAnswer {
    /// The first answer's session may never have reached the browser, which waits for this one.
    fn sign_in(&self, session: &Session) -> Result<(), AppError> {
        let Some(entries) = &self.session else { return Ok(()) };
        session.clear();
        session.renew();
        for (name, json) in entries {
            let value: Value = serde_json::from_str(json)?;
            session.insert(name, value).map_err(|error| anyhow::anyhow!("{error}"))?;
        }
        Ok(())
    }

    fn response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status).body(self.body.clone());
        *response.headers_mut() = self.headers.clone();
        response
    }
}

impl SentForms {
    /// Where the answer to this form is kept, whether it is there yet or not. Forms of people who
    /// have sent none for a while are forgotten.
    fn answer_to(&self, sender: FormSender, digest: [u8; 32]) -> KeptAnswer {
        let mut forms = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = forms.of.get(&sender).filter(|last| last.digest == digest) {
            return last.answer.clone();
        }
        if forms.of.len() >= forms.n_enough {
            forms.of.retain(|_, form| !is_over(form));
            forms.n_enough = (2 * forms.of.len()).max(1);
        }
        let answer = KeptAnswer::default();
        forms.of.insert(sender, SentForm { digest, answer: answer.clone() });
        answer
    }

    /// Who sent this form last, if it is not over.
    fn sender_of(&self, digest: [u8; 32]) -> Option<FormSender> {
        let forms = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let same = forms.of.iter().find(|(_, form)| form.digest == digest && !is_over(form));
        same.map(|(sender, _)| sender.clone())
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
    let admitted = request.extensions_mut().remove::<Option<AdmittedForm>>().flatten();
    let is_answer_only = admitted.as_ref().is_some_and(|form| form.is_answer_only);
    let Some(admitted) = admitted.filter(|form| form.is_answer_only || is_form(&request)) else {
        return Ok(next.call(request).await?.map_into_boxed_body());
    };
    let body = match request.extract::<Bytes>().await {
        Ok(body) => body,
        Err(error) => return Ok(request.error_response(error)),
    };
    let digest = digest(request.request(), &body);
    request.set_payload(Payload::from(body));
    let Some(forms) = request.app_data::<Data<SentForms>>().cloned() else {
        return Ok(next.call(request).await?.map_into_boxed_body());
    };
    let answer = forms.answer_to(admitted.sender, digest);
    // Whoever sent it first holds this until it is done, or has gone and left it undone.
    let mut answer = answer.lock().await;
    if let Some(first) = answer.as_ref().filter(|first| first.at.elapsed() <= REMEMBERED) {
        tracing::info!("a form was sent twice");
        if let Err(error) = first.sign_in(&request.get_session()) {
            return Ok(request.error_response(error));
        }
        let response = first.response();
        return Ok(request.into_response(response));
    }
    if is_answer_only {
        return Ok(request.error_response(AppError::StaleForm));
    }
    let (request, response) = next.call(request).await?.map_into_boxed_body().into_parts();
    let (response, kept) = kept(response, &request.get_session());
    *answer = kept;
    Ok(ServiceResponse::new(request, response))
}

fn is_form(request: &ServiceRequest) -> bool {
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let kind = kind.is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"));
    kind && !request.method().is_safe()
}

/// The answer, and what is kept of it: what was done, not what was refused.
fn kept(response: HttpResponse, session: &Session) -> (HttpResponse, Option<FormAnswer>) {
    let is_small = matches!(response.body().size(), BodySize::None | BodySize::Sized(..=MAX_KEPT));
    if response.status().as_u16() >= 400 || !is_small {
        return (response, None);
    }
    let (head, body) = response.into_parts();
    match body.try_into_bytes() {
        Ok(body) => {
            let (status, headers) = (head.status(), head.headers().clone());
            let is_begun = session.status() == SessionStatus::Renewed;
            let session = is_begun.then(|| session.entries().clone());
            let at = Instant::now();
            let answer = FormAnswer { at, status, headers, body: body.clone(), session };
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
        let forms = SentForms::default();
        let [anna, boris] = [AccountId::new(), AccountId::new()].map(FormSender::Account);
        let answer = |sender: &FormSender, digest| forms.answer_to(sender.clone(), digest);
        let first = answer(&anna, [1; 32]);
        assert!(Arc::ptr_eq(&first, &answer(&anna, [1; 32])));
        assert!(!Arc::ptr_eq(&first, &answer(&boris, [1; 32])));
        assert!(!Arc::ptr_eq(&first, &answer(&anna, [2; 32])));
        assert!(!Arc::ptr_eq(&first, &answer(&anna, [1; 32])), "another came between");
    }

    #[tokio::test]
    async fn those_who_have_gone_are_forgotten() {
        let (forms, anna) = (SentForms::default(), FormSender::Account(AccountId::new()));
        let another = || FormSender::Account(AccountId::new());
        let answer = forms.answer_to(anna, [1; 32]);
        let held = answer.lock().await;
        forms.answer_to(another(), [1; 32]);
        assert_eq!(forms.0.lock().unwrap().of.len(), 2, "what is under way is kept");
        drop(held);
        forms.answer_to(another(), [1; 32]);
        assert_eq!(forms.0.lock().unwrap().of.len(), 2, "what a request has in hand is kept");
        drop(answer);
        forms.answer_to(another(), [1; 32]);
        assert_eq!(forms.0.lock().unwrap().of.len(), 1);
    }
}
