//! What can be published: an event, and the limits that Pusher sets for it.

use serde::Serialize;

/// The most events that one request may carry (Pusher's HTTP API reference, "POST batch events").
pub const MAX_BATCH: usize = 10;

/// The most bytes of [`Event::data`] (Pusher's HTTP API reference: 10 kB, counted as 10,240 bytes).
pub const MAX_EVENT_BYTES: usize = 10_240;

/// The most characters of a channel name, its prefix included (Pusher's help: "Invalid channel name").
const MAX_CHANNEL_NAME: usize = 164;

/// The most characters of an event name (Pusher's HTTP API reference).
const MAX_EVENT_NAME: usize = 200;

/// One event for one channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Event {
    /// Where it goes, for instance `private-calls`; see [`is_channel_name`].
    pub channel: String,
    /// What a client binds to, for instance `incoming-call`; 1 to 200 characters.
    pub name: String,
    /// JSON text, at most [`MAX_EVENT_BYTES`]; handed to clients as it is.
    pub data: String,
}

impl Event {
    /// Says whether Pusher can take this event at all.
    pub fn check(&self) -> Result<(), InvalidEvent> {
        if !is_channel_name(&self.channel) {
            return Err(InvalidEvent::ChannelName);
        }
        if !(1..=MAX_EVENT_NAME).contains(&self.name.chars().count()) {
            return Err(InvalidEvent::EventName);
        }
        if self.data.len() > MAX_EVENT_BYTES {
            return Err(InvalidEvent::TooLarge {
                bytes: self.data.len(),
            });
        }
        Ok(())
    }
}

/// Why an event can never be published.
///
/// The text names no channel, since a channel may name a person.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidEvent {
    /// See [`is_channel_name`].
    #[error("the channel name is not 1 to 164 letters, digits or characters of _-=@,.;")]
    ChannelName,
    /// Empty, or too long.
    #[error("the event name is not 1 to 200 characters long")]
    EventName,
    /// More than [`MAX_EVENT_BYTES`].
    #[error("the data is {bytes} bytes long, more than 10240")]
    TooLarge {
        /// How long [`Event::data`] is.
        bytes: usize,
    },
}

/// Whether Pusher accepts this as the name of a channel.
///
/// 1 to 164 characters, `private-` and `presence-` included: ASCII letters, digits and `_ - = @ , . ;`
/// (Pusher's documentation, "Channel naming conventions").
pub fn is_channel_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_-=@,.;".contains(&byte);
    (1..=MAX_CHANNEL_NAME).contains(&name.len()) && name.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event() -> Event {
        Event {
            channel: "private-calls".into(),
            name: "incoming-call".into(),
            data: "{}".into(),
        }
    }

    #[test]
    fn channel_names_keep_to_the_alphabet() {
        for name in [
            "private-calls",
            "private-user-17",
            "a",
            "foo-bar_1234@=,.;",
            &"x".repeat(164),
        ] {
            assert!(is_channel_name(name), "{name}");
        }
        for name in [
            "",
            "private calls",
            "private-user-é",
            "a/b",
            "a:b",
            "#server",
            "a\n",
            &"x".repeat(165),
        ] {
            assert!(!is_channel_name(name), "{name}");
        }
    }

    #[test]
    fn an_event_at_every_limit_is_accepted() {
        let event = Event {
            channel: "c".repeat(MAX_CHANNEL_NAME),
            name: "é".repeat(MAX_EVENT_NAME),
            data: "d".repeat(MAX_EVENT_BYTES),
        };
        assert_eq!(event.check(), Ok(()));
    }

    #[test]
    fn an_event_beyond_a_limit_is_refused_with_the_reason() {
        let long_data = Event {
            data: "d".repeat(MAX_EVENT_BYTES + 1),
            ..event()
        };
        assert_eq!(long_data.check(), Err(InvalidEvent::TooLarge { bytes: 10_241 }));
        let long_name = Event {
            name: "n".repeat(MAX_EVENT_NAME + 1),
            ..event()
        };
        assert_eq!(long_name.check(), Err(InvalidEvent::EventName));
        let no_name = Event {
            name: String::new(),
            ..event()
        };
        assert_eq!(no_name.check(), Err(InvalidEvent::EventName));
        let bad_channel = Event {
            channel: "private user".into(),
            ..event()
        };
        assert_eq!(bad_channel.check(), Err(InvalidEvent::ChannelName));
    }
}
