//! A call's recording: a ticket for it, and the sound itself, of which the browser learns neither key nor link. What is in
//! the archive comes from there, whether or not CallRail answers, or has it still.

use std::error::Error;
use std::ops::Range;
use std::time::Duration;

use actix_web::http::header::Header as _;
use actix_web::http::{StatusCode, header};
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use callrail::client::{RecordingError, RecordingFile};
use calls::{CallId, Group};
use chrono::{DateTime, Utc};
use futures_util::stream;
use serde::{Deserialize, Serialize};
use tokio::time::timeout;
use utoipa::{IntoParams, ToSchema};

use crate::answer::{Answer, Refusal};
use crate::auth::User;
use crate::shapes::{Problem, SUCCESS, recording_path};
use crate::ticket::VALID_FOR;
use crate::{Api, path, query};

/// How long the archive may take to begin, before CallRail is asked.
const ARCHIVE_PATIENCE: Duration = Duration::from_secs(5);

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
        (status = 404, description = "The id is none", body = Problem),
        (status = 503, description = "CALLRAIL_API_KEY or CALLRAIL_ACCOUNT_ID is not set", body = Problem),
    )
)]
pub(crate) async fn issue_ticket(call_id: path::Segment<CallId>, user: User, api: Data<Api>) -> Answer {
    if api.callrail.is_none() && api.settings.recordings.archive.is_none() {
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
    let known = api.store.call(&call_id).await?;
    if known.is_some_and(|known| !known.seals.is_open(Group::Recording)) {
        return Err(Refusal::not_found(
            "The recording of this call is not kept any more",
        ));
    }
    if let Some(kept) = from_archive(&api, &call_id, &request).await {
        return Ok(kept);
    }
    let callrail = api.callrail.as_ref().ok_or_else(Refusal::not_configured)?;
    // A fresh link each time: those of some accounts die within a day.
    let link = callrail.recording.recording(&call_id).await?;
    let link = link.ok_or_else(|| Refusal::not_found("There is no recording of this call"))?;
    let range = request.headers().get(header::RANGE);
    let range = range.and_then(|range| range.to_str().ok());
    let found = api.settings.recordings.files.fetch(&link, range).await?;
    Ok(hand_on(found))
}

/// The recording from the archive. `None` if it is not there, or if the archive does not answer: CallRail may have it.
async fn from_archive(api: &Api, call_id: &CallId, request: &HttpRequest) -> Option<HttpResponse> {
    let archive = api.settings.recordings.archive.as_ref()?;
    let kept = match api.store.archived_recording(call_id).await {
        Ok(kept) => kept?,
        Err(error) => {
            tracing::warn!(
                error = &error as &dyn Error,
                "cannot tell whether a recording is in the archive"
            );
            return None;
        }
    };
    let part = match part_wanted(request, kept.length) {
        Part::Whole => None,
        Part::Of(range) => Some(range),
        Part::Nowhere => {
            let whole = format!("bytes */{}", kept.length);
            let mut response = HttpResponse::RangeNotSatisfiable();
            return Some(response.insert_header((header::CONTENT_RANGE, whole)).finish());
        }
    };
    let reading = match timeout(ARCHIVE_PATIENCE, archive.read(&kept.key, part.clone())).await {
        Err(_) => {
            tracing::error!("the archive of recordings does not answer: asking CallRail");
            return None;
        }
        Ok(Ok(reading)) if reading.length == kept.length => reading,
        Ok(Ok(reading)) => {
            tracing::error!(
                call.id = %call_id,
                stored = kept.length,
                found = reading.length,
                "a recording in the archive is not the one that was stored: asking CallRail for it"
            );
            return None;
        }
        Ok(Err(error)) => {
            tracing::error!(
                call.id = %call_id,
                error = &error as &dyn Error,
                "a recording cannot be read from the archive: asking CallRail for it"
            );
            return None;
        }
    };
    let mut response = match &part {
        Some(part) => {
            let place = format!("bytes {}-{}/{}", part.start, part.end - 1, kept.length);
            let mut response = HttpResponse::PartialContent();
            response.insert_header((header::CONTENT_RANGE, place));
            response
        }
        None => HttpResponse::Ok(),
    };
    response
        .insert_header((header::CONTENT_TYPE, kept.content_type))
        .insert_header((header::ACCEPT_RANGES, "bytes"))
        .insert_header((header::CONTENT_DISPOSITION, "inline"))
        .no_chunking(part.map_or(kept.length, |part| part.end - part.start));
    Some(response.streaming(reading.pieces))
}

/// What a request wants of something that has so many bytes.
#[derive(Debug, PartialEq)]
enum Part {
    Whole,
    Of(Range<u64>),
    /// Nothing that there is.
    Nowhere,
}

/// One range is served; several, or one in other units, are no duty (RFC 9110, section 14.2).
fn part_wanted(request: &HttpRequest, length: u64) -> Part {
    let Ok(header::Range::Bytes(parts)) = header::Range::parse(request) else {
        return Part::Whole;
    };
    match parts.as_slice() {
        [part] => part
            .to_satisfiable_range(length)
            .map_or(Part::Nowhere, |(first, last)| Part::Of(first..last + 1)),
        _ => Part::Whole,
    }
}

impl From<RecordingError> for Refusal {
    fn from(error: RecordingError) -> Self {
        let elsewhere = |message| Self::new(StatusCode::BAD_GATEWAY, "recording_unavailable", message);
        match &error {
            RecordingError::Gone | RecordingError::Refused(reqwest::StatusCode::FORBIDDEN) => {
                Self::not_found("There is no recording of this call any more")
            }
            RecordingError::ForeignHost { host } => {
                tracing::error!(
                    host,
                    "a recording is said to be at a host that none may come from: if it is CallRail's, add it to \
                     RECORDING_HOSTS"
                );
                elsewhere("The recording is at a host that is not allowed: see the log")
            }
            RecordingError::NoAnswer(_) | RecordingError::CutShort(_) => {
                tracing::warn!(error = &error as &dyn Error, "cannot fetch a recording");
                elsewhere("The server of the recording does not answer: try again")
            }
            RecordingError::Lost => elsewhere("The recording is moved on and on"),
            RecordingError::NotSound => elsewhere("What is at the recording's link is no recording"),
            RecordingError::Refused(_) => {
                elsewhere("The server of the recording does not give it out: try again")
            }
        }
    }
}

fn hand_on(found: RecordingFile) -> HttpResponse {
    let status = StatusCode::from_u16(found.status().as_u16()).unwrap_or(StatusCode::OK);
    let mut response = HttpResponse::build(status);
    for name in HANDED_ON {
        if let Some(value) = found.header(name.as_str()) {
            response.insert_header((name, value));
        }
    }
    response.insert_header((header::CONTENT_DISPOSITION, "inline"));
    if let Some(length) = found.content_length() {
        response.no_chunking(length);
    }
    let pieces = stream::unfold(Some(found), |found| async {
        let mut found = found?;
        match found.chunk().await {
            Ok(Some(piece)) => Some((Ok(piece), Some(found))),
            Ok(None) => None,
            Err(error) => Some((Err(error), None)),
        }
    });
    response.streaming::<_, RecordingError>(Box::pin(pieces))
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn one_range_of_bytes_is_served_and_all_else_is_the_whole() {
        let wanted = |range: &'static str| {
            let request = TestRequest::get().insert_header((header::RANGE, range));
            part_wanted(&request.to_http_request(), 1_000)
        };
        for (range, expected) in [
            ("bytes=0-99", Part::Of(0..100)),
            ("bytes=900-", Part::Of(900..1_000)),
            ("bytes=900-5000", Part::Of(900..1_000)),
            ("bytes=-10", Part::Of(990..1_000)),
            ("bytes=-5000", Part::Of(0..1_000)),
            ("bytes=1000-", Part::Nowhere),
            ("bytes=-0", Part::Nowhere),
            ("bytes=0-1,5-6", Part::Whole),
            ("seconds=1-2", Part::Whole),
            ("bytes=x", Part::Whole),
        ] {
            assert_eq!(wanted(range), expected, "{range}");
        }
        assert_eq!(
            part_wanted(&TestRequest::get().to_http_request(), 1_000),
            Part::Whole
        );
    }
}
