//! Tickets: what lets a player in that cannot send a token. Each is good for one call, for some minutes.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use callrail::CallId;
use chrono::{DateTime, TimeDelta, Utc};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// How long a ticket lets somebody in: a player asks again whenever its user seeks.
pub(crate) const VALID_FOR: TimeDelta = TimeDelta::minutes(5);

/// Names what is signed: a signature for anything else is none for a ticket.
const PURPOSE: &[u8] = b"trunkline recording ticket";

const TIME: usize = 8;
const USER: usize = 16;
const SIGNATURE: usize = 32;

/// What tickets are signed with.
pub(crate) struct TicketKey(Vec<u8>);

impl TicketKey {
    /// A key made from a secret that all processes share: one for tickets, or else that of the tokens. Without either
    /// a key of this process alone.
    pub(crate) fn new(secret: Option<&[u8]>, token_secret: Option<&[u8]>) -> Self {
        match secret.or(token_secret) {
            // Not the secret itself: no text that is signed here can ever be a token.
            Some(secret) => Self(signature(secret, &[PURPOSE])),
            None => Self([*Uuid::new_v4().as_bytes(), *Uuid::new_v4().as_bytes()].concat()),
        }
    }

    /// A ticket for one call and one user.
    pub(crate) fn issue(&self, call: &CallId, user: &str, expires_at: DateTime<Utc>) -> String {
        let user = Sha256::digest(user.as_bytes());
        let content = [&expires_at.timestamp().to_be_bytes()[..], &user[..USER]].concat();
        let signature = signature(&self.0, &[PURPOSE, call.as_str().as_bytes(), &content]);
        BASE64_URL_SAFE_NO_PAD.encode([content, signature].concat())
    }

    /// Whether a ticket was issued for this call and holds at this time.
    pub(crate) fn admits(&self, ticket: &str, call: &CallId, now: DateTime<Utc>) -> bool {
        let Ok(bytes) = BASE64_URL_SAFE_NO_PAD.decode(ticket) else {
            return false;
        };
        if bytes.len() != TIME + USER + SIGNATURE {
            return false;
        }
        let (content, signature) = bytes.split_at(TIME + USER);
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.0) else {
            return false;
        };
        for part in [PURPOSE, call.as_str().as_bytes(), content] {
            update(&mut mac, part);
        }
        let expires_at = content.first_chunk::<TIME>().copied().map(i64::from_be_bytes);
        // Compared in constant time.
        mac.verify_slice(signature).is_ok() && expires_at.is_some_and(|at| now.timestamp() < at)
    }
}

fn signature(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    // HMAC takes a key of any length; the error type is there for other algorithms.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else {
        return Vec::new();
    };
    for part in parts {
        update(&mut mac, part);
    }
    mac.finalize().into_bytes().to_vec()
}

/// Each part with its length: no two lists of parts are the same text.
fn update(mac: &mut Hmac<Sha256>, part: &[u8]) {
    mac.update(&(part.len() as u64).to_be_bytes());
    mac.update(part);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(id: &str) -> CallId {
        CallId::parse(id).unwrap()
    }

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    #[test]
    fn a_ticket_is_good_for_its_call_until_its_time() {
        let key = TicketKey::new(None, Some(b"secret"));
        let ticket = key.issue(&call("CAL1"), "7", at(300));
        assert!(key.admits(&ticket, &call("CAL1"), at(299)));
        assert!(!key.admits(&ticket, &call("CAL1"), at(300)));
        assert!(!key.admits(&ticket, &call("CAL2"), at(299)));
        assert_ne!(ticket, key.issue(&call("CAL1"), "8", at(300)));
    }

    #[test]
    fn processes_with_the_same_secret_take_each_others_tickets_and_others_do_not() {
        let ticket = TicketKey::new(Some(b"one"), None).issue(&call("CAL1"), "", at(300));
        assert!(TicketKey::new(Some(b"one"), Some(b"two")).admits(&ticket, &call("CAL1"), at(1)));
        for other in [TicketKey::new(Some(b"two"), None), TicketKey::new(None, None)] {
            assert!(!other.admits(&ticket, &call("CAL1"), at(1)));
        }
    }

    #[test]
    fn a_ticket_that_was_changed_anywhere_is_none() {
        let key = TicketKey::new(Some(b"one"), None);
        let ticket = key.issue(&call("CAL1"), "7", at(300));
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(&ticket).unwrap();
        for place in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[place] ^= 1;
            let changed = BASE64_URL_SAFE_NO_PAD.encode(changed);
            assert!(!key.admits(&changed, &call("CAL1"), at(1)), "{place}");
        }
        for text in ["", "x", &ticket[1..], &format!("{ticket}AA")] {
            assert!(!key.admits(text, &call("CAL1"), at(1)), "{text}");
        }
    }
}
