//! `CallRail` as Trunkline knows it: identifiers, webhook kinds, signatures, the call object and, with the
//! feature `client`, its API.
//!
//! The crate is a leaf. Without `client` it does no I/O, and it knows nothing of Trunkline; what it relies on,
//! and how certain each fact is, stands in `docs/callrail.md`.

mod call;
#[cfg(feature = "client")]
pub mod client;
mod diagnosis;
mod field;
mod ids;
mod json;
mod rails_json;
mod signature;
mod webhook;

pub use call::{Call, parse_object};
pub use diagnosis::{Diagnosis, diagnose};
pub use field::{CallType, Direction, Field, Phrase};
pub use ids::{AccountId, CallId, CompanyId, InvalidId};
pub use json::{Json, Object};
pub use signature::{
    ALTERNATIVE_SIGNATURE_HEADER, InvalidSigningKey, InvalidSigningKeys, SIGNATURE_HEADER, SignatureError,
    SigningKey, SigningKeys, sign,
};
pub use webhook::{NotACall, WebhookKind};
