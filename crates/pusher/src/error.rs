//! What can go wrong when publishing, and who is to blame.

use reqwest::StatusCode;

use crate::event::{InvalidEvent, MAX_BATCH};

/// Why a batch was not published.
#[derive(Debug, thiserror::Error)]
pub enum PusherError {
    /// No answer: not connected, TLS failed, or not in time. The batch may have been published all the same.
    #[error("the Pusher server did not answer")]
    Unreachable {
        /// What the HTTP client says, without the URL (which carries the signature).
        #[source]
        source: reqwest::Error,
    },
    /// 408, 429 or 5xx: the server is there but cannot take events now.
    #[error("the Pusher server answered {}: it takes no events now", status.as_u16())]
    Unavailable {
        /// What it answered.
        status: StatusCode,
    },
    /// 401, 403 or 404: the app is not known, not enabled, over its quota, or the signature does not hold.
    #[error(
        "the Pusher server answered {}: check key, secret and app id in PUSHER_URL, the clock of this machine, \
         and whether the app is enabled and within its quota",
        status.as_u16()
    )]
    Unauthorised {
        /// What it answered.
        status: StatusCode,
    },
    /// A redirect. None is followed, since the signature would go with it.
    #[error(
        "the Pusher server answered with a redirect: PUSHER_URL must name the server itself (http or https?)"
    )]
    Redirected,
    /// Any other status: the server read the request and does not want it, now or later.
    #[error("the Pusher server refused the events with {}: {body_start}", status.as_u16())]
    Refused {
        /// What it answered.
        status: StatusCode,
        /// The first 200 characters of the answer, for a log; control characters are blanks.
        body_start: String,
    },
    /// An event of the batch cannot be published. Nothing was sent.
    #[error("event {index} of the batch cannot be published")]
    Invalid {
        /// Its place in the batch, from 0.
        index: usize,
        /// What is wrong with it.
        #[source]
        source: InvalidEvent,
    },
    /// More than [`MAX_BATCH`] events at once. Nothing was sent.
    #[error("{events} events in a batch, more than {MAX_BATCH}")]
    BatchTooLong {
        /// How many there were.
        events: usize,
    },
}

impl PusherError {
    /// Whether the outside (network, server, settings) is to blame rather than these events.
    ///
    /// Then the same events will pass once the outside is mended, and no event fares better meanwhile.
    pub fn is_outside(&self) -> bool {
        match self {
            Self::Unreachable { .. }
            | Self::Unavailable { .. }
            | Self::Unauthorised { .. }
            | Self::Redirected => true,
            Self::Refused { .. } | Self::Invalid { .. } | Self::BatchTooLong { .. } => false,
        }
    }

    /// The error for an answer that is no success.
    pub(crate) fn of_answer(status: StatusCode, body_start: impl FnOnce() -> String) -> Self {
        match status.as_u16() {
            300..=399 => Self::Redirected,
            401 | 403 | 404 => Self::Unauthorised { status },
            408 | 429 | 500.. => Self::Unavailable { status },
            _ => Self::Refused {
                status,
                body_start: body_start(),
            },
        }
    }
}
