//! How many bytes of logs are taken per second: in all, and of each stream.
//!
//! A bucket of tokens fills at the rate up to a burst; what is taken may leave it in debt, so that a request larger than
//! the burst passes when the bucket is full, instead of being refused for ever. Lines and metadata count, as in Loki.

use bramble_runtime::{Budget, Reservation};
use bramble_signal::{LabelsRef, LogBatch, LogStream};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::time::Duration;

/// The label `reason` of entries of streams that come too fast.
pub(crate) const PER_STREAM: &str = "per_stream_rate_limit";

/// Streams whose rate is watched at a time; beyond, those that are idle are forgotten.
const STREAMS_MAX: usize = 20_000;
/// Memory of one of them, with its share of the table's free places.
const STREAM_BYTES: usize = 2 * size_of::<(u64, Bucket)>();
/// Loki's proportions of burst to rate.
const BURST: f64 = 1.5;
const STREAM_BURST: f64 = 5.0;

/// Bytes per second that are taken; `None`: any.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct RateLimits {
    /// Of all logs together.
    pub all: Option<u64>,
    /// Of each stream, as it was sent.
    pub stream: Option<u64>,
}

/// What was left out because it came too fast.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Limited {
    pub(crate) entries: u64,
    /// In Loki's words.
    pub(crate) text: String,
    /// When as much would be taken.
    pub(crate) retry_after: Duration,
}

/// Rates that are watched.
pub(crate) struct Rates {
    limits: RateLimits,
    all: Mutex<Bucket>,
    streams: Mutex<Streams>,
    budget: Budget,
}

#[derive(Default)]
struct Streams {
    buckets: HashMap<u64, Bucket>,
    held: Option<Reservation>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    tokens: f64,
    at_ns: u64,
}

impl Bucket {
    fn full(rate: u64, burst: f64, now_ns: u64) -> Bucket {
        Bucket { tokens: rate as f64 * burst, at_ns: now_ns }
    }

    fn fill(&mut self, rate: u64, burst: f64, now_ns: u64) {
        let seconds = now_ns.saturating_sub(self.at_ns) as f64 / 1e9;
        self.tokens = (self.tokens + seconds * rate as f64).min(rate as f64 * burst);
        self.at_ns = now_ns.max(self.at_ns);
    }

    /// Takes `bytes`, or says how long to wait for them.
    fn take(&mut self, bytes: u64, rate: u64, burst: f64, now_ns: u64) -> Result<(), Duration> {
        self.fill(rate, burst, now_ns);
        let wanted = (bytes as f64).min(rate as f64 * burst);
        if self.tokens >= wanted {
            self.tokens -= bytes as f64;
            return Ok(());
        }
        let seconds = (wanted - self.tokens) / (rate as f64).max(1.0);
        Err(Duration::from_secs_f64(seconds.clamp(0.0, 3600.0)))
    }
}

impl Rates {
    /// Memory of the streams is paid for from `budget`.
    pub(crate) fn new(limits: RateLimits, budget: Budget) -> Rates {
        let all = Bucket::full(limits.all.unwrap_or(0), BURST, 0);
        Rates { limits, all: Mutex::new(all), streams: Mutex::default(), budget }
    }

    /// Takes a batch as a whole; `now_ns` is monotonic.
    ///
    /// # Errors
    /// [`Limited`]: nothing of it may be stored.
    pub(crate) fn admit(&self, batch: &LogBatch, now_ns: u64) -> Result<(), Limited> {
        let Some(rate) = self.limits.all else { return Ok(()) };
        let bytes = batch.streams().map(|stream| content_bytes(&stream)).sum();
        self.all.lock().take(bytes, rate, BURST, now_ns).map_err(|retry_after| {
            let entries = batch.entry_count() as u64;
            let text = format!(
                "Ingestion rate limit exceeded for user fake (limit: {rate} bytes/sec) while attempting to ingest \
                 '{entries}' lines totaling '{bytes}' bytes, reduce log volume or contact your Loki administrator to see \
                 if the limit can be increased"
            );
            Limited { entries, text, retry_after }
        })
    }

