//! The console: a page that shows people what the API tells. Its files are part of the program and hold no data.

use actix_web::HttpResponse;
use actix_web::dev::HttpServiceFactory;
use actix_web::http::header::{self, ETag, EntityTag, HeaderName, IfNoneMatch};
use actix_web::middleware::DefaultHeaders;
use actix_web::web::{self, Header, Path};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use crate::answer::{self, Answer, Refusal};

/// What the page may do: load its own files, and ask this server. No script or style stands in the HTML, no frame may
/// hold the page, and no form is ever sent.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
                                       connect-src 'self'; media-src 'self'; base-uri 'none'; form-action 'none'; \
                                       frame-ancestors 'none'";

const PAGE: &str = "index.html";

macro_rules! files {
    ($($name:literal)*) => {
        [$(($name, include_str!(concat!("../console/", $name)))),*]
    };
}

const FILES: [(&str, &str); 19] = files! {
    "index.html"
    "console.css"
    "icon.svg"
    "main.js"
    "api.js"
    "dom.js"
    "format.js"
    "stream.js"
    "sign-in.js"
    "live.js"
    "board.js"
    "calls.js"
    "call.js"
    "link.js"
    "review.js"
    "callbacks.js"
    "imports.js"
    "dead-letters.js"
    "health.js"
};

/// The page at `/console`, and its files below.
pub(crate) fn service() -> impl HttpServiceFactory {
    web::scope("/console")
        .service(at("", web::get().to(page)))
        .service(at("/", web::get().to(page)))
        .service(at("/{file}", web::get().to(file)))
        .default_service(web::to(answer::not_found))
        .wrap(
            DefaultHeaders::new()
                // Asked for each time, and answered 304 as long as it is the same.
                .add((header::CACHE_CONTROL, "no-cache"))
                .add((header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY))
                .add((header::REFERRER_POLICY, "no-referrer"))
                .add((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
                .add((header::X_FRAME_OPTIONS, "DENY"))
                .add((
                    HeaderName::from_static("cross-origin-opener-policy"),
                    "same-origin",
                )),
        )
}

fn at(path: &str, route: actix_web::Route) -> actix_web::Resource {
    web::resource(path)
        .route(route)
        .default_service(web::to(answer::method_not_allowed))
}

async fn page(known: Header<IfNoneMatch>) -> Answer {
    give(PAGE, &known)
}

async fn file(name: Path<String>, known: Header<IfNoneMatch>) -> Answer {
    give(&name, &known)
}

fn give(name: &str, known: &IfNoneMatch) -> Answer {
    let file = FILES.iter().find(|(file, _)| *file == name);
    let (name, text) = file.ok_or_else(|| Refusal::not_found("The console has no such file"))?;
    let tag = EntityTag::new_strong(BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(text)));
    let is_known = match known {
        IfNoneMatch::Any => true,
        IfNoneMatch::Items(tags) => tags.iter().any(|known| known.weak_eq(&tag)),
    };
    if is_known {
        return Ok(HttpResponse::NotModified().insert_header(ETag(tag)).finish());
    }
    Ok(HttpResponse::Ok()
        .insert_header(ETag(tag))
        .content_type(content_type(name))
        .body(*text))
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "application/octet-stream",
    }
}
