//! From promtail.yaml to what is to be started.

use super::clients::{RemoteLoki, host_of, is_local, remote};
use super::config::{
    DecompressionConfig, JournalConfig, LimitsConfig, PromtailFile, ScrapeConfig, SizeText, SyslogConfig,
};
use super::positions::ImportedPositions;
use super::{PromtailError, duration, expand, positions};
use crate::discovery::{DiscoveryConfig, TargetGroup};
use crate::pipeline::logs::config::MatchConfig;
use crate::pipeline::logs::{LogPipeline, Redactor, StageConfig};
use crate::relabel::{LabelPairs, RelabelConfig};
use serde_saphyr::Spanned;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Something in the file that will not be done as it is written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Warning {
    /// Line, from 1.
    pub line: u64,
    /// What, and what happens instead.
    pub what: String,
}

/// Files, listed or discovered.
pub struct FileJob {
    /// `job_name`.
    pub name: String,
    /// Targets that are listed.
    pub groups: Vec<Arc<TargetGroup>>,
    /// Ways to find more.
    pub discovery: DiscoveryConfig,
    /// Rules over targets.
    pub relabel: Vec<RelabelConfig>,
    /// Stages; forked for each file.
    pub pipeline: LogPipeline,
    /// Labels that Promtail's client adds where they are absent.
    pub external_labels: LabelPairs,
    /// Encoding of the files, by its IANA name; UTF-8 when not said.
    pub encoding: Option<String>,
    /// Whether compressed files are read.
    pub compressed: bool,
    /// Longer lines are cut, bytes; `None`: as long as can be.
    pub line_bytes_max: Option<u64>,
}

/// The systemd journal.
pub struct JournalJob {
    /// `job_name`.
    pub name: String,
    /// The journal's directory; the machine's own when not said.
    pub directory: Option<PathBuf>,
    /// `FIELD=value`, all of which must hold.
    pub matches: Vec<String>,
    /// How far back the first read goes.
    pub max_age: Duration,
    /// Whether a line is the whole entry as JSON instead of its message.
    pub json: bool,
    /// Labels of all lines.
    pub labels: LabelPairs,
    /// Rules over `__journal_*`.
    pub relabel: Vec<RelabelConfig>,
    /// Stages.
    pub pipeline: LogPipeline,
    /// Where Promtail was, if it left a record.
    pub cursor: Option<String>,
}

/// A syslog listener.
pub struct SyslogJob {
    /// `job_name`.
    pub name: String,
    /// `host:port`.
    pub listen_address: String,
    /// Whether it listens for datagrams instead of connections.
    pub udp: bool,
    /// Whether messages are RFC 3164's instead of RFC 5424's.
    pub rfc3164: bool,
    /// A connection that is silent for so long is closed.
    pub idle_timeout: Duration,
    /// Longest message, bytes.
    pub message_bytes_max: usize,
    /// Whether structured data becomes `__syslog_message_sd_*`.
    pub label_structured_data: bool,
    /// Whether the message's own time is taken.
    pub use_incoming_timestamp: bool,
    /// Whether the line is the whole message instead of its text.
    pub whole_message: bool,
    /// Labels of all lines.
    pub labels: LabelPairs,
    /// Rules over `__syslog_*`.
    pub relabel: Vec<RelabelConfig>,
    /// Stages.
    pub pipeline: LogPipeline,
}

/// What is to be started.
#[derive(Default)]
pub struct Plan {
    /// Files.
    pub files: Vec<FileJob>,
    /// Journals.
    pub journals: Vec<JournalJob>,
    /// Syslog listeners.
    pub syslogs: Vec<SyslogJob>,
    /// Where Promtail pushed to, other than this machine.
    pub remotes: Vec<RemoteLoki>,
    /// What Promtail had read.
    pub positions: ImportedPositions,
    /// What will not be as it is written.
    pub warnings: Vec<Warning>,
}

/// The label that Promtail has from Docker's API alone.
const DOCKER_STREAM: &str = "__meta_docker_container_log_stream";

/// Where Promtail keeps its record by default.
const POSITIONS_FILE: &str = "/var/log/positions.yaml";

impl Plan {
    /// Reads promtail.yaml and what it names. With `expand_env` the environment is expanded first, as
    /// `-config.expand-env=true` does. `redactor` takes secrets out of lines, behind all stages.
    ///
    /// # Errors
    /// [`PromtailError`]: file, line and reason of the first thing that is wrong.
    pub fn load(path: &Path, expand_env: bool, redactor: Option<Arc<Redactor>>) -> Result<Plan, PromtailError> {
        let of_file = |line: u64, reason: String| PromtailError { file: path.display().to_string(), line, reason };
        let text = std::fs::read_to_string(path).map_err(|error| of_file(0, error.to_string()))?;
        let text = match expand_env {
            true => expand::expand(&text, |name| std::env::var(name).ok()).map_err(|(line, why)| of_file(line, why))?,
            false => text,
        };
        let directory = path.parent().unwrap_or(Path::new("."));
        let plan = Plan::parse(&text, directory, redactor).map_err(|(line, reason)| of_file(line, reason))?;
        Ok(plan)
    }

