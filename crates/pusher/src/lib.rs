//! The HTTP API of Pusher Channels, and of any server that speaks it: publishing events.
//!
//! A [`PusherUrl`] says which app, a [`Pusher`] publishes [`Event`]s to it in batches, and a [`PusherError`]
//! says whether the message or the outside is to blame.

mod authorisation;
mod client;
mod error;
mod event;
mod url;

pub use client::{Pusher, http_client};
pub use error::PusherError;
pub use event::{Event, InvalidEvent, MAX_BATCH, MAX_EVENT_BYTES, is_channel_name};
pub use url::{InvalidPusherUrl, PusherUrl};
