//! The importer's tests.
#![allow(
    clippy::unwrap_used,
    reason = "clippy takes the functions shared by the tests for no tests"
)]

mod archive;
mod bench;
mod importer;
mod reconcile;
mod retry;
