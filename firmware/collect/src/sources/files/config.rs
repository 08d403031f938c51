//! What is tailed and how it is read.

use super::pattern::{Pattern, PatternError};
use crate::pipeline::logs::LogPipeline;
use encoding_rs::Encoding;
use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use parking_lot::Mutex;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// How lines of a file are framed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FileFormat {
    /// What the first line looks like: CRI, Docker's JSON, else plain.
    #[default]
    Auto,
    /// A line is an entry.
    Plain,
    /// `<time> stdout|stderr P|F <text>`, as Kubernetes' container runtimes write.
    Cri,
    /// `{"log":"…\n","stream":"…","time":"…"}`, as Docker's `json-file` driver writes.
    Docker,
}

/// Where reading starts in files that are there when their configuration is first seen. Files that come later are read
/// from their beginning.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FileStart {
    /// Only what is written from now on.
    #[default]
    End,
    /// Everything.
    Beginning,
}

/// A `[[files]]` of the configuration.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FilesConfig {
    /// Absolute paths with `*`, `?`, `[…]`, `{a,b}` and `**` (any depth).
    pub include: Vec<String>,
    /// What to leave out of these.
    pub exclude: Vec<String>,
    /// Labels of every line. They win over those that the path tells.
    pub labels: BTreeMap<String, String>,
    /// How lines are framed. Default `auto`.
    pub format: FileFormat,
    /// Character encoding by its WHATWG label (`utf-8`, `utf-16le`, `latin1`, `shift_jis`…). Default `utf-8`; a UTF-16 byte
    /// order mark at the start of a file wins over it.
    pub encoding: String,
    /// Where to start in files that are there at first. Default `end`.
    pub start: FileStart,
    /// Whether files that end in `.gz` are read, once. Default yes.
    pub compressed: bool,
    /// The `[[pipeline]]` that lines go through, by its name. Default none.
    pub pipeline: Option<String>,
    /// Longer lines are cut to this, and counted. Default 256 KiB; at most 1 MiB.
    pub line_bytes_max: usize,
    /// More files than this are not tailed, the oldest first, and counted. Default 1024.
    pub files_max: usize,
    /// Whether lines get the label `host`. Default yes.
    pub host: bool,
    /// Whether lines of plain files get the label `filename`. Default yes.
    pub filename: bool,
    /// Whether the paths of pods and containers and what is kept beside them become labels, and `stream` with them.
    /// Default yes.
    pub path_labels: bool,
}

impl Default for FilesConfig {
    fn default() -> Self {
        FilesConfig {
            include: Vec::new(),
            exclude: Vec::new(),
            labels: BTreeMap::new(),
            format: FileFormat::default(),
            encoding: "utf-8".to_owned(),
            start: FileStart::default(),
            compressed: true,
            pipeline: None,
            line_bytes_max: 256 << 10,
            files_max: 1024,
            host: true,
            filename: true,
            path_labels: true,
        }
    }
}

impl FilesConfig {
    /// Checks everything that can be checked without looking at files.
    ///
    /// # Errors
    /// [`FilesError`] names the field and the value.
    pub fn validate(&self) -> Result<(), FilesError> {
        Rules::new(self).map(drop)
    }
}

/// What is wrong with a [`FilesConfig`], or why tailing cannot start.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FilesError {
    /// Nothing to tail.
    #[error("include is empty")]
    NoInclude,
    /// A glob that is none.
    #[error("{0}")]
    Pattern(#[from] PatternError),
    /// An encoding that is not known, or whose line breaks cannot be found without decoding from the start.
    #[error("encoding {0:?} is not known")]
    Encoding(String),
    /// A label's name.
    #[error("{0:?} is not a label name")]
    Label(String),
    /// A bound.
    #[error("line_bytes_max is {0}, which is not between 256 and 1048576")]
    LineBytes(usize),
    /// The thread or its waking failed.
    #[error("tailing cannot start: {0}")]
    Start(String),
    /// Metrics are registered already.
    #[error("metrics: {0}")]
    Metrics(String),
}

/// A configuration with the pipeline its lines go through.
pub struct FileTarget {
    /// What is tailed.
    pub config: FilesConfig,
    /// Forked for each file.
    pub pipeline: LogPipeline,
}

