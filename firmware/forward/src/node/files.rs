//! What a node keeps of itself: its id, its credentials, and how far its sources were read.

use crate::send::Identity;
use crate::{ForwardError, replace_file};
use bramble_runtime::Rng;
use parking_lot::RwLock;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

const ID_FILE: &str = "node.id";
const GENERATION_FILE: &str = "node.starts";
const POSITIONS_FILE: &str = "node.positions";

/// How far a source was read, as of the last checkpoint.
#[derive(Clone, Default, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Checkpoint {
    pub(crate) sequence: u64,
    pub(crate) positions: BTreeMap<String, String>,
}

/// The files of a node in its data directory.
#[derive(Clone)]
pub(crate) struct LocalFiles {
    directory: PathBuf,
    pub(crate) node_id: Arc<str>,
}

impl LocalFiles {
    /// Reads the node's id, or makes one: 128 random bits in hexadecimal.
    pub(crate) fn open(directory: &Path, seed: u64) -> Result<LocalFiles, ForwardError> {
        let path = directory.join(ID_FILE);
        let failed = |error: io::Error| ForwardError::File { path: path.clone(), error };
        std::fs::create_dir_all(directory).map_err(failed)?;
        let node_id = match std::fs::read_to_string(&path) {
            Ok(text) if bramble_wire::delivery::is_node_id(text.trim()) => text.trim().to_owned(),
            // Damaged by a power cut of its first moments, or never there.
            Ok(_) => make_id(&path, seed).map_err(failed)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => make_id(&path, seed).map_err(failed)?,
            Err(error) => return Err(failed(error)),
        };
        Ok(LocalFiles { directory: directory.to_path_buf(), node_id: node_id.into() })
    }

    fn credential_path(&self, hub: &str) -> PathBuf {
        self.directory.join(if hub == super::FIRST_HUB {
            "node.credential".into()
        } else {
            format!("node.credential-{hub}")
        })
    }

    /// Who the node is to a hub, by the name of that hub's queue.
    pub(crate) fn identity(&self, hub: &str) -> Result<Identity, ForwardError> {
        let path = self.credential_path(hub);
        let credential = match std::fs::read_to_string(&path) {
            Ok(text) => text.trim().to_owned(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(ForwardError::File { path, error }),
        };
        Ok(Identity { node_id: self.node_id.clone(), credential: Arc::new(RwLock::new(credential)) })
    }

    /// Keeps what a hub gave at enrolment; readable by the owner alone.
    pub(crate) fn keep_credential(&self, hub: &str, credential: &str) -> io::Result<()> {
        replace_file(&self.credential_path(hub), credential.as_bytes(), 0o600)
    }

    /// The number of this start, which no other has: sequences of the node's own sources ascend over starts, also where
    /// no clock does.
    pub(crate) fn next_generation(&self) -> Result<u64, ForwardError> {
        let path = self.directory.join(GENERATION_FILE);
        let before = std::fs::read_to_string(&path).ok().and_then(|text| text.trim().parse::<u64>().ok()).unwrap_or(0);
        // 24 bits are left of a sequence for it: a start every second for half a year, and then the numbers begin anew.
        let generation = before % ((1 << 23) - 1) + 1;
        match replace_file(&path, generation.to_string().as_bytes(), 0o644) {
            Ok(()) => Ok(generation),
            Err(error) => Err(ForwardError::File { path, error }),
        }
    }

    /// The last checkpoint; empty when there is none, or none that can be read.
    pub(crate) fn checkpoint(&self) -> BTreeMap<String, Checkpoint> {
        let path = self.directory.join(POSITIONS_FILE);
        let Ok(bytes) = std::fs::read(&path) else { return BTreeMap::new() };
        serde_json::from_slice(&bytes).unwrap_or_else(|error| {
            tracing::warn!("{}: {error}; read on from what the hub knows", path.display());
            BTreeMap::new()
        })
    }

    pub(crate) fn keep_checkpoint(&self, checkpoint: &BTreeMap<String, Checkpoint>) -> io::Result<()> {
        let bytes = serde_json::to_vec(checkpoint)?;
        replace_file(&self.directory.join(POSITIONS_FILE), &bytes, 0o644)
    }
}

fn make_id(path: &Path, seed: u64) -> io::Result<String> {
    let mut bytes = [0; 16];
    let system = File::open("/dev/urandom").and_then(|mut random| random.read_exact(&mut bytes));
    if system.is_err() {
        Rng::new(seed).fill(&mut bytes);
    }
    let id: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    replace_file(path, id.as_bytes(), 0o644)?;
    Ok(id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn hubs_enrol_it_at_once() {
        let directory = tempfile::tempdir().unwrap();
        let files = LocalFiles::open(directory.path(), 1).unwrap();
        std::thread::scope(|scope| {
            for hub in [crate::node::FIRST_HUB, "hub-2"] {
                let files = &files;
                scope.spawn(move || {
                    for _ in 0..50 {
                        files.keep_credential(hub, hub).unwrap();
                    }
                });
            }
        });
        assert_eq!(*files.identity("hub").unwrap().credential.read(), "hub");
        assert_eq!(*files.identity("hub-2").unwrap().credential.read(), "hub-2");
    }

    #[test]
    fn a_node_stays_who_it_is() {
        let directory = tempfile::tempdir().unwrap();
        let files = LocalFiles::open(directory.path(), 1).unwrap();
        assert_eq!(files.node_id.len(), 32);
        assert_eq!(LocalFiles::open(directory.path(), 2).unwrap().node_id, files.node_id);
        files.keep_credential(crate::node::FIRST_HUB, "secret").unwrap();
        assert_eq!(*files.identity(crate::node::FIRST_HUB).unwrap().credential.read(), "secret");
        assert_eq!(*files.identity("other").unwrap().credential.read(), "");
        let mode = std::fs::metadata(directory.path().join("node.credential")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let positions = [("key".to_owned(), "value".to_owned())].into();
        let checkpoint = [("files".to_owned(), Checkpoint { sequence: 7, positions })].into();
        files.keep_checkpoint(&checkpoint).unwrap();
        assert_eq!(files.checkpoint(), checkpoint);
        std::fs::write(directory.path().join("node.positions"), "{").unwrap();
        assert_eq!(files.checkpoint(), BTreeMap::new());
    }
}
