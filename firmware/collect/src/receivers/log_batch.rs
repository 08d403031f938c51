//! What is done to every batch of logs, whatever protocol it came by, between decoding and the write path.

use super::ReceiverState;
use super::automatic_labels::AutomaticLabels;
use super::promotion::Promotion;
use super::rates::{Limited, RateLimits, Rates};
use super::refusal::Refusal;
use bramble_runtime::{Budget, Reservation};
use bramble_signal::labels::encode_sorted;
use bramble_signal::{LabelsRef, LogBatch};
use bramble_storage::{OWN_STREAM_LABEL, RejectReason, Written};
use bramble_wire::Rejected;
use std::time::Duration;

/// What can be chosen of logs, of all protocols.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LokiOptions {
    /// Add the stream label `service_name`, taken from the first of a list of labels that say much the same, else
    /// `unknown_service`. Default yes.
    pub service_name: bool,
    /// Add the metadata `detected_level`: `trace`, `debug`, `info`, `warn`, `error`, `critical`, `fatal`, `unknown`,
    /// or what the sender calls its level. Default yes.
    pub level_detection: bool,
    /// Fields that become stream labels: attributes of resources and records, structured metadata of pushes. Default none.
    pub promoted: Vec<String>,
    /// Bytes per second that are taken. Default any.
    pub rates: RateLimits,
}

impl Default for LokiOptions {
    fn default() -> Self {
        LokiOptions { service_name: true, level_detection: true, promoted: Vec::new(), rates: RateLimits::default() }
    }
}

/// The options at work.
pub(crate) struct LogPolicy {
    automatic: AutomaticLabels,
    promotion: Promotion,
    rates: Rates,
}

/// A batch that may be stored, and what was left out of it.
pub(crate) struct Admitted {
    pub(crate) batch: LogBatch,
    pub(crate) held: Reservation,
    pub(crate) limited: Option<Limited>,
}

impl LogPolicy {
    /// Values longer than `label_value_bytes_max` are not promoted; what rates take of memory is paid for from `receive`.
    pub(crate) fn new(options: &LokiOptions, label_value_bytes_max: usize, receive: &Budget) -> LogPolicy {
        LogPolicy {
            automatic: AutomaticLabels { service_name: options.service_name, levels: options.level_detection },
            promotion: Promotion::new(&options.promoted, label_value_bytes_max),
            rates: Rates::new(options.rates, receive.clone()),
        }
    }
}

/// Promotes fields, holds the batch to its rates, takes the label of our own streams away, adds labels; `held` covers the batch before and after.
///
/// # Errors
/// [`Refusal::OverBudget`], [`Refusal::TooFast`] when nothing of it may be stored.
pub(crate) fn admit(state: &ReceiverState, batch: LogBatch, held: Reservation) -> Result<Admitted, Refusal> {
    let (policy, now_ns) = (&state.0.logs, state.0.clock.monotonic_ns());
    policy.rates.admit(&batch, now_ns).map_err(|limited| Refusal::TooFast(limited.text, limited.retry_after))?;
    let (batch, limited) = policy.rates.admit_streams(batch, now_ns);
    let (batch, held) = policy.promotion.apply(batch, held)?;
    let batch = without_own_label(batch);
    let (batch, held) = policy.automatic.add_labels(batch, held)?;
    Ok(Admitted { batch, held, limited })
}

/// The batch without the label of streams that only Bramble writes, wherever a sender has put it.
fn without_own_label(mut batch: LogBatch) -> LogBatch {
    let mut scratch = Vec::new();
    for stream in 0..batch.stream_count() {
        let labels = batch.stream(stream).labels();
        if labels.get(OWN_STREAM_LABEL).is_some() {
            scratch.clear();
            encode_sorted(labels.iter().filter(|(name, _)| *name != OWN_STREAM_LABEL), &mut scratch);
            batch.set_labels(stream, LabelsRef::from_encoded(&scratch));
        }
    }
    batch
}

