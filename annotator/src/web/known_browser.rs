//! A browser on which a person signed in before: it keeps a cookie for them, so that their attempts
//! to sign in are counted apart from those of strangers ([`crate::people::sign_in_limit`]). The cookie
//! signs nobody in. Its signature's key is the stored hash of the person's password, which nobody
//! knows: a new password makes the cookies of before worthless.

use crate::web::cookies;
use actix_web::{
    HttpRequest, HttpResponse,
    cookie::{Cookie, CookieJar, Key},
};
use entity::account;
use uuid::Uuid;

/// One cookie per person, because several may share a browser.
const PREFIX: &str = "attune_browser_";

fn name(account: &account::Model) -> String {
    format!("{PREFIX}{}", account.id)
}

/// None without a password: there is no secret then.
fn key(account: &account::Model) -> Option<Key> {
    let hash = account.password_hash.as_bytes();
    (hash.len() >= 32).then(|| Key::derive_from(hash))
}

/// Whether the browser says that it knows anybody: most do not, and nobody has to be looked up.
pub fn is_claimed(request: &HttpRequest) -> bool {
    request.cookies().is_ok_and(|all| all.iter().any(|cookie| cookie.name().starts_with(PREFIX)))
}

/// The browser's number, if the person signed in on it before.
pub fn number(request: &HttpRequest, account: &account::Model) -> Option<String> {
    let mut jar = CookieJar::new();
    jar.add_original(request.cookie(&name(account))?);
    Some(jar.signed(&key(account)?).get(&name(account))?.value().to_owned())
}

/// Has a browser on which somebody has just signed in keep the number that it had, or a new one.
pub fn remember(request: &HttpRequest, account: &account::Model, response: &mut HttpResponse) {
    let cookie = cookie(request, account);
    // What cannot be written as a cookie is not kept: nobody is refused for it.
    let kept = cookie.map(|cookie| response.add_cookie(&cookie));
    if let Some(Err(error)) = kept {
        tracing::warn!(%error, "a browser is not remembered");
    }
    for name in beyond_most(request, account) {
        let forgotten = cookies::lasting(request, name, String::new());
        let _ = response.add_removal_cookie(&forgotten);
    }
}

/// Cookies of so many people: servers and proxies refuse requests with long headers.
const MOST: usize = 20;

/// Those beyond that which were there first, as browsers send them first.
fn beyond_most(request: &HttpRequest, account: &account::Model) -> Vec<String> {
    let Ok(all) = request.cookies() else { return Vec::new() };
    let others = all.iter().map(Cookie::name);
    let others = others.filter(|other| other.starts_with(PREFIX) && *other != name(account));
    let others: Vec<String> = others.map(str::to_owned).collect();
    let n = others.len().saturating_sub(MOST - 1);
    others.into_iter().take(n).collect()
}

fn cookie(request: &HttpRequest, account: &account::Model) -> Option<Cookie<'static>> {
    let number = number(request, account).unwrap_or_else(|| Uuid::new_v4().simple().to_string());
    let mut jar = CookieJar::new();
    jar.signed_mut(&key(account)?).add(Cookie::new(name(account), number));
    let signed = jar.get(&name(account))?.value().to_owned();
    Some(cookies::lasting(request, name(account), signed))
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;
    use entity::{ids::AccountId, time::UnixMillis};

    fn person(password_hash: &str) -> account::Model {
        account::Model {
            id: AccountId::new(),
            login: "anna".to_owned(),
            display_name: "Anna".to_owned(),
            password_hash: password_hash.repeat(40),
            password_is_one_time: false,
            is_admin: false,
            language: None,
            created_at: UnixMillis::now(),
            disabled_at: None,
            stamp: 0,
            password_expires_at: None,
        }
    }

    fn with(cookie: &Cookie<'static>) -> HttpRequest {
        TestRequest::get().cookie(cookie.clone()).to_http_request()
    }

    #[test]
    fn a_browser_knows_the_last_twenty_people() {
        let anna = person("a");
        // As a header: the cookies of a test's request are in no order.
        let sent: Vec<String> = (0..25).map(|n| format!("{PREFIX}{n}=x")).collect();
        let request = TestRequest::get().insert_header(("cookie", sent.join("; ")));
        let forgotten = beyond_most(&request.to_http_request(), &anna);
        assert_eq!(forgotten, (0..6).map(|n| format!("{PREFIX}{n}")).collect::<Vec<_>>());
    }

    #[test]
    fn a_browser_is_known_to_the_person_who_signed_in_on_it_and_to_nobody_else() {
        let (anna, boris) = (person("a"), person("b"));
        let cookie = super::cookie(&TestRequest::get().to_http_request(), &anna).unwrap();
        let known = number(&with(&cookie), &anna).unwrap();
        assert_eq!(number(&with(&cookie), &boris), None);
        let again = super::cookie(&with(&cookie), &anna).unwrap();
        assert_eq!(number(&with(&again), &anna), Some(known), "it keeps its number");
        assert!(is_claimed(&with(&cookie)));

        let mut forged = cookie.clone();
        forged.set_name(name(&boris));
        assert_eq!(number(&with(&forged), &boris), None);
        let renewed = account::Model { password_hash: "c".repeat(40), ..anna };
        assert_eq!(number(&with(&cookie), &renewed), None, "the password was changed");
    }
}
