//! What the database promises, tried on every database there is.
//!
//! `suite` holds the cases and knows no database; each database has a file that runs all of them on it.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "clippy takes the functions shared by the tests for no tests"
)]

#[macro_use]
mod suite;
mod documentation;
mod postgres;
mod samples;
mod sqlite;
