//! A `[[forward]]` table: one destination.
//!
//! ```toml
//! [[forward]]
//! name = "archive"
//! kind = "remote_write"
//! endpoint = "http://prometheus.example:9090/api/v1/write"
//! signals = ["metrics"]
//! match = { metrics = ['{job="node"}', '{__name__=~"up|bramble_.*"}'] }
//! ```

use crate::amount::{Amount, Period};
use crate::selection::Selection;
use bramble_client::{HttpConfig, Secret};
use bramble_signal::Signal;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

/// What a destination speaks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Another Bramble, by its own protocol: exact, and a resend is dropped.
    Hub,
    /// OpenTelemetry.
    Otlp,
    /// Prometheus remote write: metrics alone.
    RemoteWrite,
    /// Loki's push: logs alone.
    Loki,
    /// Datadog's logs (v2) and series (v2): no traces.
    Datadog,
    /// Files of JSON.
    File,
}

impl Kind {
    /// The word in the configuration and in messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Hub => "hub",
            Kind::Otlp => "otlp",
            Kind::RemoteWrite => "remote_write",
            Kind::Loki => "loki",
            Kind::Datadog => "datadog",
            Kind::File => "file",
        }
    }

    /// What it can be sent.
    pub fn signals(self) -> &'static [Signal] {
        match self {
            Kind::Hub | Kind::Otlp | Kind::File => &Signal::ALL,
            Kind::RemoteWrite => &[Signal::Metrics],
            Kind::Loki => &[Signal::Logs],
            Kind::Datadog => &[Signal::Metrics, Signal::Logs],
        }
    }

    /// Whether what was missed must arrive before what is new: who stores in order refuses it afterwards.
    pub fn in_order(self) -> bool {
        matches!(self, Kind::RemoteWrite | Kind::Loki | Kind::File)
    }
}

/// How OTLP travels.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// gRPC, port 4317 by habit.
    #[default]
    Grpc,
    /// HTTP with protobuf, port 4318 by habit.
    Http,
}

/// Which remote write.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
pub enum RemoteWriteVersion {
    /// `prometheus.WriteRequest`.
    #[serde(rename = "1.0")]
    V1,
    /// `io.prometheus.write.v2.Request`.
    #[default]
    #[serde(rename = "2.0")]
    V2,
}

/// How bodies are compressed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Compression {
    /// Not at all.
    None,
    /// gzip.
    Gzip,
    /// zstd.
    Zstd,
}

/// What a file has.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileFormat {
    /// An item per line, in plain words.
    #[default]
    JsonLines,
    /// An OTLP/JSON export request per line, as the Collector's file exporter writes.
    OtlpJson,
}

/// One destination.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DestinationConfig {
    /// Its name in metrics and messages, and of its folder below `spool/`: 1 to 64 of `[a-z0-9_-]`, unique.
    pub name: String,
    /// What it speaks; must be said.
    pub kind: Option<Kind>,
    /// Whether it is used.
    pub enabled: bool,
    /// URL; for a file its path. OTLP over HTTP: `/v1/{signal}` is added unless the path names a signal.
    pub endpoint: String,
    /// `metrics`, `logs`, `traces`; empty: whatever the kind can take.
    pub signals: Vec<String>,
    /// Per signal, selectors of which one must match: of a series or stream by its labels; of a span by `name` and its
    /// resource's attributes. A signal without any is sent whole.
    #[serde(rename = "match")]
    pub matches: BTreeMap<String, Vec<String>>,
    /// Labels added to every series and stream (resource attributes of spans) that has none of that name.
    pub external_labels: BTreeMap<String, String>,
    /// Headers of each request.
    pub headers: BTreeMap<String, String>,
    /// How to connect and who to be.
    #[serde(flatten)]
    pub http: HttpConfig,
    /// Of bodies: OTLP zstd (gRPC) or gzip (HTTP); the others as their protocol has it.
    pub compression: Option<Compression>,
    /// Of OTLP.
    pub protocol: Protocol,
    /// Of remote write.
    pub version: RemoteWriteVersion,
    /// Loki's tenant, sent as `X-Scope-OrgID`.
    pub tenant: String,
    /// Most bytes that wait on disk.
    pub queue_max_bytes: Amount,
    /// How old what waits may become.
    pub queue_max_age: Period,
    /// Most bytes that wait in memory.
    pub memory_max: Amount,
    /// Most time for one request.
    pub timeout: Period,
    /// First pause between attempts.
    pub retry_min: Period,
    /// Longest pause between attempts.
    pub retry_max: Period,
    /// Of another hub: the one-time token to enrol with.
    pub token: Option<Secret>,
    /// Datadog's key.
    pub api_key: Option<Secret>,
    /// A file with Datadog's key.
    pub api_key_file: String,
    /// Datadog's site, such as `datadoghq.eu`.
    pub site: String,
    /// What a file has.
    pub format: FileFormat,
    /// A file of this size is closed and numbered.
    pub file_max_bytes: Amount,
    /// So many numbered files are kept.
    pub files_max: u32,
}

