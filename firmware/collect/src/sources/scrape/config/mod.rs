//! Prometheus' own configuration file, read as it is.
//!
//! [`PrometheusConfig::read`] gives the scrape configurations with everything filled in, or what is wrong and where, as
//! `file:line: reason`. Sections that other parts of Bramble answer for (rules, alerting, remote write and read,
//! storage, OTLP) are accepted; what is read and not served is named in [`PrometheusConfig::notes`].

mod document;
mod job;
mod print;
mod protocol;
#[cfg(test)]
mod tests;
mod units;

pub use job::{ScrapeConfig, ScrapeLimits};
pub use protocol::ScrapeProtocol;
pub use units::{ByteSize, PromDuration};

use document::{Document, Global, Job, JobsDocument};
use serde::de::DeserializeOwned;
use serde_saphyr::Spanned;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What is wrong with a file, and where.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ConfigError {
    /// It cannot be read.
    #[error("{file}: {reason}")]
    File {
        /// Its path.
        file: String,
        /// Why.
        reason: String,
    },
    /// It says something that cannot be.
    #[error("{file}:{line}: {reason}")]
    At {
        /// Its path.
        file: String,
        /// Where, from 1.
        line: u64,
        /// What is wrong.
        reason: String,
    },
}

/// A configuration in full.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct PrometheusConfig {
    /// What is scraped, in the order of the file.
    pub jobs: Vec<Arc<ScrapeConfig>>,
    /// `global`, for jobs that come from elsewhere.
    global: GlobalDefaults,
    /// Labels for who reads from outside, such as `/federate`.
    pub external_labels: BTreeMap<String, String>,
    /// How often rules are evaluated.
    pub evaluation_interval: PromDuration,
    /// Patterns of rule files.
    pub rule_files: Vec<String>,
    /// What is read and not served, for people.
    pub notes: Vec<String>,
    /// The configuration as Prometheus shows it: YAML, secrets hidden.
    pub shown: String,
}

impl PrometheusConfig {
    /// Reads a file and those that it names.
    ///
    /// # Errors
    /// [`ConfigError`]: nothing of it should be applied then.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        Self::parse(&text_of(path)?, path)
    }

    /// Reads the text of the file at `path`; other files are looked for relative to it.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        let document: Document = from_yaml(text, path)?;
        let mut notes = sections_elsewhere(&document);
        let (global, global_line) = match document.global {
            Some(spanned) => (spanned.value, spanned.referenced.line()),
            None => (Global::default(), 1),
        };
        job::global_times(&global).map_err(|reason| at(path, global_line, reason))?;
        let mut jobs = Vec::new();
        take_jobs(document.scrape_configs, &global, path, &mut jobs, &mut notes)?;
        for pattern in document.scrape_config_files.unwrap_or_default() {
            for file in matching(path, &pattern).map_err(|reason| at(path, 1, reason))? {
                let inner: JobsDocument = from_yaml(&text_of(&file)?, &file)?;
                take_jobs(inner.scrape_configs, &global, &file, &mut jobs, &mut notes)?;
            }
        }
        let jobs: Vec<Arc<ScrapeConfig>> = jobs.into_iter().map(Arc::new).collect();
        let shown = print::shown(text, &jobs);
        let external_labels = external_labels(&global).map_err(|reason| at(path, global_line, reason))?;
        let evaluation_interval = global.evaluation_interval.unwrap_or(PromDuration::seconds(60));
        let rule_files = document.rule_files.unwrap_or_default();
        let global = GlobalDefaults(Arc::new(global));
        Ok(PrometheusConfig { jobs, global, external_labels, evaluation_interval, rule_files, notes, shown })
    }

    /// A job that is no part of the file, with this file's `global`: an entry of `scrape_configs`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn job_of(&self, entry: serde_json::Value) -> Result<ScrapeConfig, String> {
        let job: Job = serde_json::from_value(entry).map_err(|error| error.to_string())?;
        let mut notes = Vec::new();
        let mut job = job::resolve(job, &self.global.0, &mut notes)?;
        notes.iter().for_each(|note| tracing::warn!(note, "monitor"));
        "monitors".clone_into(&mut job.file);
        Ok(job)
    }
}

/// What `global` says, kept for [`PrometheusConfig::job_of`].
#[derive(Clone, Default)]
struct GlobalDefaults(Arc<Global>);

impl PartialEq for GlobalDefaults {
    fn eq(&self, other: &Self) -> bool {
        // It shows in the jobs that are made of it.
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl std::fmt::Debug for GlobalDefaults {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("GlobalDefaults")
    }
}

fn shown_path(path: &Path) -> String {
    path.display().to_string()
}

fn at(path: &Path, line: u64, reason: impl Into<String>) -> ConfigError {
    ConfigError::At { file: shown_path(path), line: line.max(1), reason: reason.into() }
}

fn text_of(path: &Path) -> Result<String, ConfigError> {
    let file_error = |reason: String| ConfigError::File { file: shown_path(path), reason };
    let bytes = std::fs::read(path).map_err(|error| file_error(error.to_string()))?;
    String::from_utf8(bytes).map_err(|_| file_error("yaml: invalid UTF-8".to_owned()))
}

fn from_yaml<T: DeserializeOwned + Default>(text: &str, path: &Path) -> Result<T, ConfigError> {
    if text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) {
        // An empty file is a configuration of nothing, also for Prometheus.
        return Ok(T::default());
    }
    let options = serde_saphyr::options! { with_snippet: false };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let line = error.location().map_or(1, |location| location.line());
        at(path, line, reason_of(&error.to_string()))
    })
}

