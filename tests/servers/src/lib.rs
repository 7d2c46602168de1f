//! The `RabbitMQ` and the `PostgreSQL` that tests are given by `TEST_QUEUE_URL`, `TEST_QUEUE_ADMIN_URL` and
//! `TEST_DATABASE_URL` (`./test` starts both, by the scripts beside this crate): a [`Vhost`] or a [`Database`] for each
//! test, gone with it, a [`Proxy`] that does to a connection what networks and servers do, a [`Throttle`] before a broker
//! that is slow, a [`Disk`] that may be full, [`Names`] that may not be found, and a [`Cluster`] of brokers of which some may
//! be lost.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "only tests use it, and a test fails by a panic"
)]

mod cluster;
mod database;
mod disk;
mod names;
mod proxy;
mod throttle;
mod vhost;

pub use cluster::Cluster;
pub use database::{Database, LockedTable};
pub use disk::Disk;
pub use names::Names;
pub use proxy::Proxy;
pub use throttle::Throttle;
pub use vhost::Vhost;