    /// Takes out of a batch the streams that come too fast. What is left is copied only then.
    pub(crate) fn admit_streams(&self, batch: LogBatch, now_ns: u64) -> (LogBatch, Option<Limited>) {
        let Some(rate) = self.limits.stream else { return (batch, None) };
        let (mut refused, mut limited) = (Vec::new(), None::<Limited>);
        for (at, stream) in batch.streams().enumerate() {
            let bytes = content_bytes(&stream);
            let Err(retry_after) = self.take_of_stream(stream.labels(), bytes, rate, now_ns) else { continue };
            refused.push(at);
            let entries = stream.len() as u64;
            match &mut limited {
                Some(limited) => {
                    limited.entries += entries;
                    limited.retry_after = limited.retry_after.max(retry_after);
                }
                none => *none = Some(Limited { entries, text: story(&stream, bytes, rate), retry_after }),
            }
        }
        if refused.is_empty() {
            return (batch, None);
        }
        let mut kept = LogBatch::new();
        for (_, stream) in batch.streams().enumerate().filter(|(at, _)| refused.binary_search(at).is_err()) {
            kept.start_stream_encoded(stream.labels());
            for entry in stream.entries() {
                kept.push_entry_encoded(entry.timestamp_ns, entry.line, entry.metadata);
            }
        }
        (kept, limited)
    }

    fn take_of_stream(&self, labels: LabelsRef<'_>, bytes: u64, rate: u64, now_ns: u64) -> Result<(), Duration> {
        let mut hasher = DefaultHasher::new();
        labels.as_bytes().hash(&mut hasher);
        let mut streams = self.streams.lock();
        let Some(bucket) = streams.bucket(hasher.finish(), rate, now_ns, &self.budget) else { return Ok(()) };
        bucket.take(bytes, rate, STREAM_BURST, now_ns)
    }
}

impl Streams {
    /// A stream's bucket; `None` when there is no room for one, and the stream's rate is not watched.
    fn bucket(&mut self, stream: u64, rate: u64, now_ns: u64, budget: &Budget) -> Option<&mut Bucket> {
        if !self.buckets.contains_key(&stream) {
            if self.buckets.len() >= STREAMS_MAX {
                self.forget_idle(rate, now_ns);
            }
            let bytes = (self.buckets.len() + 1) * STREAM_BYTES;
            let paid = match &mut self.held {
                Some(held) => held.resize(bytes).is_ok(),
                none => budget.reserve(bytes).map(|held| *none = Some(held)).is_ok(),
            };
            if !paid || self.buckets.len() >= STREAMS_MAX {
                return None;
            }
            self.buckets.insert(stream, Bucket::full(rate, STREAM_BURST, now_ns));
        }
        self.buckets.get_mut(&stream)
    }

    /// A bucket that is full again is as good as none.
    fn forget_idle(&mut self, rate: u64, now_ns: u64) {
        self.buckets.retain(|_, bucket| {
            bucket.fill(rate, STREAM_BURST, now_ns);
            bucket.tokens < rate as f64 * STREAM_BURST
        });
    }
}

fn content_bytes(stream: &LogStream<'_>) -> u64 {
    let of = |pairs: LabelsRef<'_>| pairs.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>();
    stream.entries().map(|entry| (entry.line.len() + of(entry.metadata)) as u64).sum()
}

fn story(stream: &LogStream<'_>, bytes: u64, rate: u64) -> String {
    let labels: String = stream.labels().to_string().chars().take(1024).collect();
    format!(
        "Per stream rate limit exceeded (limit: {}/sec) while attempting to ingest for stream '{labels}' totaling {}, \
         consider splitting a stream via additional labels or contact your Loki administrator to see if the limit can be \
         increased",
        size(rate),
        size(bytes)
    )
}

