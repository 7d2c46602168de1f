//! `GET /api/openapi.json`: the API, described from its code. For everybody: it holds no data.

use actix_web::HttpResponse;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{ContentBuilder, Ref, ResponseBuilder};
use utoipa::{Modify, OpenApi};

use super::{
    call, callbacks, contacts, dead_letters, import_calls, imports, interactions, list_alerts, pusher_auth,
    recording, review, session, setup_webhook, status, test_connection,
};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Trunkline",
        description = "CallRail's calls for a CRM. Every refusal is {\"status\":\"error\",\"code\",\"message\"}."
    ),
    paths(
        test_connection::test,
        import_calls::import,
        imports::list,
        imports::show,
        imports::events,
        imports::cancel,
        imports::retry,
        call::show,
        recording::issue_ticket,
        recording::play,
        setup_webhook::set_up,
        status::show,
        list_alerts::list,
        list_alerts::stream,
        pusher_auth::authorise,
        interactions::search,
        interactions::show,
        interactions::history,
        interactions::link,
        review::list,
        callbacks::list,
        contacts::search,
        contacts::save,
        contacts::remove,
        contacts::save_many,
        dead_letters::list,
        dead_letters::show,
        dead_letters::replay,
        dead_letters::discard,
        session::sign_in,
        session::show,
        session::sign_out,
    ),
    security(("token" = [])),
    modifiers(&Token, &Refusals)
)]
struct Document;

/// `Authorization: Bearer`.
struct Token;

impl Modify for Token {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .bearer_format("JWT")
            .build();
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("token", SecurityScheme::Http(scheme));
    }
}

/// How any request may be refused, whatever it asks for.
struct Refusals;

impl Modify for Refusals {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let paths = document.paths.paths.values_mut();
        let operations = paths.flat_map(|path| {
            let by_method = [&mut path.get, &mut path.put, &mut path.post, &mut path.delete];
            by_method.into_iter().flatten()
        });
        for operation in operations {
            for (status, description) in [
                ("401", "Nobody known asks"),
                ("403", "The token does not allow it"),
                ("500", "What went wrong stands in the log"),
                ("503", "Something that is needed is not set or does not answer"),
            ] {
                let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem")));
                let response = ResponseBuilder::new()
                    .description(description)
                    .content("application/json", content.build());
                let responses = &mut operation.responses.responses;
                responses
                    .entry(status.to_owned())
                    .or_insert_with(|| response.build().into());
            }
        }
    }
}

pub(crate) async fn document() -> HttpResponse {
    HttpResponse::Ok().json(Document::openapi())
}
