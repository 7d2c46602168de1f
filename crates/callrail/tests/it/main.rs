//! What the crate promises, tried from outside: by samples of `CallRail`, and by a server that answers as
//! `CallRail` does and as it should not.

#![allow(
    clippy::unwrap_used,
    reason = "clippy.toml lets test functions unwrap, but not what they call"
)]

#[cfg(feature = "client")]
mod client;
mod data;
mod recording_file;
mod samples;
