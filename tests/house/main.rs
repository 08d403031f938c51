//! Tests of the house: what may depend on what, and whether the documents still say what is.

#![expect(clippy::unwrap_used, reason = "tests")]

mod documents;
mod graph;
mod k3s;
mod pending;

use std::path::PathBuf;

/// The repository's root.
fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A file of the repository as text.
fn file(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}