/// A reader's message without what it says of the place, and without the list of all fields there are.
fn reason_of(message: &str) -> String {
    let message = message.rsplit_once(" at line ").map_or(message, |(reason, _)| reason);
    let message = message.split_once(", expected one of").map_or(message, |(reason, _)| reason);
    message.to_owned()
}

fn take_jobs(
    written: Option<Vec<Spanned<Option<Job>>>>,
    global: &Global,
    path: &Path,
    jobs: &mut Vec<ScrapeConfig>,
    notes: &mut Vec<String>,
) -> Result<(), ConfigError> {
    for spanned in written.unwrap_or_default() {
        let line = spanned.referenced.line();
        let written = spanned.value.ok_or_else(|| at(path, line, "empty or null scrape config section"))?;
        let mut job = job::resolve(written, global, notes).map_err(|reason| at(path, line, reason))?;
        if jobs.iter().any(|other| other.job_name == job.job_name) {
            let reason = format!("found multiple scrape configs with job name {:?}", job.job_name);
            return Err(at(path, line, reason));
        }
        let directory = path.parent().unwrap_or(Path::new("."));
        job.http.set_directory(directory);
        job.discovery.set_directory(directory);
        (job.line, job.file) = (line, shown_path(path));
        jobs.push(job);
    }
    Ok(())
}

/// Files of a pattern, relative to the file that names it, by name.
fn matching(from: &Path, pattern: &str) -> Result<Vec<PathBuf>, String> {
    let pattern = from.parent().unwrap_or(Path::new("")).join(pattern);
    let (Some(directory), Some(name)) = (pattern.parent(), pattern.file_name().and_then(|name| name.to_str())) else {
        return Err(format!("{:?} names no file", pattern.display()));
    };
    let glob =
        globset::Glob::new(name).map_err(|error| format!("invalid scrape config file path {name:?}: {error}"))?;
    let matcher = glob.compile_matcher();
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.path())
        .filter(|path| path.file_name().is_some_and(|n| matcher.is_match(n)))
        .collect();
    files.sort();
    Ok(files)
}

/// Sections that somebody else answers for, as notes.
fn sections_elsewhere(document: &Document) -> Vec<String> {
    let sections = [
        ("runtime", document.runtime.is_some(), "Go's memory settings mean nothing to Bramble"),
        ("rule_files", document.rule_files.is_some(), "rules are not evaluated by the scraper"),
        ("alerting", document.alerting.is_some(), "alerts are not sent by the scraper"),
        ("remote_write", document.remote_write.is_some(), "name destinations in bramble.toml as [[forward]]"),
        ("remote_read", document.remote_read.is_some(), "Bramble does not read from other servers"),
        ("storage", document.storage.is_some(), "see the sections storage and retention of bramble.toml"),
        ("tracing", document.tracing.is_some(), "Bramble's own spans need no address"),
        ("otlp", document.otlp.is_some(), "see the section ingest of bramble.toml"),
    ];
    let used = sections.into_iter().filter(|(_, used, _)| *used);
    used.map(|(name, _, why)| format!("section {name} is not taken from this file: {why}")).collect()
}

/// External labels with `${NAME}` of the environment filled in.
fn external_labels(global: &Global) -> Result<BTreeMap<String, String>, String> {
    let mut labels = BTreeMap::new();
    for (name, value) in global.external_labels.iter().flatten() {
        if name.is_empty() {
            return Err(format!("{name:?} is not a valid label name"));
        }
        labels.insert(name.clone(), expand(value, |variable| std::env::var(variable).unwrap_or_default()));
    }
    Ok(labels)
}

/// `$NAME` and `${NAME}` replaced, `$$` a dollar.
fn expand(text: &str, value_of: impl Fn(&str) -> String) -> String {
    let (mut out, mut rest) = (String::new(), text);
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        let is_name = |c: char| c == '_' || c.is_ascii_alphanumeric();
        if let Some(behind) = after.strip_prefix('$') {
            out.push('$');
            rest = behind;
        } else if let Some((name, behind)) = after.strip_prefix('{').and_then(|inner| inner.split_once('}')) {
            out.push_str(&value_of(name));
            rest = behind;
        } else {
            let (name, behind) = after.split_at(after.find(|c| !is_name(c)).unwrap_or(after.len()));
            out.push_str(&if name.is_empty() { "$".to_owned() } else { value_of(name) });
            rest = behind;
        }
    }
    out.push_str(rest);
    out
}
