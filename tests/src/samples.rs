//! The recorded webhooks in `tests/data/webhooks`, with the signatures that belong to them.

use std::fs;
use std::path::PathBuf;

/// A recorded body with its signature, made with [`SIGNING_KEY`](crate::SIGNING_KEY).
#[derive(Debug, Clone)]
pub struct Sample {
    /// Byte for byte.
    pub body: Vec<u8>,
    /// For the header `Signature`.
    pub signature: String,
}

/// The sample of that file name.
pub fn sample(name: &str) -> Sample {
    let signature = signatures()
        .into_iter()
        .find_map(|(file, signature)| (file == name).then_some(signature))
        .unwrap_or_else(|| panic!("SIGNATURES.tsv names no {name}"));
    let body = fs::read(folder().join(name)).unwrap_or_else(|error| panic!("cannot read {name}: {error}"));
    Sample { body, signature }
}

/// The file names of all samples that are signed.
pub fn sample_names() -> Vec<String> {
    signatures().into_iter().map(|(file, _)| file).collect()
}

/// File names and signatures.
fn signatures() -> Vec<(String, String)> {
    let table = fs::read_to_string(folder().join("SIGNATURES.tsv")).expect("cannot read SIGNATURES.tsv");
    table
        .lines()
        .filter(|line| !line.starts_with('#') && !line.starts_with("file\t"))
        .map(|line| {
            let mut columns = line.split('\t');
            let (file, signature) = (columns.next(), columns.nth(1));
            let owned = |text: Option<&str>| text.expect("a line with three columns").to_owned();
            (owned(file), owned(signature))
        })
        .collect()
}

fn folder() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/data/webhooks"))
}