impl Default for DestinationConfig {
    fn default() -> Self {
        DestinationConfig {
            name: String::new(),
            kind: None,
            enabled: true,
            endpoint: String::new(),
            signals: Vec::new(),
            matches: BTreeMap::new(),
            external_labels: BTreeMap::new(),
            headers: BTreeMap::new(),
            http: HttpConfig::default(),
            compression: None,
            protocol: Protocol::default(),
            version: RemoteWriteVersion::default(),
            tenant: String::new(),
            queue_max_bytes: Amount(256 << 20),
            queue_max_age: Period(Duration::from_secs(48 * 3600)),
            memory_max: Amount(4 << 20),
            timeout: Period(Duration::from_secs(30)),
            retry_min: Period(Duration::from_millis(500)),
            retry_max: Period(Duration::from_secs(60)),
            token: None,
            api_key: None,
            api_key_file: String::new(),
            site: "datadoghq.com".into(),
            format: FileFormat::default(),
            file_max_bytes: Amount(64 << 20),
            files_max: 8,
        }
    }
}

/// A `[[forward]]` table that cannot be used.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("forward {name:?}: {what}")]
pub struct ConfigError {
    /// The destination's name.
    pub name: String,
    /// What is wrong, and what would be right.
    pub what: String,
}

impl DestinationConfig {
    /// Makes relative file names (keys, certificates, a file destination's path) relative to the configuration's folder.
    pub fn set_directory(&mut self, directory: &Path) {
        self.http.set_directory(directory);
        let relative = |path: &mut String| {
            if !path.is_empty() && Path::new(path.as_str()).is_relative() {
                *path = directory.join(path.as_str()).display().to_string();
            }
        };
        relative(&mut self.api_key_file);
        if self.kind == Some(Kind::File) {
            relative(&mut self.endpoint);
        }
    }

    /// Checks everything that can be told without a network.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let wrong = |what: String| ConfigError { name: self.name.clone(), what };
        let is_name_byte = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-';
        if self.name.is_empty() || self.name.len() > 64 || !self.name.bytes().all(is_name_byte) {
            return Err(wrong("a name is 1 to 64 of a-z, 0-9, '_' and '-'".into()));
        }
        let kinds = "\"hub\", \"otlp\", \"remote_write\", \"loki\", \"datadog\" or \"file\"";
        let kind = self.kind.ok_or_else(|| wrong(format!("kind is missing: {kinds}")))?;
        self.validate_endpoint(kind).map_err(wrong)?;
        let signals = self.parse_signals().map_err(wrong)?;
        if let Some(signal) = signals.iter().find(|signal| !kind.signals().contains(signal)) {
            return Err(wrong(format!("kind {:?} takes no {signal}", kind.as_str())));
        }
        Selection::new(self).map_err(wrong)?;
        self.http.validate().map_err(|error| wrong(error.to_string()))?;
        for (name, value) in &self.headers {
            let good = http::HeaderName::try_from(name.as_str()).is_ok();
            if !good || http::HeaderValue::try_from(value.as_str()).is_err() {
                return Err(wrong(format!("{name:?} is no header")));
            }
        }
        let bounds: [(&str, u64, u64); 3] = [
            ("queue_max_bytes", self.queue_max_bytes.0, 1 << 20),
            ("memory_max", self.memory_max.0, 64 << 10),
            ("file_max_bytes", self.file_max_bytes.0, 64 << 10),
        ];
        for (key, value, min) in bounds {
            if value < min {
                return Err(wrong(format!("{key} must be at least {min} bytes, and is {value}")));
            }
        }
        let periods = [("timeout", self.timeout), ("retry_min", self.retry_min), ("queue_max_age", self.queue_max_age)];
        if let Some((key, _)) = periods.iter().find(|(_, period)| period.0.is_zero()) {
            return Err(wrong(format!("{key} must be more than nothing")));
        }
        if self.retry_max.0 < self.retry_min.0 {
            return Err(wrong("retry_max must be at least retry_min".into()));
        }
        let has_key = self.api_key.is_some() || !self.api_key_file.is_empty();
        match kind {
            Kind::Datadog if !has_key => Err(wrong("api_key or api_key_file is missing".into())),
            Kind::Datadog if self.api_key.is_some() && !self.api_key_file.is_empty() => {
                Err(wrong("api_key and api_key_file exclude each other".into()))
            }
            _ if kind != Kind::Datadog && has_key => Err(wrong("only kind \"datadog\" has an api_key".into())),
            _ => Ok(()),
        }
    }

    fn validate_endpoint(&self, kind: Kind) -> Result<(), String> {
        if kind == Kind::Datadog && self.endpoint.is_empty() {
            return Ok(());
        }
        if self.endpoint.is_empty() {
            return Err("endpoint is missing".into());
        }
        if kind == Kind::File {
            return Ok(());
        }
        let text = &self.endpoint;
        let uri: http::Uri = text.parse().map_err(|error| format!("endpoint {text:?} is no URL: {error}"))?;
        if !matches!(uri.scheme_str(), Some("http" | "https")) || uri.host().is_none_or(str::is_empty) {
            return Err(format!("endpoint {text:?} must begin with http:// or https:// and name a host"));
        }
        Ok(())
    }

    fn parse_signals(&self) -> Result<Vec<Signal>, String> {
        let parse = |word: &String| {
            let found = Signal::ALL.into_iter().find(|signal| signal.as_str() == word);
            found.ok_or_else(|| format!("{word:?} is no signal: \"metrics\", \"logs\" or \"traces\""))
        };
        self.signals.iter().map(parse).collect()
    }

    /// What is sent there: what was said, else what the kind can take. Of a valid configuration.
    pub fn wanted(&self) -> Vec<Signal> {
        let said = self.parse_signals().unwrap_or_default();
        match (said.is_empty(), self.kind) {
            (true, Some(kind)) => kind.signals().to_vec(),
            _ => said,
        }
    }
}

