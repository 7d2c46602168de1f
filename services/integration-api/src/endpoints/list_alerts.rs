//! `GET /api/alerts` and `/api/alerts/stream`: what happened lately, for those who ask and those who listen.

use std::collections::HashSet;

use actix_web::http::header::HeaderName;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use store::RaisedAlert;
use utoipa::IntoParams;

use crate::alert_feed::{REPEATED, raised_since};
use crate::answer::{Answer, Refusal};
use crate::auth::User;
use crate::event_stream::{self, Events, Gone};
use crate::shapes::{AlertPage, AlertShape, Problem, SUCCESS};
use crate::{Api, cursor, query};

/// After so many alerts a listener's list of what he has seen begins anew: readers drop repeats by id in any case.
const REMEMBERED: usize = 10_000;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Since {
    /// `cursor` of the answer before, or a time (RFC 3339) to begin with; without it: the last 30 s.
    since: Option<String>,
}

impl Since {
    /// Up to when the reader knows the alerts.
    fn known(&self) -> Result<DateTime<Utc>, Refusal> {
        let known = match &self.since {
            Some(text) => match DateTime::parse_from_rfc3339(text) {
                Ok(time) => time.to_utc(),
                Err(_) => cursor::time(text)?,
            },
            None => Utc::now(),
        };
        // Nothing was raised before, and from there on one can calculate.
        Ok(known.max(DateTime::UNIX_EPOCH))
    }
}

/// Alerts since a cursor, oldest first. The last 30 s before it are repeated: drop what you know by its `id`.
#[utoipa::path(
    get,
    path = "/api/alerts",
    operation_id = "list_alerts",
    tag = "alerts",
    params(Since),
    responses(
        (status = 200, description = "What happened", body = AlertPage),
        (status = 400, description = "The cursor is none", body = Problem),
    )
)]
pub(crate) async fn list(since: query::Parameters<Since>, api: Data<Api>) -> Answer {
    let known = since.known()?;
    let alerts = raised_since(&api.store, known - REPEATED, known).await?;
    let newest = alerts.last().map_or(known, |last| last.raised_at.max(known));
    // Nothing that is still to come is passed over, be the reader's clock ahead or not.
    let newest = newest.min(Utc::now());
    Ok(HttpResponse::Ok().json(AlertPage {
        status: SUCCESS,
        alerts: alerts.iter().map(AlertShape::from).collect(),
        cursor: cursor::of_time(newest),
    }))
}

/// Alerts as server-sent events, from a cursor on (or the last 30 s), and then as they are raised. The name of an
/// event is the kind of the alert, its id the cursor.
#[utoipa::path(
    get,
    path = "/api/alerts/stream",
    operation_id = "stream_alerts",
    tag = "alerts",
    params(Since),
    responses(
        (status = 200, description = "The data of every event is an alert", body = AlertShape, content_type = "text/event-stream"),
        (status = 400, description = "The cursor is none", body = Problem),
    )
)]
pub(crate) async fn stream(
    request: HttpRequest,
    since: query::Parameters<Since>,
    user: User,
    api: Data<Api>,
) -> Answer {
    let last_seen = request.headers().get(HeaderName::from_static("last-event-id"));
    let known = match last_seen.and_then(|value| value.to_str().ok()) {
        Some(cursor) => cursor::time(cursor)?,
        None => since.known()?,
    };
    // First listened, then read: what is raised in between comes twice rather than never.
    let mut feed = api.alerts.listen();
    let before = raised_since(&api.store, known - REPEATED, known).await?;
    Ok(event_stream::answer(
        user.remaining(),
        api.shutdown.clone(),
        |events| async move {
            let mut told = HashSet::new();
            for alert in &before {
                tell(&events, alert, &mut told).await?;
            }
            // Who is too far behind is let go, and comes back with the cursor he has.
            while let Ok(alert) = feed.recv().await {
                tell(&events, &alert, &mut told).await?;
            }
            Ok(())
        },
    ))
}

async fn tell(events: &Events, raised: &RaisedAlert, told: &mut HashSet<uuid::Uuid>) -> Result<(), Gone> {
    let alert = &raised.outgoing.alert;
    if told.len() >= REMEMBERED {
        told.clear();
    }
    if !told.insert(alert.id) {
        return Ok(());
    }
    let id = cursor::of_time(raised.raised_at);
    events
        .send(alert.kind.as_str(), Some(&id), &AlertShape::from(raised))
        .await
}
