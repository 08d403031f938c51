//! What the store takes of a batch, and what it says about the rest: in Loki's words, which senders' logs and people's
//! alerts know.
//!
//! Source: Loki's `pkg/validation` for the texts; a refused item is refused for good, but for the limit of streams.

use crate::head::{ENTRY_OVERHEAD_BYTES, Generation};
use crate::limits::LogLimits;
use crate::times::civil_from_days;
use bramble_signal::{LabelsRef, LogBatch, LogEntry, LogStream};
use bramble_storage::{OWN_STREAM_LABEL, RejectReason, Rejections};

/// Head space of a stream that a batch brings, in bytes.
const NEW_STREAM_BYTES: usize = 512;

/// Loki's name for whoever sends where nobody logs in.
const USER: &str = "fake";
/// So much of a stream's labels is told to its sender, in bytes.
const LABELS_TOLD_MAX: usize = 1024;

/// Judges batches against limits and what a head knows.
pub(crate) struct Judge<'a> {
    pub(crate) limits: &'a LogLimits,
    pub(crate) head: &'a Generation,
    pub(crate) now_ns: i64,
}

impl Judge<'_> {
    /// Judges all entries: what is refused, and how much head space the rest takes. The rest is added to `keep`.
    pub(crate) fn judge(&self, batch: &LogBatch, mut keep: Option<&mut LogBatch>) -> (Rejections, usize) {
        let (mut rejections, mut bytes) = (Rejections::new(), 0usize);
        let mut streams = self.head.streams.len();
        for stream in batch.streams().filter(|s| !s.is_empty()) {
            let labels = stream.labels();
            if let Err((reason, text)) = self.stream(labels, &mut streams, &mut bytes) {
                rejections.add(reason, stream.len() as u64, || text);
                continue;
            }
            if let Some(kept) = keep.as_deref_mut() {
                kept.start_stream_encoded(labels);
            }
            // What Bramble says of items is as old as they are, and they were taken.
            let own = is_own(labels);
            let mut order = Order::new(self, labels);
            for entry in stream.entries() {
                let late = order.is_late(entry.timestamp_ns);
                if let Some(reason) = self.refusal(&entry, late).filter(|_| !own) {
                    rejections.add(reason, 1, || self.story(&stream, &entry, reason, late));
                    continue;
                }
                bytes += entry.line.len() + entry.metadata.as_bytes().len() + ENTRY_OVERHEAD_BYTES;
                if let Some(kept) = keep.as_deref_mut() {
                    kept.push_entry_encoded(entry.timestamp_ns, entry.line, entry.metadata);
                }
            }
        }
        (rejections, bytes)
    }

    /// Judges a stream by its labels; a new one is counted.
    fn stream(
        &self,
        labels: LabelsRef<'_>,
        streams: &mut usize,
        bytes: &mut usize,
    ) -> Result<(), (RejectReason, String)> {
        let (count, limit) = (labels.len(), self.limits.labels_max);
        if count > limit {
            let text = format!("entry for stream '{}' has {count} label names; limit {limit}", told(labels));
            return Err((RejectReason::InvalidLabels, text));
        }
        if self.head.knows(labels) {
            return Ok(());
        }
        if *streams >= self.limits.streams_max && !is_own(labels) {
            let text = format!(
                "Maximum active stream limit exceeded when trying to create stream {}, reduce the number of active \
                 streams (reduce labels or reduce label values), or contact your Loki administrator to see if the \
                 limit can be increased, user: '{USER}'",
                told(labels)
            );
            return Err((RejectReason::SeriesLimit, text));
        }
        *streams += 1;
        *bytes += NEW_STREAM_BYTES + labels.as_bytes().len();
        Ok(())
    }

    /// Why an entry is refused, if it is.
    fn refusal(&self, entry: &LogEntry<'_>, late: Option<i64>) -> Option<RejectReason> {
        let limits = self.limits;
        let age_ms = self.now_ns.saturating_sub(entry.timestamp_ns).div_euclid(1_000_000);
        if limits.max_age_ms.is_some_and(|max| age_ms > max) || late.is_some() {
            Some(RejectReason::TooOld)
        } else if limits.future_ms.is_some_and(|max| age_ms < max.saturating_neg()) {
            Some(RejectReason::TooFarInFuture)
        } else if entry.line.len() > limits.line_bytes_max
            || entry.metadata.as_bytes().len() > limits.metadata_bytes_max
        {
            Some(RejectReason::TooLarge)
        } else {
            None
        }
    }

    fn story(&self, stream: &LogStream<'_>, entry: &LogEntry<'_>, reason: RejectReason, late: Option<i64>) -> String {
        let (labels, time) = (told(stream.labels()), rfc3339(entry.timestamp_ns));
        let max_age_ns = self.limits.max_age_ms.map_or(i64::MAX, |ms| ms.saturating_mul(1_000_000));
        let oldest_ns = self.now_ns.saturating_sub(max_age_ns);
        let (line, longest) = (entry.line.len(), self.limits.line_bytes_max);
        match (reason, late) {
            (RejectReason::TooOld, Some(cutoff_ns)) if entry.timestamp_ns >= oldest_ns => {
                let ignored = stream.entries().filter(|other| other.timestamp_ns < cutoff_ns).count();
                format!(
                    "entry with timestamp {} ignored, reason: 'entry too far behind, entry timestamp is: {time}, oldest \
                     acceptable timestamp is: {}',\nuser '{USER}', total ignored: {ignored} out of {} for stream: \
                     {labels}",
                    go_time(entry.timestamp_ns),
                    rfc3339(cutoff_ns),
                    stream.len()
                )
            }
            (RejectReason::TooOld, _) => format!(
                "entry for stream '{labels}' has timestamp too old: {time}, oldest acceptable timestamp is: {}",
                rfc3339(oldest_ns)
            ),
            (RejectReason::TooFarInFuture, _) => format!("entry for stream '{labels}' has timestamp too new: {time}"),
            _ if line > longest => format!(
                "Max entry size '{longest}' bytes exceeded for stream '{labels}' while adding an entry with length \
                 '{line}' bytes"
            ),
            _ => format!(
                "stream '{labels}' has structured metadata too large: '{}' bytes, limit: '{}' bytes. Please see \
                 `limits_config.max_structured_metadata_size` or contact your Loki administrator to increase it.",
                entry.metadata.as_bytes().len(),
                self.limits.metadata_bytes_max
            ),
        }
    }
}

