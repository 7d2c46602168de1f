//! A call's recording: a ticket for it, and the sound itself, of which the browser learns neither key nor link.

use actix_web::http::{StatusCode, header};
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use calls::CallId;
use chrono::{DateTime, Utc};
use futures_util::stream;
use reqwest::{Response, Url};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::answer::{Answer, Refusal};
use crate::auth::User;
use crate::shapes::{Problem, SUCCESS, recording_path};
use crate::ticket::VALID_FOR;
use crate::{Api, path, query};

/// How many redirects a link may have; CallRail's has one.
const MAX_REDIRECTS: usize = 5;

/// What of the server's answer is handed on.
const HANDED_ON: [header::HeaderName; 4] = [
    header::CONTENT_TYPE,
    header::CONTENT_LENGTH,
    header::CONTENT_RANGE,
    header::ACCEPT_RANGES,
];

/// What lets a player in.
#[derive(Serialize, ToSchema)]
pub(crate) struct RecordingTicket {
    #[schema(example = "success")]
    status: &'static str,
    ticket: String,
    /// For the player, as it stands: `<audio src>`.
    url: String,
    /// The recording can be asked for until then.
    expires_at: DateTime<Utc>,
}

/// Gives a ticket for a call's recording: for a player, which cannot send a token. Good for 5 minutes, and for this
/// call alone.
#[utoipa::path(
    post,
    path = "/api/integrations/callrail/call/{call_id}/recording/ticket",
    operation_id = "issue_recording_ticket",
    tag = "callrail",
    params(("call_id" = String, Path, description = "CAL…, as in the column `call_sid`")),
    responses(
        (status = 200, description = "The ticket", body = RecordingTicket),
        (status = 503, description = "CALLRAIL_API_KEY or CALLRAIL_ACCOUNT_ID is not set", body = Problem),
    )
)]
pub(crate) async fn issue_ticket(call_id: path::Segment<CallId>, user: User, api: Data<Api>) -> Answer {
    if api.callrail.is_none() {
        return Err(Refusal::not_configured());
    }
    let expires_at = Utc::now() + VALID_FOR;
    let ticket = api
        .tickets
        .issue(&call_id, user.id.as_deref().unwrap_or_default(), expires_at);
    tracing::info!(call.id = %*call_id, "a ticket for a recording was given");
    Ok(HttpResponse::Ok().json(RecordingTicket {
        status: SUCCESS,
        url: format!("{}?ticket={ticket}", recording_path(&call_id)),
        ticket,
        expires_at,
    }))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Admission {
    /// From `recording/ticket`.
    #[serde(default)]
    ticket: String,
}

/// The recording, or the part of it that `Range` asks for.
#[utoipa::path(
    get,
    path = "/api/integrations/callrail/call/{call_id}/recording",
    operation_id = "play_recording",
    tag = "callrail",
    params(("call_id" = String, Path, description = "CAL…, as in the column `call_sid`"), Admission),
    security(()),
    responses(
        (status = 200, description = "The sound", content_type = "audio/mpeg"),
        (status = 206, description = "A part of it", content_type = "audio/mpeg"),
        (status = 401, description = "The ticket is for another call, or not valid any more", body = Problem),
        (status = 404, description = "There is no recording, or none any more", body = Problem),
        (status = 502, description = "CallRail does not answer, or with something else", body = Problem),
    )
)]
pub(crate) async fn play(
    request: HttpRequest,
    call_id: path::Segment<CallId>,
    admission: query::Parameters<Admission>,
    api: Data<Api>,
) -> Answer {
    if !api.tickets.admits(&admission.ticket, &call_id, Utc::now()) {
        return Err(Refusal::new(
            StatusCode::UNAUTHORIZED,
            "ticket_invalid",
            "The ticket is for another call, or not valid any more: ask for a new one",
        ));
    }
    let callrail = api.callrail.as_ref().ok_or_else(Refusal::not_configured)?;
    // A fresh link each time: those of some accounts die within a day.
    let link = callrail.recording.recording(&call_id).await?;
    let link = link.ok_or_else(|| Refusal::not_found("There is no recording of this call"))?;
    let range = request.headers().get(header::RANGE).cloned();
    let found = fetch(&api, link.url().clone(), range).await?;
    hand_on(found)
}

/// Asks for the file, following redirects to allowed hosts. There is no key in the request, whoever asks for it.
async fn fetch(api: &Api, link: Url, range: Option<header::HeaderValue>) -> Result<Response, Refusal> {
    let mut url = link;
    for _ in 0..=MAX_REDIRECTS {
        if !is_allowed(&url, &api.settings.recording_hosts) {
            tracing::error!(
                host = url.host_str(),
                "a recording is said to be at a host that none may come from: if it is CallRail's, add it to \
                 RECORDING_HOSTS"
            );
            return Err(elsewhere(
                "The recording is at a host that is not allowed: see the log",
            ));
        }
        let mut request = api.outside.get(url.clone());
        if let Some(range) = range.as_ref().and_then(|range| range.to_str().ok()) {
            request = request.header("range", range);
        }
        let found = request.send().await.map_err(|error| {
            // The link is a secret.
            let error = error.without_url();
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "cannot fetch a recording"
            );
            elsewhere("The server of the recording does not answer: try again")
        })?;
        if !found.status().is_redirection() {
            return Ok(found);
        }
        let location = found
            .headers()
            .get("location")
            .and_then(|value| value.to_str().ok());
        url = location
            .and_then(|location| url.join(location).ok())
            .ok_or_else(|| elsewhere("The server of the recording answers otherwise than expected"))?;
    }
    Err(elsewhere("The recording is moved on and on"))
}

