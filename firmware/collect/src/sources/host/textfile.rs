//! Metrics that people's scripts write: `*.prom` files of a directory, in Prometheus' text format.
//!
//! Each file's samples are of the moment of the round, as with node_exporter; a file that cannot be read or parsed as a whole
//! is left out and `node_textfile_scrape_error` is 1.

use super::emit::Emitter;
use bramble_wire::exposition::{Entry, ExpositionFormat, Parser};
use std::path::Path;
use std::time::UNIX_EPOCH;

const FILES_MAX: usize = 64;
const FILE_BYTES_MAX: u64 = 4 << 20;
/// Samples of all files together.
const SAMPLES_MAX: usize = 20_000;

pub(super) fn textfiles(directory: &Path, emit: &mut Emitter<'_>) {
    let (mut has_error, mut samples) = (false, 0);
    let files = super::names(directory).into_iter().filter(|name| name.ends_with(".prom") && !name.starts_with('.'));
    for name in files.take(FILES_MAX) {
        let path = directory.join(&name);
        let Some(modified) = modified_seconds(&path) else {
            has_error = true;
            continue;
        };
        let text = std::fs::read(&path).unwrap_or_default();
        match count(&text).filter(|count| samples + count <= SAMPLES_MAX) {
            Some(count) => {
                samples += count;
                add(&text, emit);
                emit.put("node_textfile_mtime_seconds", &[("file", &path.to_string_lossy())], modified);
            }
            None => has_error = true,
        }
    }
    emit.put("node_textfile_scrape_error", &[], f64::from(u8::from(has_error)));
}

/// `None` for what is no file of a sensible size.
fn modified_seconds(path: &Path) -> Option<f64> {
    let metadata = std::fs::metadata(path).ok().filter(|m| m.is_file() && m.len() <= FILE_BYTES_MAX)?;
    Some(metadata.modified().ok()?.duration_since(UNIX_EPOCH).ok()?.as_secs_f64())
}

/// Samples of a document; `None` if any of it is wrong, or has a time of its own, which node_exporter refuses.
fn count(text: &[u8]) -> Option<usize> {
    let (mut parser, mut count) = (Parser::new(ExpositionFormat::Text, text), 0);
    while let Some(entry) = parser.next().ok()? {
        if let Entry::Series { series, .. } = entry {
            if series.timestamp_ms.is_some() {
                return None;
            }
            count += 1;
        }
    }
    Some(count)
}

fn add(text: &[u8], emit: &mut Emitter<'_>) {
    let mut parser = Parser::new(ExpositionFormat::Text, text);
    while let Ok(Some(entry)) = parser.next() {
        let Entry::Series { series, value } = entry else { continue };
        let labels: Vec<(String, String)> = series
            .labels
            .iter()
            .map(|pair| (pair.name.to_cow().into_owned(), pair.value.to_cow().into_owned()))
            .collect();
        let labels = labels.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        emit.put_all(labels, value);
    }
}

#[cfg(test)]
mod tests {
    use super::super::emit::emitted;
    use super::super::testing::tree;
    use super::*;

    #[test]
    fn files_are_taken_as_a_whole() {
        let root = tree(&[
            ("backup.prom", "# HELP backup_ok x\n# TYPE backup_ok gauge\nbackup_ok{job=\"nightly\",disk=\"a b\"} 1\n"),
            ("broken.prom", "fine 1\nnot a sample\n"),
            ("late.prom", "fine 1 1795000000000\n"),
            ("other.txt", "other 1\n"),
        ]);
        let lines = emitted(|emit| textfiles(root.path(), emit));
        assert_eq!(lines.len(), 3, "{lines:?}");
        assert_eq!(lines[0], "backup_ok{disk=\"a b\",exported_job=\"nightly\"} 1");
        assert!(lines[1].starts_with("node_textfile_mtime_seconds{file=") && lines[1].contains("backup.prom"));
        assert_eq!(lines[2], "node_textfile_scrape_error{} 1");
        assert_eq!(emitted(|emit| textfiles(Path::new("/nowhere"), emit)), ["node_textfile_scrape_error{} 0"]);
    }
}
