//! The cookies that the app sets itself; that of the session is in [`crate::web::session`]. Scripts
//! see none of them, and where the app is reached over HTTPS nothing else gets them.

use crate::web::address;
use actix_web::{
    HttpRequest,
    cookie::{Cookie, CookieBuilder, SameSite, time::Duration},
    web,
};

/// Whether cookies are for HTTPS alone, as the program was started.
pub struct CookieSecurity(pub bool);

/// Whether cookies are for HTTPS alone.
pub fn are_secure(request: &HttpRequest) -> bool {
    request.app_data::<web::Data<CookieSecurity>>().is_some_and(|cookies| cookies.0)
}

/// A cookie that ends with the browser.
pub fn passing(request: &HttpRequest, name: String, value: String) -> CookieBuilder<'static> {
    Cookie::build(name, value)
        .path(address::address("/"))
        .http_only(true)
        .same_site(SameSite::Lax)
        .secure(are_secure(request))
}

/// A cookie that a browser keeps for a year.
pub fn lasting(request: &HttpRequest, name: String, value: String) -> Cookie<'static> {
    passing(request, name, value).max_age(Duration::days(365)).finish()
}
