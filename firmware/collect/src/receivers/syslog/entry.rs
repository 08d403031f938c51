//! From a message to an entry of a batch.

use super::SyslogZone;
use bramble_signal::LogBatch;
use bramble_signal::labels::LabelError;
use bramble_wire::Limits;
use bramble_wire::syslog::{self, SyslogLine};

/// How far a sender's clock may be off before the time of arrival counts: ahead by more than any wrong zone, behind by more
/// than what senders keep while they cannot send.
const AHEAD_MAX_NS: i64 = 24 * 3600 * 1_000_000_000;
const BEHIND_MAX_NS: i64 = 30 * AHEAD_MAX_NS;

/// Facility of what has no priority (RFC 3164 §4.3.3).
const FACILITY_NONE: &str = "user";

/// What is not as the standards have it.
pub(super) type Irregular = Option<&'static str>;

/// Adds messages to a batch, those of one stream in a row without repeating its labels.
#[derive(Debug)]
pub(super) struct Entries {
    batch: LogBatch,
    zone: SyslogZone,
    limits: Limits,
}

impl Entries {
    pub(super) fn new(zone: SyslogZone, limits: Limits, bytes: usize) -> Self {
        Entries { batch: LogBatch::with_capacity(bytes), zone, limits }
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.batch.memory_bytes()
    }

    pub(super) fn into_batch(self) -> LogBatch {
        self.batch
    }

    /// Adds what `peer` sent; a message without text is none. Says what is irregular about it.
    pub(super) fn push(&mut self, message: &[u8], peer: &str, now_ns: i64) -> Irregular {
        let shown_now_ns = now_ns.saturating_add(self.zone.offset_ns(now_ns));
        let (line, irregular) = match syslog::parse(message, shown_now_ns) {
            Some(line) if line.has_header => (line, None),
            Some(line) => (line, Some("no_header")),
            None => (SyslogLine { message, ..SyslogLine::default() }, Some("not_syslog")),
        };
        let text = line.message.trim_ascii_end();
        let text = text.strip_suffix(b"\0").unwrap_or(text);
        let text = text.get(..self.limits.line_bytes_max).unwrap_or(text);
        if text.is_empty() && line.structured_data.is_empty() {
            return Some("empty");
        }
        let sent_ns = line.timestamp_ns.map(|ns| if line.is_local_time { self.zone.to_utc(ns) } else { ns });
        let (timestamp_ns, refused_ns) = match sent_ns {
            None => (now_ns, None),
            Some(ns) if ns - now_ns <= AHEAD_MAX_NS && now_ns.saturating_sub(ns) <= BEHIND_MAX_NS => (ns, None),
            Some(ns) => (now_ns, Some(ns)),
        };
        self.start_stream(&line, peer);
        // Names of the sender's are cleaned and may meet then.
        let added = self.push_entry(timestamp_ns, text, &line, refused_ns);
        debug_assert!(added.is_ok(), "names are not repeated");
        irregular.or(refused_ns.map(|_| "clock"))
    }

    fn start_stream(&mut self, line: &SyslogLine<'_>, peer: &str) {
        let facility = line.priority.map_or(FACILITY_NONE, |priority| priority.facility_name());
        let mut labels = [("", ""); 5];
        let given = [
            Some(("facility", facility)),
            Some(("host", line.host.unwrap_or(peer))),
            Some(("job", "syslog")),
            line.priority.map(|priority| ("level", priority.level())),
            line.app.map(|app| ("service", app)),
        ];
        let mut count = 0;
        for (slot, label) in labels.iter_mut().zip(given.into_iter().flatten()) {
            *slot = label;
            count += 1;
        }
        let labels = labels.get_mut(..count).unwrap_or_default();
        let last = self.batch.stream_count().checked_sub(1).map(|last| self.batch.stream(last).labels());
        if last.is_none_or(|last| !last.iter().eq(labels.iter().copied())) {
            // Names are ours and different.
            let _ = self.batch.start_stream(labels);
        }
    }

    fn push_entry(
        &mut self,
        timestamp_ns: i64,
        text: &[u8],
        line: &SyslogLine<'_>,
        refused_ns: Option<i64>,
    ) -> Result<(), LabelError> {
        let severity = line.priority.map(|priority| ("severity", priority.severity_name()));
        let words = [line.procid.map(|id| ("procid", id)), line.msgid.map(|id| ("msgid", id)), severity];
        let sent_at = refused_ns.map(|ns| (ns.div_euclid(1_000_000_000)).to_string());
        let sent_at = sent_at.as_deref().map(|text| ("sent_at", text));
        let data = self.structured_data(line);
        let data = data.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let mut pairs: Vec<(&str, &str)> = words.into_iter().flatten().chain(sent_at).collect();
        let own = pairs.len();
        for pair in data {
            if pairs.iter().take(own).all(|(name, _)| *name != pair.0) {
                pairs.push(pair);
            }
        }
        self.batch.push_entry(timestamp_ns, text, &mut pairs)
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