fn elsewhere(message: &str) -> Refusal {
    Refusal::new(StatusCode::BAD_GATEWAY, "recording_unavailable", message)
}

fn hand_on(found: Response) -> Answer {
    let status = found.status().as_u16();
    match status {
        200 | 206 | 416 => {}
        403 | 404 | 410 => return Err(Refusal::not_found("There is no recording of this call any more")),
        _ => {
            return Err(elsewhere(
                "The server of the recording does not give it out: try again",
            ));
        }
    }
    let content_type = found
        .headers()
        .get("content-type")
        .and_then(|value| value.to_str().ok());
    // A login page is no recording.
    if status != 416 && !content_type.is_some_and(is_sound) {
        return Err(elsewhere("What is at the recording's link is no recording"));
    }
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
    let mut response = HttpResponse::build(status);
    for name in HANDED_ON {
        if let Some(value) = found.headers().get(name.as_str()) {
            response.insert_header((name, value.as_bytes()));
        }
    }
    response.insert_header((header::CONTENT_DISPOSITION, "inline"));
    let length = found.content_length();
    let pieces = stream::unfold(Some(found), |found| async {
        let mut found = found?;
        match found.chunk().await {
            Ok(Some(piece)) => Some((Ok(piece), Some(found))),
            Ok(None) => None,
            Err(error) => Some((Err(error.without_url()), None)),
        }
    });
    Ok(match length {
        Some(length) => response
            .no_chunking(length)
            .streaming::<_, reqwest::Error>(Box::pin(pieces)),
        None => response.streaming::<_, reqwest::Error>(Box::pin(pieces)),
    })
}

fn is_sound(content_type: &str) -> bool {
    let kind = content_type
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    kind.starts_with("audio/") || matches!(kind.as_str(), "application/octet-stream" | "binary/octet-stream")
}

/// Whether a recording may be fetched from there: CallRail's own hosts over TLS (docs/callrail.md, "Recording"), and
/// those that the operator names.
fn is_allowed(url: &Url, named: &[String]) -> bool {
    let Some(host) = url.host_str() else {
        return false;
    };
    let has_credentials = !url.username().is_empty() || url.password().is_some();
    if has_credentials || !matches!(url.scheme(), "http" | "https") {
        return false;
    }
    let with_port = url.port_or_known_default().map(|port| format!("{host}:{port}"));
    let is_named = named.iter().any(|name| {
        let is_bare = url.port().is_none() && url.scheme() == "https" && name.eq_ignore_ascii_case(host);
        is_bare
            || with_port
                .as_deref()
                .is_some_and(|host| name.eq_ignore_ascii_case(host))
    });
    is_named || (url.scheme() == "https" && url.port().is_none() && is_callrails(host))
}

fn is_callrails(host: &str) -> bool {
    if host.ends_with(".callrail.com") {
        return true;
    }
    // calltrk-production.s3.amazonaws.com, calltrk-x.s3.us-west-2.amazonaws.com, calltrk-x.s3-us-west-2.amazonaws.com
    let Some(bucket) = host.strip_suffix(".amazonaws.com") else {
        return false;
    };
    let labels: Vec<&str> = bucket.split('.').collect();
    match labels[..] {
        [bucket, service] | [bucket, service, _] => {
            bucket.starts_with("calltrk") && (service == "s3" || service.starts_with("s3-"))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(url: &str, named: &[&str]) -> bool {
        let named: Vec<String> = named.iter().map(|name| (*name).to_owned()).collect();
        is_allowed(&url.parse().unwrap(), &named)
    }

    #[test]
    fn recordings_come_from_callrails_hosts_over_tls() {
        for url in [
            "https://app.callrail.com/calls/1/recording/redirect?access_key=x",
            "https://calltrk-production.s3.amazonaws.com/x.mp3",
            "https://calltrk-production.s3.us-east-1.amazonaws.com/x.mp3",
            "https://calltrk.s3-us-west-2.amazonaws.com/x.mp3",
        ] {
            assert!(allowed(url, &[]), "{url}");
        }
    }

    #[test]
    fn nothing_comes_from_anywhere_else() {
        for url in [
            "http://app.callrail.com/x",
            "https://app.callrail.com:8443/x",
            "https://callrail.com.example.com/x",
            "https://evilcallrail.com/x",
            "https://user@app.callrail.com/x",
            "https://x.s3.amazonaws.com/calltrk",
            "https://calltrk.ec2.amazonaws.com/x",
            "https://calltrk.s3.amazonaws.com.example.com/x",
            "https://calltrk.s3.a.b.amazonaws.com/x",
            "https://169.254.169.254/latest/meta-data",
            "http://127.0.0.1:9000/x",
            "https://[::1]/x",
        ] {
            assert!(!allowed(url, &[]), "{url}");
        }
    }

    #[test]
    fn a_host_that_is_named_is_meant_with_its_port() {
        assert!(allowed("http://127.0.0.1:9000/x", &["127.0.0.1:9000"]));
        assert!(!allowed("http://127.0.0.1:9001/x", &["127.0.0.1:9000"]));
        assert!(allowed("https://files.example.com/x", &["files.example.com"]));
        assert!(!allowed("http://files.example.com/x", &["files.example.com"]));
        assert!(!allowed(
            "https://files.example.com:8443/x",
            &["files.example.com"]
        ));
    }
}
