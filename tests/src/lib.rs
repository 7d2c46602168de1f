//! Runs Trunkline as people run it: the built program, in a folder of its own, on ports of its own.
//!
//! An [`Installation`] is that folder with its settings; it starts [`Process`]es, posts webhooks to them as CallRail
//! does, and looks into the database and the queue from outside. [`pusher_peer`] stands in for Pusher. Everything here panics when it fails, with the logs
//! of the processes. Nothing waits for time to pass: a condition is asked for until it holds or a deadline is over.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::missing_panics_doc,
    clippy::print_stderr,
    reason = "only tests use it, and a test fails by a panic"
)]

mod installation;
mod process;
mod program;
pub mod pusher_peer;
mod samples;
mod server;
pub mod simulated;

pub use installation::{Answer, Installation, Told, free_address, signature};
pub use process::{Process, eventually, falls_to_zero};
pub use program::program;
pub use samples::{Sample, sample, sample_names};
pub use server::Server;

/// The key that the samples are signed with: the one that CallRail's documentation publishes.
pub const SIGNING_KEY: &str = "072e77e426f92738a72fe23c4d1953b4";

/// How long anything may take that is sure to come: far more than it needs, for the machine may be busy.
pub const PATIENCE: std::time::Duration = std::time::Duration::from_secs(60);