    /// Reads the text of a promtail.yaml; relative file names are taken from `directory`.
    ///
    /// # Errors
    /// Line (0 when there is none) and reason.
    pub(super) fn parse(text: &str, directory: &Path, redactor: Option<Arc<Redactor>>) -> Result<Plan, (u64, String)> {
        let file: PromtailFile = match text.trim().is_empty() {
            true => PromtailFile::default(),
            false => serde_saphyr::from_str(text).map_err(|error| (super::line(&error), super::reason(&error)))?,
        };
        let mut plan = Plan::default();
        let external_labels = plan.clients(&file)?;
        plan.import_positions(&file, directory)?;
        let limits = file.limits_config.as_ref();
        let line_limit = plan.line_limit(limits)?;
        for (word, found) in [("options", &file.options), ("tracing", &file.tracing), ("wal", &file.wal)] {
            if let Some(found) = found {
                plan.warn(found.referenced.line(), format!("{word} is not used here"));
            }
        }
        let jobs = file.scrape_configs.unwrap_or_default();
        let work = Work { directory, external_labels, line_limit, redactor };
        for job in &jobs {
            plan.job(&job.value, &work)?;
        }
        Ok(plan)
    }

    fn warn(&mut self, line: u64, what: impl Into<String>) {
        self.warnings.push(Warning { line, what: what.into() });
    }

    /// Sorts clients into this machine and others; says which labels they add.
    fn clients(&mut self, file: &PromtailFile) -> Result<LabelPairs, (u64, String)> {
        let mut external: Option<LabelPairs> = None;
        for client in file.client.iter().chain(file.clients.iter().flatten()) {
            let (line, config) = (client.referenced.line(), &client.value);
            let labels: LabelPairs = pairs(&config.external_labels);
            match &external {
                None => external = Some(labels),
                Some(first) if *first != labels => {
                    self.warn(line, "external_labels differ between clients; those of the first are added for all");
                }
                Some(_) => {}
            }
            let host = host_of(&config.url).ok_or_else(|| (line, format!("url {:?} is no address", config.url)))?;
            if is_local(&host) {
                self.warn(line, format!("{} is this machine: lines go into the store here", config.url));
                continue;
            }
            if let Some(found) = &config.drop_rate_limited_batches {
                self.warn(
                    found.referenced.line(),
                    "drop_rate_limited_batches: refused batches wait in the queue instead",
                );
            }
            self.warn(
                line,
                format!("{} is another machine: offered as a forward destination of kind loki", config.url),
            );
            self.remotes.push(remote(config, line, host));
        }
        Ok(external.unwrap_or_default())
    }

    fn import_positions(&mut self, file: &PromtailFile, directory: &Path) -> Result<(), (u64, String)> {
        let config = file.positions.as_ref();
        let name = config.and_then(|config| config.filename.as_deref()).unwrap_or(POSITIONS_FILE);
        let path = directory.join(name);
        match positions::read(&path) {
            Ok(found) => self.positions = found,
            Err(error) if config.is_some_and(|config| config.ignore_invalid_yaml) => {
                self.warn(0, format!("{}: {error}; ignored, as ignore_invalid_yaml asks", path.display()));
            }
            Err(error) => return Err((0, format!("positions file {}: {error}", path.display()))),
        }
        let unknown = std::mem::take(&mut self.positions.unknown);
        if !unknown.is_empty() {
            self.warn(0, format!("positions of {} are of no use here", unknown.join(", ")));
        }
        Ok(())
    }

    /// The stage that drops lines which are too long, or the length that they are cut to, if limits ask for it.
    fn line_limit(&mut self, limits: Option<&Spanned<LimitsConfig>>) -> Result<LineLimit, (u64, String)> {
        let Some(limits) = limits else { return Ok(LineLimit::default()) };
        let (line, config) = (limits.referenced.line(), &limits.value);
        if config.readline_rate_enabled {
            let rate = config.readline_rate.unwrap_or(10_000.0);
            let burst = config.readline_burst.unwrap_or(10_000);
            let verb = if config.readline_rate_drop.unwrap_or(true) { "drops" } else { "delays" };
            self.warn(
                line,
                format!("readline_rate {rate} (burst {burst}) {verb} nothing here; use the stage limit in a job"),
            );
        }
        if let Some(streams) = config.max_streams.as_ref().filter(|streams| streams.value > 0) {
            self.warn(streams.referenced.line(), "max_streams is not applied; the store has limits of its own");
        }
        let Some(size) = &config.max_line_size else { return Ok(LineLimit::default()) };
        let at = size.referenced.line();
        let bytes = size_bytes(&size.value).ok_or_else(|| (at, "max_line_size is no size".to_owned()))?;
        if bytes == 0 {
            return Ok(LineLimit::default());
        }
        if config.max_line_size_truncate {
            return Ok(LineLimit { cut: Some(bytes), stage: None });
        }
        let stage = format!("drop:\n  longer_than: {bytes}\n  drop_counter_reason: max_line_size\n");
        let stage = serde_saphyr::from_str(&stage).map_err(|error| (at, super::reason(&error)))?;
        Ok(LineLimit { cut: None, stage: Some(stage) })
    }

