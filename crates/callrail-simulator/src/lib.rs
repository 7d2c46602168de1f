//! A simulated `CallRail` account: invented people and calls, the signed webhooks that `CallRail` would send,
//! and the API that tells of the same calls.
//!
//! For the demonstration, tests and benchmarks. [`SimulatedAccount::generate`] makes everything from a seed,
//! with the result that a receiver should come to; a [`Deliverer`] posts it, a [`SimulatedApi`] serves it. All telephone numbers are
//! fictitious: line numbers 555-0100 to 555-0199 of real area codes, which the North American numbering plan
//! keeps for that.

mod account;
mod api;
mod body;
mod call;
mod caller;
mod deliverer;
mod format;
#[cfg(feature = "tls")]
mod tls;
mod words;

pub use account::SimulatedAccount;
pub use api::{ApiOptions, CallChange, CallState, Fault, Limits, RequestKind, SimulatedApi};
pub use call::{ExpectedInteraction, SimulatedCall, SimulatedDelivery};
pub use caller::Person;
pub use deliverer::Deliverer;
#[cfg(feature = "tls")]
pub use tls::{CALLRAIL_ORIGIN, TlsListener, Tunnel};
