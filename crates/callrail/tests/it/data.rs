//! The samples under `tests/data`.

use std::fs;

use serde_json::Value;

/// The folder, with a slash at its end.
pub(crate) const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/data/");

/// The bytes of a file in the folder.
pub(crate) fn sample(path: &str) -> Vec<u8> {
    fs::read(format!("{DATA}{path}")).unwrap()
}

/// An answer of the API, by the file's name.
pub(crate) fn api_sample(name: &str) -> Value {
    serde_json::from_slice(&sample(&format!("api/{name}"))).unwrap()
}
