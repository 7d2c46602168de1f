//! What the crate promises, tried from outside: by samples of CallRail, and by histories made to conflict.

#![allow(
    clippy::unwrap_used,
    reason = "clippy.toml lets test functions unwrap, but not what they call"
)]

mod alerts;
mod apply;
mod call;
mod from_callrail;
mod pairs;
mod projection;
mod retention;