/// `3MB`: units of 1024, as Loki prints sizes.
fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KB", "MB", "GB", "TB"];
    let (mut value, mut unit) = (bytes as f64, 0);
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    let text = format!("{value:.2}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    format!("{text}{}", UNITS.get(unit).copied().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use bramble_runtime::BudgetName;

    const SECOND_NS: u64 = 1_000_000_000;

    fn batch(streams: &[(&str, usize)]) -> LogBatch {
        let mut batch = LogBatch::new();
        for (name, bytes) in streams {
            batch.start_stream(&mut [("app", name)]).unwrap();
            batch.push_entry(1, &vec![b'x'; bytes - 2], &mut [("m", "1")]).unwrap();
        }
        batch
    }

    fn rates(all: Option<u64>, stream: Option<u64>) -> Rates {
        Rates::new(RateLimits { all, stream }, Budget::standalone(BudgetName::Receive, 1 << 20))
    }

    #[test]
    fn the_sum_is_held_to_its_rate() {
        let rates = rates(Some(1000), None);
        let admit = |bytes, at_ns| rates.admit(&batch(&[("a", bytes)]), at_ns);
        assert_eq!(admit(1500, 0), Ok(()));
        let limited = admit(500, 0).unwrap_err();
        assert_eq!(
            limited.text,
            "Ingestion rate limit exceeded for user fake (limit: 1000 bytes/sec) while attempting to ingest '1' lines \
             totaling '500' bytes, reduce log volume or contact your Loki administrator to see if the limit can be \
             increased"
        );
        assert_eq!((limited.entries, limited.retry_after), (1, Duration::from_millis(500)));
        assert_eq!(admit(500, SECOND_NS / 2), Ok(()));
        assert_eq!(admit(9000, 10 * SECOND_NS), Ok(()), "more than a burst, when the bucket is full");
        assert!(admit(2, 15 * SECOND_NS).is_err(), "and its debt is paid first");
        assert_eq!(admit(400, 18 * SECOND_NS), Ok(()));
    }

    #[test]
    fn each_stream_is_held_to_its_rate() {
        let rates = rates(None, Some(1024));
        let (kept, limited) = rates.admit_streams(batch(&[("a", 5120), ("b", 100)]), 0);
        assert_eq!((kept.stream_count(), limited), (2, None));
        let (kept, limited) = rates.admit_streams(batch(&[("a", 2048), ("b", 100), ("a", 3)]), 0);
        let limited = limited.unwrap();
        assert_eq!((kept.stream_count(), kept.stream(0).labels().get("app")), (1, Some("b")));
        assert_eq!((limited.entries, limited.retry_after), (2, Duration::from_secs(2)));
        assert!(
            limited.text.starts_with(
                "Per stream rate limit exceeded (limit: 1KB/sec) while attempting to ingest for stream '{app=\"a\"}' \
                 totaling 2KB, consider"
            ),
            "{}",
            limited.text
        );
        assert_eq!(rates.admit_streams(batch(&[("a", 2048)]), 2 * SECOND_NS).1, None);
    }

    #[test]
    fn watching_streams_takes_bounded_memory() {
        let rates = rates(None, Some(10));
        let names: Vec<String> = (0..STREAMS_MAX + 500).map(|n| format!("s{n}")).collect();
        for name in &names {
            assert_eq!(rates.admit_streams(batch(&[(name, 50)]), 0).1, None);
        }
        assert!(rates.streams.lock().buckets.len() <= STREAMS_MAX);
        assert!(rates.admit_streams(batch(&[("s0", 50)]), 0).1.is_some());
        rates.admit_streams(batch(&[("new", 50)]), 100 * SECOND_NS);
        assert!(rates.streams.lock().buckets.len() < 3, "those that are idle make room");
        assert_eq!(["0B", "1KB", "1.5MB", "3GB"], [0, 1024, 3 << 19, 3 << 30].map(size).each_ref().map(String::as_str));
    }
}
