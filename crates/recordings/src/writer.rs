//! How a recording gets into an archive.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use object_store::buffered::BufWriter;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _};
use sha2::{Digest, Sha256};
use tokio::io::AsyncWriteExt as _;

use crate::ArchiveError;

/// How much of a recording is in memory at most before it is written, in bytes, and how many such pieces are on their
/// way at a time. S3 takes pieces from 5 MiB on.
const PIECE: usize = 8 << 20;
const PIECES_AT_A_TIME: usize = 2;

/// Writes one recording. Unless it is finished nothing appears under its key.
pub struct RecordingWriter {
    objects: Arc<dyn ObjectStore>,
    path: Path,
    buffer: BufWriter,
    hash: Sha256,
    length: u64,
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// How many bytes.
    pub length: u64,
    /// Their SHA-256, in hexadecimal.
    pub sha256: String,
}

impl RecordingWriter {
    pub(crate) fn new(objects: Arc<dyn ObjectStore>, path: Path) -> Self {
        let buffer = BufWriter::with_capacity(Arc::clone(&objects), path.clone(), PIECE)
            .with_max_concurrency(PIECES_AT_A_TIME);
        Self {
            objects,
            path,
            buffer,
            hash: Sha256::new(),
            length: 0,
        }
    }

    /// Adds the next bytes; waits while the archive is slower than they come.
    pub async fn put(&mut self, bytes: Bytes) -> Result<(), ArchiveError> {
        self.hash.update(&bytes);
        self.length += bytes.len() as u64;
        Ok(self.buffer.put(bytes).await?)
    }

    /// How many bytes were added.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Completes the recording: it is there when this returns, with as many bytes as were written.
    pub async fn finish(mut self) -> Result<Written, ArchiveError> {
        self.buffer.shutdown().await?;
        let found = self.objects.head(&self.path).await?.size;
        if found != self.length {
            return Err(ArchiveError::Differs {
                written: self.length,
                found,
            });
        }
        Ok(Written {
            length: self.length,
            sha256: hex::encode(self.hash.finalize()),
        })
    }

    /// Gives up: nothing is left of what was added.
    pub async fn abort(mut self) -> Result<(), ArchiveError> {
        Ok(self.buffer.abort().await?)
    }
}

impl fmt::Debug for RecordingWriter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("RecordingWriter")
            .field("path", &self.path)
            .field("length", &self.length)
            .finish_non_exhaustive()
    }
}
