//! The archive of recordings: what CallRail forgets stays in a folder, or in a bucket that speaks S3.
//!
//! An [`Archive`] is written and read in pieces, so that no recording is in memory as a whole. What is written appears
//! under its key as a whole or not at all, and is looked at once more before anybody is told that it is there. Where
//! which call's recording is stands in the database, not here.

mod archive;
mod error;
mod url;
mod writer;

pub use archive::{Archive, Reading};
pub use error::ArchiveError;
pub use url::{ArchiveUrl, InvalidArchiveUrl};
pub use writer::{RecordingWriter, Written};
