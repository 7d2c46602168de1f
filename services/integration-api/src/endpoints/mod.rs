//! The endpoints, one a file, and where they are.

pub(crate) mod call;
pub(crate) mod callbacks;
pub(crate) mod contacts;
pub(crate) mod dead_letters;
pub(crate) mod import_calls;
pub(crate) mod imports;
pub(crate) mod interactions;
pub(crate) mod list_alerts;
pub(crate) mod openapi;
pub(crate) mod pusher_auth;
pub(crate) mod recording;
pub(crate) mod review;
pub(crate) mod session;
pub(crate) mod setup_webhook;
pub(crate) mod status;
pub(crate) mod test_connection;

use actix_web::web::{self, ServiceConfig, delete, get, post, put};
use actix_web::{Resource, Route};

use crate::answer;

/// Below `/api/integrations/callrail`.
pub(crate) fn callrail(app: &mut ServiceConfig) {
    app.service(at("/test-connection", [get().to(test_connection::test)]))
        .service(at("/import-calls", [post().to(import_calls::import)]))
        .service(at("/imports", [get().to(imports::list)]))
        .service(at(
            "/imports/{id}",
            [get().to(imports::show), delete().to(imports::cancel)],
        ))
        .service(at("/imports/{id}/events", [get().to(imports::events)]))
        .service(at("/imports/{id}/retry", [post().to(imports::retry)]))
        .service(at("/call/{call_id}", [get().to(call::show)]))
        .service(at(
            "/call/{call_id}/recording/ticket",
            [post().to(recording::issue_ticket)],
        ))
        .service(at("/setup-webhook", [post().to(setup_webhook::set_up)]))
        .service(at("/status", [get().to(status::show)]));
}

/// Below `/api/alerts`.
pub(crate) fn alerts(app: &mut ServiceConfig) {
    app.service(at("", [get().to(list_alerts::list)]))
        .service(at("/stream", [get().to(list_alerts::stream)]));
}

/// Below `/api/pusher`.
pub(crate) fn pusher(app: &mut ServiceConfig) {
    app.service(at("/auth", [post().to(pusher_auth::authorise)]));
}

/// Below `/api/interactions`.
pub(crate) fn interactions(app: &mut ServiceConfig) {
    app.service(at("", [get().to(interactions::search)]))
        .service(at("/{id}", [get().to(interactions::show)]))
        .service(at("/{id}/history", [get().to(interactions::history)]))
        .service(at("/{id}/link", [post().to(interactions::link)]));
}

/// Below `/api/review`.
pub(crate) fn review(app: &mut ServiceConfig) {
    app.service(at("", [get().to(review::list)]));
}

/// Below `/api/contacts`.
pub(crate) fn contacts(app: &mut ServiceConfig) {
    app.service(at(
        "",
        [get().to(contacts::search), post().to(contacts::save_many)],
    ))
    .service(at(
        "/{kind}/{id}",
        [put().to(contacts::save), delete().to(contacts::remove)],
    ));
}

/// Below `/api/callbacks`.
pub(crate) fn callbacks(app: &mut ServiceConfig) {
    app.service(at("", [get().to(callbacks::list)]));
}

/// Below `/api/session`.
pub(crate) fn session(app: &mut ServiceConfig) {
    app.service(at(
        "",
        [
            get().to(session::show),
            post().to(session::sign_in),
            delete().to(session::sign_out),
        ],
    ));
}

/// Below `/api/dead-letters`.
pub(crate) fn dead_letters(app: &mut ServiceConfig) {
    app.service(at("", [get().to(dead_letters::list)]))
        .service(at("/{id}", [get().to(dead_letters::show)]))
        .service(at("/{id}/replay", [post().to(dead_letters::replay)]))
        .service(at("/{id}/discard", [post().to(dead_letters::discard)]));
}

fn at(path: &str, routes: impl IntoIterator<Item = Route>) -> Resource {
    let resource = web::resource(path).default_service(web::to(answer::method_not_allowed));
    routes.into_iter().fold(resource, Resource::route)
}
