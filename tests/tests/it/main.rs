//! What Trunkline promises, tried on whole processes over HTTP.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "clippy takes the functions shared by the tests for no tests"
)]

mod api;
mod api_documented;
mod api_faults;
mod api_speed;
mod api_tokens;
mod bad_input;
mod bounds;
mod browser;
mod budget;
mod chaos;
mod commands;
mod connect;
mod console;
mod crash;
mod dead_letters;
mod demo;
mod disks;
mod doctor;
mod imports;
mod injection;
mod load;
mod metrics;
mod privacy;
mod pusher;
mod recordings;
mod refusals;
mod restart;
mod samples;
mod scaled;
mod settings;
mod spool;
mod traces;
