//! Where a list goes on: opaque texts, so that nobody builds one.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use store::InteractionPosition;
use uuid::Uuid;

use crate::answer::Refusal;

/// The cursor of a time, in whole microseconds.
pub(crate) fn of_time(time: DateTime<Utc>) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(time.timestamp_micros().to_be_bytes())
}

pub(crate) fn time(cursor: &str) -> Result<DateTime<Utc>, Refusal> {
    let bytes = decoded(cursor)?;
    let micros = <[u8; 8]>::try_from(bytes).map_err(|_| unknown())?;
    DateTime::from_timestamp_micros(i64::from_be_bytes(micros)).ok_or_else(unknown)
}

/// The cursor of a place in the list of interactions.
pub(crate) fn of_position(position: InteractionPosition) -> String {
    let micros = position.scheduled_at.timestamp_micros().to_be_bytes();
    BASE64_URL_SAFE_NO_PAD.encode([&micros[..], &position.id.as_bytes()[..]].concat())
}

pub(crate) fn position(cursor: &str) -> Result<InteractionPosition, Refusal> {
    let bytes = decoded(cursor)?;
    let (micros, id) = bytes.split_first_chunk::<8>().ok_or_else(unknown)?;
    Ok(InteractionPosition {
        scheduled_at: DateTime::from_timestamp_micros(i64::from_be_bytes(*micros)).ok_or_else(unknown)?,
        id: Uuid::from_slice(id).map_err(|_| unknown())?,
    })
}

fn decoded(cursor: &str) -> Result<Vec<u8>, Refusal> {
    BASE64_URL_SAFE_NO_PAD.decode(cursor).map_err(|_| unknown())
}

fn unknown() -> Refusal {
    Refusal::invalid("The cursor is none that this API has given")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_as_it_was_given() {
        let at: DateTime<Utc> = "2026-11-20T19:03:20.123456Z".parse().unwrap();
        assert_eq!(time(&of_time(at)).unwrap(), at);
        let place = InteractionPosition {
            scheduled_at: at,
            id: Uuid::from_u128(7),
        };
        assert_eq!(position(&of_position(place)).unwrap(), place);
    }

    #[test]
    fn what_was_never_given_is_refused() {
        let of_time = of_time(DateTime::UNIX_EPOCH);
        for text in ["", "x", "2026-11-20T19:03:20Z", "____________"] {
            assert!(time(text).is_err(), "{text}");
        }
        assert!(position(&of_time).is_err());
    }
}
