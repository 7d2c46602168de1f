//! `CallRail` as Trunkline knows it: identifiers, webhook kinds, signatures and the call object.
//!
//! The crate is a leaf. It does no I/O and knows nothing of Trunkline; what it relies on, and how certain
//! each fact is, stands in `docs/callrail.md`.

mod call;
mod diagnosis;
mod field;
mod ids;
mod rails_json;
mod signature;
mod webhook;

pub use call::{Call, parse_object};
pub use diagnosis::{Diagnosis, diagnose};
pub use field::{CallType, Direction, Field, Phrase};
pub use ids::{CallId, CompanyId, InvalidId};
pub use signature::{
    ALTERNATIVE_SIGNATURE_HEADER, InvalidSigningKey, InvalidSigningKeys, SIGNATURE_HEADER, SignatureError,
    SigningKey, SigningKeys, sign,
};
pub use webhook::{NotACall, WebhookKind};
