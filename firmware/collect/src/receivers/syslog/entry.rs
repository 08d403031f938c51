//! From a message to an entry of a batch.

use super::SyslogOptions;
use crate::pipeline::logs::{LogBuilder, RawLine};
use crate::relabel::{LabelPairs, relabel};
use crate::sources::gathering::encode_labels;
use bramble_signal::{LabelsRef, LogBatch};
use bramble_wire::Limits;
use bramble_wire::syslog::{self, SyslogLine};
use std::sync::Arc;

/// How far a sender's clock may be off before the time of arrival counts: ahead by more than any wrong zone, behind by more
/// than what senders keep while they cannot send.
const AHEAD_MAX_NS: i64 = 24 * 3600 * 1_000_000_000;
const BEHIND_MAX_NS: i64 = 30 * AHEAD_MAX_NS;

/// Facility of what has no priority (RFC 3164 §4.3.3).
const FACILITY_NONE: &str = "user";

/// What is not as the standards have it.
pub(super) type Irregular = Option<&'static str>;

/// Severities as Promtail's relabelling knows them.
const SEVERITY_KEYWORDS: [&str; 8] =
    ["emergency", "alert", "critical", "error", "warning", "notice", "informational", "debug"];

/// Adds messages to a batch, those of one stream in a row without repeating its labels.
pub(super) struct Entries {
    batch: LogBatch,
    /// Where a pipeline puts its lines.
    piped: LogBuilder,
    options: Arc<SyslogOptions>,
    limits: Limits,
    labels: Vec<u8>,
    metadata: Vec<u8>,
}

impl Entries {
    pub(super) fn new(options: Arc<SyslogOptions>, limits: Limits) -> Self {
        let (batch, piped) = (LogBatch::new(), LogBuilder::new());
        Entries { batch, piped, options, limits, labels: Vec::new(), metadata: Vec::new() }
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.batch.memory_bytes() + self.piped.bytes()
    }

    /// What was added; with a pipeline, what it has let go of.
    pub(super) fn into_batch(mut self) -> LogBatch {
        if self.options.pipeline.is_some() { self.piped.finish() } else { self.batch }
    }

    /// Lets go of lines that a stage has held for long enough, or of all.
    pub(super) fn release(&mut self, now_ns: i64, all: bool) {
        let Some(pipeline) = &self.options.pipeline else { return };
        match all {
            true => pipeline.lock().flush(now_ns, &mut self.piped),
            false => pipeline.lock().tick(now_ns, &mut self.piped),
        }
    }

    /// Adds what `peer` sent; a message without text is none. Says what is irregular about it.
    pub(super) fn push(&mut self, message: &[u8], peer: &str, now_ns: i64) -> Irregular {
        let zone = &self.options.zone;
        let (line, irregular) = match syslog::parse(message, now_ns.saturating_add(zone.offset_ns(now_ns))) {
            Some(line) if line.has_header => (line, None),
            Some(line) => (line, Some("no_header")),
            None => (SyslogLine { message, ..SyslogLine::default() }, Some("not_syslog")),
        };
        let text = if self.options.whole_message { message } else { line.message };
        let text = text.trim_ascii_end();
        let text = text.strip_suffix(b"\0").unwrap_or(text);
        let text = text.get(..self.limits.line_bytes_max).unwrap_or(text);
        if text.is_empty() && line.structured_data.is_empty() {
            return Some("empty");
        }
        let sent_ns = line.timestamp_ns.filter(|_| self.options.use_incoming_timestamp);
        let sent_ns = sent_ns.map(|ns| if line.is_local_time { zone.to_utc(ns) } else { ns });
        let (timestamp_ns, refused_ns) = match sent_ns {
            None => (now_ns, None),
            Some(ns) if ns.saturating_sub(now_ns) <= AHEAD_MAX_NS && now_ns.saturating_sub(ns) <= BEHIND_MAX_NS => {
                (ns, None)
            }
            Some(ns) => (now_ns, Some(ns)),
        };
        self.metadata.clear();
        if self.options.relabel.is_some() {
            if !self.relabelled(&line, peer) {
                return Some("relabelled");
            }
        } else {
            self.own_labels(&line, peer);
            self.own_metadata(&line, refused_ns);
        }
        self.add(timestamp_ns, now_ns, text);
        irregular.or(refused_ns.map(|_| "clock"))
    }

