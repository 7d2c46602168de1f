//! Lets a client join a private channel: our signature, which the client hands to Pusher.

use crate::PusherUrl;
use crate::client::hmac_sha256;
use crate::event::is_channel_name;

impl PusherUrl {
    /// Signs that the client with this socket may join a private channel (Pusher's documentation, "Authorizing
    /// users"): the `auth` of the answer to its request. `None` when socket or channel have a form that Pusher's
    /// have not, so that nothing else can be signed by a trick.
    ///
    /// Whether this user may is for the caller to decide.
    pub fn authorise(&self, socket_id: &str, channel: &str) -> Option<String> {
        let (first, second) = socket_id.split_once('.')?;
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let is_fit = is_number(first) && is_number(second) && socket_id.len() <= MAX_SOCKET_ID;
        if !is_fit || !channel.starts_with("private-") || !is_channel_name(channel) {
            return None;
        }
        let signed = format!("{socket_id}:{channel}");
        let signature = hmac_sha256(self.secret().as_bytes(), signed.as_bytes());
        Some(format!("{}:{}", self.key(), hex::encode(signature)))
    }
}

/// Longer than any that Pusher gives.
const MAX_SOCKET_ID: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn app() -> PusherUrl {
        "https://278d425bdf160c739803:7ad3773142a6692b25b8@api.pusherapp.com/apps/3"
            .parse()
            .unwrap()
    }

    #[test]
    fn the_worked_example_of_pushers_reference_is_signed_as_published() {
        assert_eq!(
            app().authorise("1234.1234", "private-foobar").as_deref(),
            Some("278d425bdf160c739803:58df8b0c36d6982b82c3ecf6b4662e34fe8c25bba48f5369f135bf843651c3a4")
        );
    }

    #[test]
    fn nothing_but_a_socket_and_a_private_channel_is_signed() {
        for (socket, channel) in [
            ("", "private-calls"),
            ("1234", "private-calls"),
            ("1234.", "private-calls"),
            ("1234.1234:private-x", "private-calls"),
            ("1234.1234", "calls"),
            ("1234.1234", "presence-calls"),
            ("1234.1234", "private-a:b"),
            ("1234.1234", "private-a b"),
        ] {
            assert_eq!(app().authorise(socket, channel), None, "{socket} {channel}");
        }
    }
}