/// The newest entry of a stream, while a batch goes by: what is too far behind it is late.
struct Order {
    window_ns: Option<i64>,
    newest_ns: Option<i64>,
}

impl Order {
    fn new(judge: &Judge<'_>, labels: LabelsRef<'_>) -> Order {
        let window_ns = judge.limits.out_of_order_ms.map(|ms| ms.saturating_mul(1_000_000));
        // Looking the newest up costs something per stream, and is for nothing while the window is off.
        let newest_ns = window_ns.and_then(|_| judge.head.newest_ns(labels));
        Order { window_ns, newest_ns }
    }

    /// The oldest time that would have been taken, when `timestamp_ns` is older; else it counts for what follows.
    fn is_late(&mut self, timestamp_ns: i64) -> Option<i64> {
        let window_ns = self.window_ns?;
        let cutoff_ns = self.newest_ns.map(|newest_ns| newest_ns.saturating_sub(window_ns));
        self.newest_ns = self.newest_ns.max(Some(timestamp_ns));
        cutoff_ns.filter(|&cutoff_ns| timestamp_ns < cutoff_ns)
    }
}

/// Whether Bramble itself writes the stream.
fn is_own(labels: LabelsRef<'_>) -> bool {
    labels.get(OWN_STREAM_LABEL).is_some()
}

/// A stream's labels for a message.
fn told(labels: LabelsRef<'_>) -> String {
    let mut text = labels.to_string();
    if text.len() > LABELS_TOLD_MAX {
        let end = (0..=LABELS_TOLD_MAX).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
    text
}

fn date_and_time(ns: i64) -> (String, String) {
    let seconds = ns.div_euclid(1_000_000_000);
    let (year, month, day) = civil_from_days(seconds.div_euclid(86_400));
    let of_day = seconds.rem_euclid(86_400);
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    (format!("{year:04}-{month:02}-{day:02}"), format!("{hour:02}:{minute:02}:{second:02}"))
}

/// `2026-11-21T12:00:00Z`; nanoseconds are cut off.
fn rfc3339(ns: i64) -> String {
    let (date, time) = date_and_time(ns);
    format!("{date}T{time}Z")
}

/// `2026-11-21 12:00:00.5 +0000 UTC`, as Go prints a time.
fn go_time(ns: i64) -> String {
    let (date, time) = date_and_time(ns);
    let fraction = format!(".{:09}", ns.rem_euclid(1_000_000_000));
    format!("{date} {time}{} +0000 UTC", fraction.trim_end_matches('0').trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_printed_as_loki_prints_them() {
        let ns = 1_791_336_932_405_000_000;
        assert_eq!(rfc3339(ns), "2026-10-07T01:35:32Z");
        assert_eq!(go_time(ns), "2026-10-07 01:35:32.405 +0000 UTC");
        assert_eq!(go_time(-1), "1969-12-31 23:59:59.999999999 +0000 UTC");
        assert_eq!(go_time(0), "1970-01-01 00:00:00 +0000 UTC");
    }

    #[test]
    fn long_labels_are_cut_in_messages() {
        let labels = bramble_signal::Labels::from_pairs([("a", "é".repeat(3000))]);
        let text = told(labels.as_ref());
        assert!(text.len() <= LABELS_TOLD_MAX + 3 && text.ends_with('…'), "{}", text.len());
    }
}