    fn add(&mut self, timestamp_ns: i64, now_ns: i64, text: &[u8]) {
        let (labels, metadata) = (LabelsRef::from_encoded(&self.labels), LabelsRef::from_encoded(&self.metadata));
        if let Some(pipeline) = &self.options.pipeline {
            let raw = RawLine { now_ns, metadata, ..RawLine::new(timestamp_ns, labels, text) };
            // A sender is not told to pause: of what comes too fast its own rate limits decide.
            let _ = pipeline.lock().push(raw, &mut self.piped);
            return;
        }
        let last = self.batch.stream_count().checked_sub(1).map(|last| self.batch.stream(last).labels());
        if last.is_none_or(|last| last.as_bytes() != labels.as_bytes()) {
            self.batch.start_stream_encoded(labels);
        }
        self.batch.push_entry_encoded(timestamp_ns, text, metadata);
    }

    /// `job`, `host`, `service`, `facility`, `level`; what is configured goes before.
    fn own_labels(&mut self, line: &SyslogLine<'_>, peer: &str) {
        let facility = line.priority.map_or(FACILITY_NONE, |priority| priority.facility_name());
        let configured = self.options.labels.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let mut pairs: Vec<(&str, &str)> = configured.collect();
        pairs.extend([("facility", facility), ("host", line.host.unwrap_or(peer)), ("job", "syslog")]);
        pairs.extend(line.priority.map(|priority| ("level", priority.level())));
        pairs.extend(line.app.map(|app| ("service", app)));
        encode_labels(&mut pairs, &mut self.labels);
    }

    fn own_metadata(&mut self, line: &SyslogLine<'_>, refused_ns: Option<i64>) {
        let severity = line.priority.map(|priority| ("severity", priority.severity_name()));
        let words = [line.procid.map(|id| ("procid", id)), line.msgid.map(|id| ("msgid", id)), severity];
        let sent_at = refused_ns.map(|ns| (ns.div_euclid(1_000_000_000)).to_string());
        let sent_at = sent_at.as_deref().map(|text| ("sent_at", text));
        let data = self.structured_data(line);
        let mut pairs: Vec<(&str, &str)> = words.into_iter().flatten().chain(sent_at).collect();
        pairs.extend(data.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        encode_labels(&mut pairs, &mut self.metadata);
    }

    /// Labels as Promtail's rules make them; false for a message that they drop.
    fn relabelled(&mut self, line: &SyslogLine<'_>, peer: &str) -> bool {
        let mut pairs: LabelPairs = self.options.labels.clone();
        let mut put = |name: &str, value: &str| {
            if !value.is_empty() {
                pairs.push((format!("__syslog_{name}"), value.to_owned()));
            }
        };
        put("connection_ip_address", peer);
        // Nobody is asked for names: a server of names that is slow would stop the reading.
        put("connection_hostname", peer);
        if let Some(priority) = line.priority {
            let severity = SEVERITY_KEYWORDS.get(usize::from(priority.severity())).copied();
            put("message_severity", severity.unwrap_or_default());
            put("message_facility", priority.facility_name());
        }
        put("message_hostname", line.host.unwrap_or_default());
        put("message_app_name", line.app.unwrap_or_default());
        put("message_proc_id", line.procid.unwrap_or_default());
        put("message_msg_id", line.msgid.unwrap_or_default());
        if self.options.label_structured_data {
            for (name, value) in self.structured_data(line) {
                put(&format!("message_sd_{name}"), &value);
            }
        }
        if !relabel(&mut pairs, self.options.relabel.as_deref().unwrap_or_default()) {
            return false;
        }
        let kept = pairs.iter().filter(|(name, value)| !name.starts_with("__") && !value.is_empty());
        let mut kept: Vec<(&str, &str)> = kept.map(|(name, value)| (name.as_str(), value.as_str())).collect();
        encode_labels(&mut kept, &mut self.labels);
        true
    }

    /// Names and values within the limits, names cleaned and once each.
    fn structured_data(&self, line: &SyslogLine<'_>) -> Vec<(String, String)> {
        let mut pairs: Vec<(String, String)> = Vec::new();
        let mut bytes = 0;
        for element in line.structured_data.elements() {
            for (name, value) in element.values() {
                let name = metadata_name(element.id, name);
                bytes += name.len() + value.len();
                let fits = bytes <= self.limits.metadata_bytes_max && name.len() <= self.limits.label_name_bytes_max;
                // Some places are for the words of the header.
                if !fits || pairs.len() + 4 >= self.limits.metadata_count_max {
                    return pairs;
                }
                if pairs.iter().all(|(known, _)| *known != name) {
                    pairs.push((name, value.into_owned()));
                }
            }
        }
        pairs
    }
}

/// `exampleSDID@32473` and `iut`: `exampleSDID_32473_iut`.
fn metadata_name(id: &str, name: &str) -> String {
    let clean = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    let mut out: String = id.chars().chain(['_']).chain(name.chars()).map(clean).collect();
    if out.starts_with(|c: char| c.is_ascii_digit()) {
        out.insert(0, '_');
    }
    out
}