/// Settings of all tailing.
#[derive(Clone, Debug)]
pub struct FilesOptions {
    /// The label `host`. Empty: none.
    pub host: String,
    /// Time between looks at files of which the kernel does not tell; also how long changes gather. Default 250 ms.
    pub poll_interval: Duration,
    /// Time between looks for new files where the kernel does not tell. Default 10 s.
    pub scan_interval: Duration,
    /// Files tailed at most, all targets together. Default 1024.
    pub files_max: usize,
    /// Files held open at most while there is nothing to read in them. Default 128.
    pub handles_max: usize,
    /// How long a stop waits until what was handed over is durable. Default 3 s.
    pub stop_wait: Duration,
}

impl Default for FilesOptions {
    fn default() -> Self {
        FilesOptions {
            host: String::new(),
            poll_interval: Duration::from_millis(250),
            scan_interval: Duration::from_secs(10),
            files_max: 1024,
            handles_max: 128,
            stop_wait: Duration::from_secs(3),
        }
    }
}

/// A configuration as it is used.
pub(super) struct Rules {
    pub(super) config: FilesConfig,
    pub(super) patterns: Vec<Pattern>,
    exclude: GlobSet,
    pub(super) encoding: &'static Encoding,
}

impl Rules {
    pub(super) fn new(config: &FilesConfig) -> Result<Rules, FilesError> {
        if config.include.is_empty() {
            return Err(FilesError::NoInclude);
        }
        if !(256..=1 << 20).contains(&config.line_bytes_max) {
            return Err(FilesError::LineBytes(config.line_bytes_max));
        }
        if let Some(name) = config.labels.keys().find(|name| name.is_empty()) {
            return Err(FilesError::Label(name.clone()));
        }
        let patterns = config.include.iter().map(|text| Pattern::parse(text)).collect::<Result<_, _>>()?;
        let mut exclude = GlobSetBuilder::new();
        for text in &config.exclude {
            let glob = GlobBuilder::new(text).literal_separator(true).build();
            exclude
                .add(glob.map_err(|error| PatternError { pattern: text.clone(), reason: error.kind().to_string() })?);
        }
        let broken = |error: globset::Error| PatternError { pattern: String::new(), reason: error.to_string() };
        let encoding = Encoding::for_label(config.encoding.as_bytes())
            .filter(|encoding| *encoding != encoding_rs::ISO_2022_JP && *encoding != encoding_rs::REPLACEMENT)
            .ok_or_else(|| FilesError::Encoding(config.encoding.clone()))?;
        Ok(Rules { config: config.clone(), patterns, exclude: exclude.build().map_err(broken)?, encoding })
    }

    pub(super) fn excludes(&self, path: &Path) -> bool {
        self.exclude.is_match(path)
    }

    /// Whether a file of this path would be tailed.
    pub(super) fn covers(&self, path: &Path) -> bool {
        !self.excludes(path) && self.patterns.iter().any(|pattern| pattern.matches(path))
    }
}

/// A target at work.
pub(super) struct Target {
    pub(super) rules: Rules,
    pipeline: Mutex<LogPipeline>,
    /// Names what is tailed, over restarts.
    pub(super) key: String,
}

impl Target {
    pub(super) fn new(target: FileTarget) -> Result<Arc<Target>, FilesError> {
        let rules = Rules::new(&target.config)?;
        let include = target.config.include.join("\n");
        let key = format!("target/{:016x}", bramble_signal::hash::xxhash64(include.as_bytes(), 0));
        Ok(Arc::new(Target { rules, pipeline: Mutex::new(target.pipeline), key }))
    }

    /// A pipeline for one file.
    pub(super) fn fork(&self) -> LogPipeline {
        self.pipeline.lock().fork()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_named() {
        let config = |include: &str| FilesConfig { include: vec![include.to_owned()], ..FilesConfig::default() };
        let text = |config: FilesConfig| config.validate().map_err(|error| error.to_string());
        assert_eq!(text(config("/var/log/*.log")), Ok(()));
        assert_eq!(text(FilesConfig::default()), Err("include is empty".to_owned()));
        assert!(text(config("var/log")).unwrap_err().contains("\"var/log\": not an absolute path"));
        assert!(text(config("/var/[a")).unwrap_err().contains("/var/[a"));
        for encoding in ["klingon", "iso-2022-jp"] {
            let config = FilesConfig { encoding: encoding.to_owned(), ..config("/a") };
            assert_eq!(text(config), Err(format!("encoding {encoding:?} is not known")));
        }
        let excluding = FilesConfig { exclude: vec!["/var/log/*.gz".to_owned()], ..config("/var/log/**") };
        let rules = Rules::new(&excluding).unwrap();
        assert!(rules.covers(Path::new("/var/log/a/b.log")) && !rules.covers(Path::new("/var/log/a.gz")));
    }
}
