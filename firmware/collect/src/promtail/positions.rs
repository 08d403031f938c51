//! Promtail's own record of how far it has read, imported when its users move.
//!
//! ```yaml
//! positions:
//!   /var/log/syslog: "1234"
//!   journal-systemd: "s=bcce4fb8ffcb40e9a6e05eee8b7831bf;i=5ef603;b=…"
//! ```

use serde::Deserialize;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

/// What Promtail had read.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct ImportedPositions {
    /// Bytes read of each file.
    pub files: Vec<(PathBuf, u64)>,
    /// Cursor of each journal job, by the job's name.
    pub journals: BTreeMap<String, String>,
    /// Keys that say nothing to us.
    pub unknown: Vec<String>,
}

#[derive(Deserialize)]
struct PositionsFile {
    #[serde(default)]
    positions: Option<BTreeMap<String, String>>,
}

/// The record's file is a few hundred bytes per log file; above this it is something else.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// Reads the record; nothing if there is none.
///
/// # Errors
/// What is wrong with the file.
pub(super) fn read(path: &Path) -> Result<ImportedPositions, String> {
    match std::fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(ImportedPositions::default()),
        Ok(metadata) if metadata.len() > FILE_BYTES_MAX => return Err(format!("{} bytes", metadata.len())),
        _ => {}
    }
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    parse(&text)
}

fn parse(text: &str) -> Result<ImportedPositions, String> {
    let mut imported = ImportedPositions::default();
    if text.trim().is_empty() {
        return Ok(imported);
    }
    let file: PositionsFile = serde_saphyr::from_str(text).map_err(|error| super::reason(&error))?;
    for (key, value) in file.positions.unwrap_or_default() {
        match (key.strip_prefix("journal-"), value.parse::<u64>()) {
            (Some(job), _) => _ = imported.journals.insert(job.to_owned(), value),
            // Newer versions keep a key per set of labels: the path comes first.
            (None, Ok(offset)) if key.starts_with('/') => {
                let path = key.split_once(":{").map_or(key.as_str(), |(path, _)| path);
                imported.files.push((PathBuf::from(path), offset));
            }
            _ => imported.unknown.push(key),
        }
    }
    Ok(imported)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_imported() {
        let text = "positions:\n  /var/log/syslog: \"1234\"\n  /a b.log: 7\n  cursor-x: \"5\"\n  journal-j: s=1;i=2\n";
        let imported = parse(text).unwrap();
        assert_eq!(imported.files, [(PathBuf::from("/a b.log"), 7), (PathBuf::from("/var/log/syslog"), 1234)]);
        assert_eq!(imported.journals.get("j").map(String::as_str), Some("s=1;i=2"));
        assert_eq!(imported.unknown, ["cursor-x"]);
        assert_eq!(parse("positions: {}\n").unwrap(), ImportedPositions::default());
        assert_eq!(parse("positions:\n").unwrap(), ImportedPositions::default());
        assert_eq!(parse("").unwrap(), ImportedPositions::default());
        assert!(parse("positions: [1]").is_err());
        assert_eq!(read(Path::new("/nowhere/positions.yaml")).unwrap(), ImportedPositions::default());
    }
}