    fn job(&mut self, config: &ScrapeConfig, work: &Work<'_>) -> Result<(), (u64, String)> {
        for (word, line) in config.unsupported() {
            self.warn(line, format!("{word} is not supported; job {:?} goes without it", config.job_name));
        }
        let relabel: Vec<RelabelConfig> =
            config.relabel_configs.iter().flatten().map(|rule| rule.value.clone()).collect();
        for rule in config.relabel_configs.iter().flatten() {
            if rule.value.rule().source_labels.iter().any(|label| label == DOCKER_STREAM) {
                self.warn(
                    rule.referenced.line(),
                    format!("{DOCKER_STREAM} is not known: both streams are in one file"),
                );
            }
        }
        let pipeline = self.pipeline(config, work)?;
        if let Some(journal) = &config.journal {
            let job = self.journal(&config.job_name, journal, relabel, pipeline, work)?;
            self.journals.push(job);
            return Ok(());
        }
        if let Some(syslog) = &config.syslog {
            let job = self.syslog(&config.job_name, syslog, relabel, pipeline, work)?;
            self.syslogs.push(job);
            return Ok(());
        }
        let discovery = config.discovery(work.directory)?;
        let groups = groups(config);
        if groups.is_empty() && discovery.is_empty() {
            return Ok(());
        }
        if let Some(encoding) = &config.encoding
            && encoding_rs::Encoding::for_label(encoding.value.as_bytes()).is_none()
        {
            return Err((encoding.referenced.line(), format!("encoding {:?} is not known", encoding.value)));
        }
        let compressed = config.decompression.as_ref().is_some_and(|config| self.reads_compressed(config));
        let encoding = config.encoding.as_ref().map(|encoding| encoding.value.clone());
        let (name, external_labels) = (config.job_name.clone(), work.external_labels.clone());
        let line_bytes_max = work.line_limit.cut;
        let job = FileJob {
            name,
            groups,
            discovery,
            relabel,
            pipeline,
            external_labels,
            encoding,
            compressed,
            line_bytes_max,
        };
        self.files.push(job);
        Ok(())
    }

    fn reads_compressed(&mut self, config: &DecompressionConfig) -> bool {
        let format = config.format.as_ref().filter(|format| !matches!(format.value.as_str(), "gz" | ""));
        if let Some(format) = format.filter(|_| config.enabled) {
            self.warn(format.referenced.line(), format!("compression {:?} is not supported; only gz is", format.value));
        }
        config.enabled
    }

    /// The job's stages without those that are not served, each of which is named.
    fn pipeline(&mut self, config: &ScrapeConfig, work: &Work<'_>) -> Result<LogPipeline, (u64, String)> {
        let mut stages: Vec<StageConfig> = work.line_limit.stage.iter().cloned().collect();
        for stage in config.pipeline_stages.iter().flatten() {
            let line = stage.referenced.line();
            let Some(served) = self.served(stage.value.clone(), line) else { continue };
            // By itself first, so that what is wrong is told with its line.
            LogPipeline::compile(std::slice::from_ref(&served)).map_err(|error| {
                let reason = error.to_string();
                (line, reason.strip_prefix("pipeline_stages[0]: ").unwrap_or(&reason).to_owned())
            })?;
            stages.push(served);
        }
        let compiled = LogPipeline::compile(&stages).map_err(|error| (0, error.to_string()))?;
        Ok(compiled.redacting(work.redactor.clone()))
    }

    fn served(&mut self, stage: StageConfig, line: u64) -> Option<StageConfig> {
        if let Some(why) = stage.refusal() {
            self.warn(line, format!("stage {}: {why}", stage.name()));
            return None;
        }
        let StageConfig::Match(MatchConfig { stages, .. }) = &stage else { return Some(stage) };
        let inner: Vec<StageConfig> = stages.iter().cloned().filter_map(|inner| self.served(inner, line)).collect();
        let StageConfig::Match(config) = stage else { return None };
        Some(StageConfig::Match(MatchConfig { stages: inner, ..config }))
    }

