//! Traces: which webhook a message comes from, across processes, and the spans that are told of it.
//!
//! [`TraceContext`] travels with messages. The feature `export` brings spans, which go to a collector by OTLP.

mod context;
#[cfg(feature = "export")]
mod export;
#[cfg(feature = "export")]
mod sampling;
#[cfg(feature = "export")]
mod span;

pub use context::{InvalidContext, TraceContext};
#[cfg(feature = "export")]
pub use export::{CannotExport, Export, Exporting};
#[cfg(feature = "export")]
pub use sampling::{InvalidSampling, Sampling};
#[cfg(feature = "export")]
pub use span::{Kind, Span, Tracer, Value};
