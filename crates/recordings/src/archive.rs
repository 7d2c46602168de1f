//! An archive, wherever it is.

use std::ops::Range;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{ClientOptions, GetOptions, GetRange, ObjectStore, ObjectStoreExt as _, RetryConfig};

use crate::writer::RecordingWriter;
use crate::{ArchiveError, ArchiveUrl};

/// How long a server of a bucket may take to connect, and to go on.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const READ_TIMEOUT: Duration = Duration::from_secs(20);

/// A folder or a bucket with recordings in it. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Archive {
    pub(crate) objects: Arc<dyn ObjectStore>,
    /// Of an archive that is a folder.
    folder: Option<PathBuf>,
}

/// A recording, or a part of one, as it comes out of an archive.
pub struct Reading {
    /// How long the whole recording is, in bytes.
    pub length: u64,
    /// The bytes that were asked for.
    pub pieces: BoxStream<'static, Result<Bytes, ArchiveError>>,
}

impl Archive {
    /// Opens an archive. A folder is made, for its owner only, if it is not there; a bucket is not asked anything yet.
    ///
    /// `aws` are variables in Amazon's names (`AWS_ACCESS_KEY_ID`, `AWS_REGION`, `AWS_ENDPOINT` and others), of which a
    /// later one wins; only a bucket needs them. Panics, as `reqwest` does, for a bucket when no provider of cryptography
    /// was installed before.
    pub fn open(
        url: &ArchiveUrl,
        aws: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ArchiveError> {
        match url {
            ArchiveUrl::Folder(path) => Self::folder(path),
            ArchiveUrl::S3 { bucket, prefix } => Self::bucket(bucket, prefix, aws),
        }
    }

    fn folder(path: &FilePath) -> Result<Self, ArchiveError> {
        use std::os::unix::fs::DirBuilderExt as _;

        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)?;
        // Archived means on the disk, whatever happens to the machine.
        let objects = LocalFileSystem::new_with_prefix(path)?.with_fsync(true);
        Ok(Self {
            objects: Arc::new(objects),
            folder: Some(path.canonicalize()?),
        })
    }

    fn bucket(
        bucket: &str,
        prefix: &str,
        aws: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ArchiveError> {
        // No limit for a whole request: a player takes a recording as slowly as it plays.
        let client = ClientOptions::new()
            .with_timeout_disabled()
            .with_connect_timeout(CONNECT_TIMEOUT)
            .with_read_timeout(READ_TIMEOUT);
        let retry = RetryConfig {
            max_retries: 3,
            retry_timeout: READ_TIMEOUT,
            ..RetryConfig::default()
        };
        let mut builder = AmazonS3Builder::new()
            .with_client_options(client)
            .with_retry(retry)
            // What is deleted is one recording, and not every server knows how to delete many.
            .with_config(AmazonS3ConfigKey::DisableBulkDelete, "true");
        for (name, value) in aws {
            if let Ok(key) = name.to_ascii_lowercase().parse::<AmazonS3ConfigKey>() {
                // A server of one's own may do without TLS.
                let names_server = matches!(key, AmazonS3ConfigKey::Endpoint | AmazonS3ConfigKey::S3Endpoint);
                let is_plain = names_server && value.starts_with("http://");
                builder = builder.with_config(key, value);
                if is_plain {
                    builder = builder.with_allow_http(true);
                }
            }
        }
        let objects = builder.with_bucket_name(bucket).build()?;
        let objects: Arc<dyn ObjectStore> = match prefix {
            "" => Arc::new(objects),
            prefix => Arc::new(PrefixStore::new(objects, prefix)),
        };
        Ok(Self {
            objects,
            folder: None,
        })
    }

    /// Begins to write a recording. What was under this key before stays until all is written.
    pub fn write(&self, key: &str) -> RecordingWriter {
        self.forget_unfinished(key);
        RecordingWriter::new(Arc::clone(&self.objects), Path::from(key))
    }

    /// A recording, or these bytes of it: `range` is not empty and lies within the recording.
    pub async fn read(&self, key: &str, range: Option<Range<u64>>) -> Result<Reading, ArchiveError> {
        let options = GetOptions {
            range: range.map(GetRange::Bounded),
            ..GetOptions::default()
        };
        let found = self.objects.get_opts(&Path::from(key), options).await?;
        Ok(Reading {
            length: found.meta.size,
            pieces: found
                .into_stream()
                .map(|piece| piece.map_err(ArchiveError::from))
                .boxed(),
        })
    }

    /// Takes a recording out. Nothing is left of it then; if nothing was there, that is as good.
    pub async fn delete(&self, key: &str) -> Result<(), ArchiveError> {
        self.forget_unfinished(key);
        match self.objects.delete(&Path::from(key)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Deletes what a process that was killed has left beside a file: its name, a `#` and a number. (In a bucket the
    /// parts of an upload that was never completed go by a rule of the bucket's.)
    fn forget_unfinished(&self, key: &str) {
        let Some(folder) = &self.folder else { return };
        let is_removed = |number: &u32| std::fs::remove_file(folder.join(format!("{key}#{number}"))).is_ok();
        (1..=u32::MAX).take_while(is_removed).for_each(drop);
    }
}
