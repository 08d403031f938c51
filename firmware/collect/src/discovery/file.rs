//! Target groups in files.

use super::config::{FileSdConfig, StaticConfig};
use super::group::TargetGroup;
use super::poll::Sink;
use std::collections::BTreeMap;
use std::fs::Metadata;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How often the files are looked at. A change is seen this late at most; a look is one `stat` per file.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);
const FILE_BYTES_MAX: u64 = 16 << 20;

/// Size, time of change and inode: what tells contents apart.
type Stamp = (u64, i64, i64, u64);

/// What was read of one file.
struct Known {
    stamp: Stamp,
    groups: Vec<TargetGroup>,
    error: Option<String>,
}

pub(super) async fn run(config: FileSdConfig, sink: Sink) {
    let mut files: BTreeMap<PathBuf, Known> = BTreeMap::new();
    let mut read_all_at = Instant::now();
    loop {
        let all = Instant::now() >= read_all_at;
        if all {
            read_all_at = Instant::now() + config.refresh_interval.0.max(LOOK_INTERVAL);
        }
        let patterns = config.files.clone();
        let looked = tokio::task::spawn_blocking(move || {
            let changed = look(&patterns, &mut files, all);
            (files, changed)
        });
        let Ok((back, changed)) = looked.await else { return };
        files = back;
        if changed || all {
            let groups = files.values().flat_map(|known| known.groups.iter().cloned()).collect();
            match files.values().find_map(|known| known.error.as_ref()) {
                None => sink.replace(groups),
                Some(error) => sink.replace_partly(groups, error),
            }
        }
        tokio::time::sleep(LOOK_INTERVAL.min(config.refresh_interval.0.max(Duration::from_millis(100)))).await;
    }
}

/// Brings `files` up to date; whether anything is different now.
fn look(patterns: &[String], files: &mut BTreeMap<PathBuf, Known>, all: bool) -> bool {
    let mut changed = false;
    let found: Vec<PathBuf> = patterns.iter().flat_map(|pattern| expand(Path::new(pattern))).collect();
    let before = files.len();
    files.retain(|path, _| found.contains(path));
    changed |= files.len() != before;
    for path in found {
        let stamp = std::fs::metadata(&path).map(|metadata| stamp(&metadata)).unwrap_or_default();
        if !all && files.get(&path).is_some_and(|known| known.stamp == stamp) {
            continue;
        }
        changed = true;
        let outcome = read(&path);
        let known = files.entry(path).or_insert_with(|| Known { stamp, groups: Vec::new(), error: None });
        known.stamp = stamp;
        match outcome {
            Ok(groups) => (known.groups, known.error) = (groups, None),
            // The groups stay as they were.
            Err(error) => known.error = Some(error),
        }
    }
    changed
}

fn stamp(metadata: &Metadata) -> Stamp {
    (metadata.size(), metadata.mtime(), metadata.mtime_nsec(), metadata.ino())
}

/// The files a path with stars in its last part stands for; a path without stars stands for itself if it is there.
fn expand(pattern: &Path) -> Vec<PathBuf> {
    let (Some(directory), Some(name)) = (pattern.parent(), pattern.file_name().and_then(|name| name.to_str())) else {
        return Vec::new();
    };
    if !name.contains(['*', '?', '[']) {
        return if pattern.exists() { vec![pattern.to_owned()] } else { Vec::new() };
    }
    let Ok(glob) = globset::GlobBuilder::new(name).literal_separator(true).build() else { return Vec::new() };
    let matcher = glob.compile_matcher();
    let directory = if directory == Path::new("") { Path::new(".") } else { directory };
    let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
    let names = entries.filter_map(|entry| entry.ok().map(|entry| entry.file_name()));
    let mut found: Vec<PathBuf> =
        names.filter(|name| matcher.is_match(Path::new(name))).map(|name| directory.join(name)).collect();
    found.sort();
    found
}

fn read(path: &Path) -> Result<Vec<TargetGroup>, String> {
    let failed = |reason: String| format!("error reading file \"{}\": {reason}", path.display());
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(|error| failed(error.to_string()))?;
    file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(|error| failed(error.to_string()))?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(failed(format!("longer than {FILE_BYTES_MAX} bytes")));
    }
    let is_json = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json"));
    let parsed: Vec<StaticConfig> = if is_json {
        serde_json::from_str(&text).map_err(|error| failed(error.to_string()))?
    } else if text.trim().is_empty() {
        Vec::new()
    } else {
        serde_saphyr::from_str(&text).map_err(|error| failed(error.to_string()))?
    };
    let path = path.to_string_lossy();
    let group =
        |(index, one): (usize, &StaticConfig)| one.group(format!("{path}:{index}"), Some(("__meta_filepath", &path)));
    Ok(parsed.iter().enumerate().map(group).collect())
}
