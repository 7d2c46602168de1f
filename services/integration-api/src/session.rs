//! The session of a browser: a token in a cookie that no script can read.
//!
//! A browser sends a cookie along whoever makes it ask, so a cookie alone lets nobody change anything. A change must
//! come with a header of the console's own, which a page of another origin cannot send: the browser would ask us first
//! (CORS), and we never allow that header. `SameSite=Strict` and `Sec-Fetch-Site` say the same once more.

use actix_web::HttpRequest;
use actix_web::cookie::{Cookie, SameSite};
use actix_web::http::{Method, StatusCode};
use std::time::Duration;

use crate::answer::Refusal;

const COOKIE: &str = "trunkline_session";

/// Only the API sees the cookie.
const PATH: &str = "/api";

/// The console sends it with everything it asks.
const CONSOLE_HEADER: &str = "x-trunkline-console";

/// A browser drops a cookie that is larger (RFC 6265, section 6.1), and tells nobody.
const MAX_TOKEN_BYTES: usize = 3_900;

/// The token of a request's session, if it has one.
pub(crate) fn token(request: &HttpRequest) -> Result<Option<String>, Refusal> {
    let Some(cookie) = request.cookie(COOKIE) else {
        return Ok(None);
    };
    if request.method() != Method::GET && !is_from_console(request) {
        return Err(Refusal::new(
            StatusCode::FORBIDDEN,
            "session_reads_only",
            "A session lets only the console change anything: send the header `Authorization: Bearer TOKEN`",
        ));
    }
    Ok(Some(cookie.value().to_owned()))
}

/// The cookie that makes a session, for as long as its token holds.
pub(crate) fn begin(
    request: &HttpRequest,
    token: &str,
    lifetime: Duration,
) -> Result<Cookie<'static>, Refusal> {
    if token.len() > MAX_TOKEN_BYTES {
        return Err(Refusal::invalid(
            "The token is too long for a browser's cookie: make one with fewer claims",
        ));
    }
    let seconds = i64::try_from(lifetime.as_secs()).unwrap_or(i64::MAX);
    Ok(cookie(request, token.to_owned(), seconds))
}

/// The cookie that ends a session.
pub(crate) fn end(request: &HttpRequest) -> Cookie<'static> {
    cookie(request, String::new(), 0)
}

fn cookie(request: &HttpRequest, value: String, seconds: i64) -> Cookie<'static> {
    // As the proxy before us says; one who lies about it harms only himself.
    let is_secure = request.connection_info().scheme() == "https";
    Cookie::build(COOKIE, value)
        .path(PATH)
        .http_only(true)
        .secure(is_secure)
        .same_site(SameSite::Strict)
        .max_age(actix_web::cookie::time::Duration::seconds(seconds))
        .finish()
}

fn is_from_console(request: &HttpRequest) -> bool {
    let headers = request.headers();
    // Browsers say it over TLS and on the same machine.
    let site = headers.get("sec-fetch-site");
    headers.contains_key(CONSOLE_HEADER) && site.is_none_or(|site| site == "same-origin")
}