    fn journal(
        &mut self,
        name: &str,
        config: &Spanned<JournalConfig>,
        relabel: Vec<RelabelConfig>,
        pipeline: LogPipeline,
        work: &Work<'_>,
    ) -> Result<JournalJob, (u64, String)> {
        let config = &config.value;
        let max_age = time(config.max_age.as_ref(), Duration::from_secs(7 * 3600))?;
        Ok(JournalJob {
            name: name.to_owned(),
            directory: config.path.as_deref().filter(|path| !path.is_empty()).map(|path| work.directory.join(path)),
            matches: config.matches.iter().flat_map(|text| text.split_whitespace()).map(str::to_owned).collect(),
            max_age,
            json: config.json,
            labels: work.labelled(&config.labels),
            relabel,
            pipeline,
            cursor: self.positions.journals.get(name).cloned(),
        })
    }

    fn syslog(
        &mut self,
        name: &str,
        config: &Spanned<SyslogConfig>,
        relabel: Vec<RelabelConfig>,
        pipeline: LogPipeline,
        work: &Work<'_>,
    ) -> Result<SyslogJob, (u64, String)> {
        let (line, config) = (config.referenced.line(), &config.value);
        if config.listen_address.is_empty() {
            return Err((line, "syslog needs a listen_address".to_owned()));
        }
        if let Some(tls) = &config.tls_config {
            self.warn(tls.referenced.line(), "syslog over TLS is not supported; the listener takes plain connections");
        }
        let word = |field: &Option<Spanned<String>>, of: [&'static str; 2]| match field {
            None => Ok(of[0]),
            Some(found) => of.into_iter().find(|word| *word == found.value).ok_or_else(|| {
                (found.referenced.line(), format!("{:?} is neither {} nor {}", found.value, of[0], of[1]))
            }),
        };
        Ok(SyslogJob {
            name: name.to_owned(),
            listen_address: config.listen_address.clone(),
            udp: word(&config.listen_protocol, ["tcp", "udp"])? == "udp",
            rfc3164: word(&config.syslog_format, ["rfc5424", "rfc3164"])? == "rfc3164",
            idle_timeout: time(config.idle_timeout.as_ref(), Duration::from_secs(120))?,
            message_bytes_max: config.max_message_length.unwrap_or(8192).clamp(480, 1 << 20) as usize,
            label_structured_data: config.label_structured_data,
            use_incoming_timestamp: config.use_incoming_timestamp,
            whole_message: config.use_rfc5424_message,
            labels: work.labelled(&config.labels),
            relabel,
            pipeline,
        })
    }
}

/// What becomes of lines that are too long.
#[derive(Default)]
struct LineLimit {
    cut: Option<u64>,
    stage: Option<StageConfig>,
}

/// What jobs are planned with.
struct Work<'a> {
    directory: &'a Path,
    external_labels: LabelPairs,
    line_limit: LineLimit,
    redactor: Option<Arc<Redactor>>,
}

impl Work<'_> {
    /// A job's labels, and the client's where they are absent.
    fn labelled(&self, labels: &BTreeMap<String, String>) -> LabelPairs {
        let mut all = pairs(labels);
        all.extend(self.external_labels.iter().filter(|(name, _)| !labels.contains_key(name)).cloned());
        all
    }
}

fn pairs(labels: &BTreeMap<String, String>) -> LabelPairs {
    labels.iter().map(|(name, value)| (name.clone(), value.clone())).collect()
}

fn time(field: Option<&Spanned<String>>, default: Duration) -> Result<Duration, (u64, String)> {
    let Some(found) = field else { return Ok(default) };
    duration::parse(&found.value).ok_or_else(|| (found.referenced.line(), format!("{:?} is no duration", found.value)))
}

/// Listed targets; without `targets` there is one, of this host.
fn groups(config: &ScrapeConfig) -> Vec<Arc<TargetGroup>> {
    let group = |(at, listed): (usize, &Spanned<super::config::StaticConfig>)| {
        let targets = listed.value.targets.clone().filter(|targets| !targets.is_empty());
        let targets = targets.unwrap_or_else(|| vec!["localhost".to_owned()]);
        Arc::new(TargetGroup {
            source: format!("static/{at}"),
            labels: pairs(&listed.value.labels),
            targets: targets.into_iter().map(|address| vec![("__address__".to_owned(), address)]).collect(),
        })
    };
    config.static_configs.iter().flatten().enumerate().map(group).collect()
}

/// A size: a number of bytes, or one with a unit of 1024 (`256kb`, `2M`, `1MiB`).
fn size_bytes(size: &SizeText) -> Option<u64> {
    let text = match size {
        SizeText::Bytes(bytes) => return Some(*bytes),
        SizeText::Text(text) => text.trim().to_ascii_lowercase(),
    };
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let shift = match unit.trim().trim_end_matches("ib").trim_end_matches('b') {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_shl(shift)
}
