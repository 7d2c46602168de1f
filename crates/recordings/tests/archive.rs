//! An archive in a folder, and, when it is asked for by `--run-ignored`, in a bucket that exists: `TEST_S3_ARCHIVE`
//! (`s3://BUCKET/PREFIX`) and variables in Amazon's names say where it is.
#![allow(
    clippy::unwrap_used,
    reason = "clippy takes the functions shared by the tests for no tests"
)]

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use recordings::{Archive, ArchiveError};
use tempfile::TempDir;

/// Longer than what is kept in memory.
const LONG: usize = 20 << 20;

fn in_folder(folder: &TempDir) -> Archive {
    let url = format!("file://{}/recordings", folder.path().display());
    Archive::open(&url.parse().unwrap(), []).unwrap()
}

/// So many bytes in pieces as they come from a server, different everywhere.
fn sound(length: usize) -> Vec<Bytes> {
    let all: Vec<u8> = (0..=250).cycle().take(length).collect();
    all.chunks(60_000).map(Bytes::copy_from_slice).collect()
}

async fn write(archive: &Archive, key: &str, pieces: &[Bytes]) -> recordings::Written {
    let mut writer = archive.write(key);
    for piece in pieces {
        writer.put(piece.clone()).await.unwrap();
    }
    writer.finish().await.unwrap()
}

async fn read(archive: &Archive, key: &str, range: Option<std::ops::Range<u64>>) -> (u64, Vec<u8>) {
    let reading = archive.read(key, range).await.unwrap();
    let pieces: Vec<Bytes> = reading.pieces.try_collect().await.unwrap();
    (reading.length, pieces.concat())
}

fn files(folder: &Path) -> BTreeSet<PathBuf> {
    let mut files = BTreeSet::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.append(&mut self::files(&path));
        } else {
            files.insert(path);
        }
    }
    files
}

/// What every archive does, wherever it is.
async fn keeps_recordings(archive: &Archive) {
    for length in [1, 100_000, LONG] {
        let pieces = sound(length);
        let whole = pieces.concat();
        let key = format!("2026-11/CAL{length}.mp3");
        let written = write(archive, &key, &pieces).await;
        assert_eq!(written.length, length as u64);
        assert_eq!(written.sha256, sha256(&whole));
        assert!(read(archive, &key, None).await == (length as u64, whole.clone()));
        if length > 1 {
            let part = read(archive, &key, Some(10..5_000)).await;
            assert!(part == (length as u64, whole[10..5_000].to_vec()));
        }
        archive.delete(&key).await.unwrap();
        archive.delete(&key).await.unwrap();
        assert!(matches!(
            archive.read(&key, None).await.map(drop),
            Err(ArchiveError::NotFound)
        ));
    }

    // What is given up leaves what was there.
    let pieces = sound(1_000);
    let again = write(archive, "2026-11/CAL1.mp3", &pieces).await;
    assert_eq!(write(archive, "2026-11/CAL1.mp3", &pieces).await, again);
    for length in [1_000, LONG] {
        let mut writer = archive.write("2026-11/CAL1.mp3");
        for piece in sound(length) {
            writer.put(piece).await.unwrap();
        }
        writer.abort().await.unwrap();
    }
    assert!(read(archive, "2026-11/CAL1.mp3", None).await == (1_000, pieces.concat()));
    archive.delete("2026-11/CAL1.mp3").await.unwrap();
}

fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest as _;
    hex::encode(sha2::Sha256::digest(bytes))
}

#[tokio::test]
async fn a_folder_keeps_recordings_for_its_owner_alone() {
    let folder = TempDir::new().unwrap();
    let archive = in_folder(&folder);
    keeps_recordings(&archive).await;

    let root = folder.path().join("recordings");
    assert_eq!(files(&root), BTreeSet::new());
    let mode = std::fs::metadata(&root).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}

#[tokio::test]
async fn what_a_killed_process_left_goes_with_the_next_try_or_with_the_recording() {
    let folder = TempDir::new().unwrap();
    let archive = in_folder(&folder);
    let kept = folder.path().join("recordings/2026-11/CAL1.mp3");
    let killed = || {
        for number in [1, 2] {
            std::fs::write(format!("{}#{number}", kept.display()), "a part").unwrap();
        }
    };
    std::fs::create_dir(kept.parent().unwrap()).unwrap();
    killed();
    write(&archive, "2026-11/CAL1.mp3", &sound(10)).await;
    assert_eq!(files(folder.path()), BTreeSet::from([kept.clone()]));
    killed();
    archive.delete("2026-11/CAL1.mp3").await.unwrap();
    assert_eq!(files(folder.path()), BTreeSet::new());
}

#[tokio::test]
async fn a_folder_that_takes_nothing_is_an_error() {
    let folder = TempDir::new().unwrap();
    let archive = in_folder(&folder);
    std::fs::write(folder.path().join("recordings/2026-11"), "no folder").unwrap();
    let mut writer = archive.write("2026-11/CAL1.mp3");
    writer.put(Bytes::from_static(b"sound")).await.unwrap();
    assert!(matches!(writer.finish().await, Err(ArchiveError::Unavailable(_))));
}

#[tokio::test]
#[ignore = "needs a bucket"]
async fn a_bucket_keeps_recordings() {
    let url = std::env::var("TEST_S3_ARCHIVE").expect("TEST_S3_ARCHIVE says where a bucket is");
    let _ = rustls::crypto::ring::default_provider().install_default();
    let aws = std::env::vars().filter(|(name, _)| name.starts_with("AWS_"));
    let archive = Archive::open(&url.parse().unwrap(), aws).unwrap();
    keeps_recordings(&archive).await;
}
