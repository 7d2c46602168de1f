//! Where an archive is.

use std::path::PathBuf;
use std::str::FromStr;

/// Where an archive is: `file://PATH` or `s3://BUCKET[/PREFIX]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ArchiveUrl {
    /// A folder, which is made if it is not there.
    Folder(PathBuf),
    /// A bucket at Amazon S3, or at a server that speaks its protocol.
    S3 {
        /// Its name.
        bucket: String,
        /// What all keys begin with; empty: nothing.
        prefix: String,
    },
}

/// Why a text is no [`ArchiveUrl`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidArchiveUrl {
    /// Neither scheme.
    #[error("must be file://PATH or s3://BUCKET/PREFIX")]
    Scheme,
    /// `file://` alone.
    #[error("file:// must be followed by the path of a folder")]
    NoPath,
    /// `s3://` alone, or a host where the bucket belongs.
    #[error(
        "s3:// must be followed by the name of a bucket, and perhaps a slash and a prefix; another server than \
         Amazon's is named by AWS_ENDPOINT"
    )]
    NoBucket,
}

impl FromStr for ArchiveUrl {
    type Err = InvalidArchiveUrl;

    fn from_str(text: &str) -> Result<Self, InvalidArchiveUrl> {
        let text = text.trim();
        if let Some(path) = text.strip_prefix("file://") {
            return match path {
                "" => Err(InvalidArchiveUrl::NoPath),
                path => Ok(Self::Folder(path.into())),
            };
        }
        let rest = text.strip_prefix("s3://").ok_or(InvalidArchiveUrl::Scheme)?;
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let is_of_a_name = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
        if bucket.is_empty() || !bucket.bytes().all(is_of_a_name) {
            return Err(InvalidArchiveUrl::NoBucket);
        }
        Ok(Self::S3 {
            bucket: bucket.to_owned(),
            prefix: prefix.trim_matches('/').to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_is_a_folder_or_a_bucket() {
        let folder = |path: &str| Ok(ArchiveUrl::Folder(path.into()));
        let bucket = |bucket: &str, prefix: &str| {
            Ok(ArchiveUrl::S3 {
                bucket: bucket.to_owned(),
                prefix: prefix.to_owned(),
            })
        };
        for (text, expected) in [
            ("file:///var/lib/recordings", folder("/var/lib/recordings")),
            (" file://recordings\n", folder("recordings")),
            ("s3://calls", bucket("calls", "")),
            ("s3://calls/", bucket("calls", "")),
            ("s3://my.calls/a/b/", bucket("my.calls", "a/b")),
            ("file://", Err(InvalidArchiveUrl::NoPath)),
            ("s3://", Err(InvalidArchiveUrl::NoBucket)),
            ("s3:///a", Err(InvalidArchiveUrl::NoBucket)),
            ("s3://localhost:9000/a", Err(InvalidArchiveUrl::NoBucket)),
            ("s3://key:secret@calls/a", Err(InvalidArchiveUrl::NoBucket)),
            ("/var/lib/recordings", Err(InvalidArchiveUrl::Scheme)),
            ("https://example.com/calls", Err(InvalidArchiveUrl::Scheme)),
            ("", Err(InvalidArchiveUrl::Scheme)),
        ] {
            assert_eq!(text.parse::<ArchiveUrl>(), expected, "{text}");
        }
    }
}
