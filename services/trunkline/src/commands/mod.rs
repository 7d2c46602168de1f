//! The operator's commands, one a file.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "commands speak to the person who calls them"
)]

pub(crate) mod connect;
pub(crate) mod contacts;
pub(crate) mod dead_letters;
pub(crate) mod demo;
pub(crate) mod doctor;
pub(crate) mod erase;
pub(crate) mod explain;
pub(crate) mod health;
pub(crate) mod import;
pub(crate) mod migrate;
pub(crate) mod spool;
pub(crate) mod token;
pub(crate) mod verify;