/// What a sender of logs is told of entries that were left out.
#[derive(Debug)]
pub(crate) struct Complaint {
    /// Entries left out.
    pub(crate) count: u64,
    /// Each reason's story, in Loki's form.
    pub(crate) text: String,
    /// When it makes sense to send the request again: what was stored of it is kept once.
    pub(crate) retry_after: Option<Duration>,
}

/// A head that is full of streams has room again after its flush.
const STREAMS_RETRY_AFTER: Duration = Duration::from_secs(30);

/// Sums up what decoding, rates and the store left out; `None` when everything is stored.
pub(crate) fn complaint(rejected: &Rejected, limited: Option<&Limited>, written: &Written) -> Option<Complaint> {
    let decoded = rejected.stories().map(|(_, count, text)| (count, text));
    let limits = limited.map(|limited| (limited.entries, limited.text.as_str()));
    let stored = written.rejections.stories().map(|(_, count, text)| (count, text));
    let stories: Vec<(u64, &str)> = limits.into_iter().chain(decoded).chain(stored).collect();
    let count: u64 = stories.iter().map(|(count, _)| count).sum();
    let no_room = written.rejections.by_reason().iter().any(|(reason, _)| *reason == RejectReason::SeriesLimit);
    let retry_after = limited.map(|limited| limited.retry_after).max(no_room.then_some(STREAMS_RETRY_AFTER));
    (count > 0).then(|| Complaint { count, text: grouped(&stories), retry_after })
}

/// One story as it is, several with how many items each stands for: as Loki groups its errors.
pub(crate) fn grouped(stories: &[(u64, &str)]) -> String {
    match stories {
        [(1, story)] => (*story).to_owned(),
        _ => {
            let texts = stories.iter().map(|(count, story)| format!("{count} errors like: {story}"));
            texts.collect::<Vec<_>>().join("; ")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bramble_wire::RejectReason as WireReason;

    #[test]
    fn nobody_writes_into_our_own_streams() {
        let mut batch = LogBatch::new();
        batch.start_stream(&mut [("app", "web")]).unwrap();
        batch.push_entry(1, b"x", &mut []).unwrap();
        let untouched = batch.clone();
        assert_eq!(without_own_label(batch.clone()), untouched);
        batch.start_stream(&mut [("app", "web"), (OWN_STREAM_LABEL, "correlations"), ("zone", "z")]).unwrap();
        batch.push_entry(2, b"forged", &mut [(OWN_STREAM_LABEL, "of an entry")]).unwrap();
        let kept = without_own_label(batch);
        let labels: Vec<String> = kept.streams().map(|stream| stream.labels().to_string()).collect();
        assert_eq!(labels, [r#"{app="web"}"#, r#"{app="web", zone="z"}"#]);
        assert_eq!((kept.entry_count(), kept.entry(1).line), (2, &b"forged"[..]));
    }

    #[test]
    fn complaints_are_grouped_as_loki_groups_them() {
        let (mut rejected, mut written) = (Rejected::default(), Written::default());
        assert!(complaint(&rejected, None, &written).is_none());
        rejected.add_told(WireReason::LineTooLong, 1, || "too long".into());
        let one = complaint(&rejected, None, &written).unwrap();
        assert_eq!((one.count, one.text.as_str(), one.retry_after), (1, "too long", None));
        written.rejections.add(RejectReason::TooOld, 2, || "too old".into());
        let two = complaint(&rejected, None, &written).unwrap();
        assert_eq!((two.count, two.text.as_str()), (3, "1 errors like: too long; 2 errors like: too old"));
        let limited = Limited { entries: 1, text: "too fast".into(), retry_after: Duration::from_secs(3) };
        let three = complaint(&rejected, Some(&limited), &written).unwrap();
        assert_eq!((three.count, three.retry_after), (4, Some(Duration::from_secs(3))));
        assert!(three.text.starts_with("1 errors like: too fast; 1 errors like: too long"));
        written.rejections.add(RejectReason::SeriesLimit, 1, || "no more streams".into());
        assert_eq!(complaint(&rejected, None, &written).unwrap().retry_after, Some(STREAMS_RETRY_AFTER));
    }
}
