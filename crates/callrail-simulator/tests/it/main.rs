//! What the simulated account and its API promise to those who test with them.

#![allow(
    clippy::unwrap_used,
    reason = "clippy.toml lets test functions unwrap, but not what they call"
)]

mod account;
mod api;
mod program;