/// Checks all tables together: each by itself, and that no name is used twice.
///
/// # Errors
/// The first thing that is wrong.
pub fn validate_all(destinations: &[DestinationConfig]) -> Result<(), ConfigError> {
    for (at, destination) in destinations.iter().enumerate() {
        destination.validate()?;
        let earlier = destinations.get(..at).unwrap_or_default();
        if earlier.iter().any(|other| other.name == destination.name) {
            return Err(ConfigError { name: destination.name.clone(), what: "the name is used twice".into() });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(table: serde_json::Value) -> Result<DestinationConfig, String> {
        let config: DestinationConfig = serde_json::from_value(table).map_err(|error| error.to_string())?;
        config.validate().map_err(|error| error.to_string())?;
        Ok(config)
    }

    #[test]
    fn a_table_is_read_with_credentials_and_units() {
        let config = read(json!({
            "name": "archive", "kind": "remote_write", "endpoint": "http://prometheus:9090/api/v1/write",
            "match": { "metrics": ["{job=\"node\"}"] }, "version": "1.0", "queue_max_bytes": "1GiB", "timeout": "10s",
            "basic_auth": { "username": "a", "password": "b" },
        }));
        let config = config.unwrap();
        assert_eq!((config.queue_max_bytes.0, config.timeout.0), (1 << 30, Duration::from_secs(10)));
        assert_eq!((config.version, config.wanted()), (RemoteWriteVersion::V1, vec![Signal::Metrics]));
        assert_eq!(config.http.basic_auth.unwrap().username, "a");
    }

    #[test]
    fn what_cannot_work_is_told_with_what_would() {
        let good = json!({ "name": "a", "kind": "loki", "endpoint": "http://loki:3100" });
        read(good.clone()).unwrap();
        for (key, value, text) in [
            ("name", json!("A b"), "a name is 1 to 64 of a-z"),
            ("kind", json!("kafka"), "kafka"),
            ("endpoint", json!("loki:3100"), "must begin with http:// or https://"),
            ("endpoint", json!(""), "endpoint is missing"),
            ("signals", json!(["traces"]), "takes no traces"),
            ("signals", json!(["lugs"]), "\"lugs\" is no signal"),
            ("match", json!({ "logs": ["{a=b}"] }), "a value is written in double quotes"),
            ("queue_max_bytes", json!("10 parsecs"), "is no size"),
            ("queue_max_bytes", json!(100), "at least 1048576 bytes"),
            ("retry_max", json!("1ms"), "retry_max must be at least retry_min"),
            ("api_key", json!("k"), "only kind \"datadog\""),
            ("headers", json!({ "a b": "c" }), "is no header"),
            ("colour", json!("red"), "colour"),
        ] {
            let mut table = good.clone();
            table[key] = value.clone();
            let error = read(table).expect_err(key);
            assert!(error.contains(text), "{key} = {value}: {error}");
        }
        let twice: DestinationConfig = serde_json::from_value(good).unwrap();
        assert!(validate_all(&[twice.clone(), twice]).unwrap_err().to_string().contains("used twice"));
    }
}
