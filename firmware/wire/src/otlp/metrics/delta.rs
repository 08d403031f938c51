//! Delta temporality to cumulative: what every stream of differences adds up to.
//!
//! A stream is known by its labels, name and kind. Its sum starts with its first point and grows with every later
//! one; across gaps too, since a counter that goes on loses nothing where one that starts again may. A point that
//! ends before one that was counted is late, one that begins inside it overlaps: both are rejected. The same point
//! again, as a sender repeats it that heard "later", is answered with the same sum. A point more than an hour older
//! than the newest starts the stream anew: the sender's clock was set back.
//!
//! Memory is bounded: over [`DeltaStreams::new`]'s bytes the streams not used for longest are forgotten, an eighth at
//! once, so that finding them costs little per point. A stream that was forgotten starts again from zero, as after a
//! restart: to PromQL a counter reset. Changes of a request that is not decoded to its end are undone.
//!
//! Source: OpenTelemetry's metrics data model, "Sums: Delta-to-Cumulative".

use super::exponential::Exponential;
use crate::RejectReason;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Clocks that write the same moment as end and as beginning may round differently.
const ROUNDING_NS: u64 = 1_000_000;
/// A point so much older than the newest means that the clock was set back.
const SET_BACK_NS: u64 = 3_600_000_000_000;

/// Sums of delta streams; clones share them. Used by one request at a time, and only by those with delta points.
#[derive(Clone, Debug)]
pub struct DeltaStreams(Arc<Mutex<Streams>>);

impl DeltaStreams {
    /// No streams yet; at most about `bytes_max` bytes of them are kept.
    pub fn new(bytes_max: usize) -> Self {
        DeltaStreams(Arc::new(Mutex::new(Streams { bytes_max, ..Streams::default() })))
    }

    /// Memory held, in bytes.
    pub fn memory_bytes(&self) -> usize {
        self.lock().bytes
    }

    /// Number of streams.
    pub fn count(&self) -> usize {
        self.lock().streams.len()
    }

    /// Streams forgotten for want of memory.
    pub fn forgotten(&self) -> u64 {
        self.lock().forgotten
    }

    /// Forgets streams until at most `bytes` are held: when the budget has no room for more.
    pub fn shrink_to(&self, bytes: usize) {
        self.lock().shrink_to(bytes);
    }

    pub(in crate::otlp) fn lock(&self) -> MutexGuard<'_, Streams> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for DeltaStreams {
    /// For a decoder on its own: 1 MiB.
    fn default() -> Self {
        DeltaStreams::new(1 << 20)
    }
}

#[derive(Default, Debug)]
pub(in crate::otlp) struct Streams {
    streams: HashMap<u128, Stream>,
    hashers: (RandomState, RandomState),
    /// Streams as they were before the request at hand, newest change last.
    before: Vec<(u128, Option<Stream>)>,
    bytes: usize,
    bytes_max: usize,
    /// Counts points, for knowing which streams were used last.
    clock: u64,
    forgotten: u64,
}

/// A stream's sum so far.
#[derive(Clone, Debug)]
pub(super) struct Stream {
    /// Interval of the newest point, nanoseconds since the Unix epoch.
    start_ns: u64,
    time_ns: u64,
    used: u64,
    pub(super) sum: f64,
    pub(super) count: u64,
    pub(super) shape: Shape,
}

/// What a stream's points consist of beside count and sum.
#[derive(Clone, Debug)]
pub(super) enum Shape {
    Number,
    /// Bits of the bounds, and counts.
    Explicit(Box<[u64]>, Box<[u64]>),
    Exponential(Box<Exponential>),
}

impl Stream {
    fn bytes(&self) -> usize {
        let heap = match &self.shape {
            Shape::Number => 0,
            Shape::Explicit(bounds, counts) => 8 * (bounds.len() + counts.len()),
            Shape::Exponential(buckets) => size_of::<Exponential>() + buckets.heap_bytes(),
        };
        // A table is between 7/16 and 7/8 full.
        (size_of::<Self>() + size_of::<u128>()) * 3 / 2 + heap
    }

    /// Adds a point with `bounds` (as bits) and `counts`; with other bounds the stream starts anew.
    pub(super) fn add_explicit(&mut self, bounds: &[u64], counts: &[u64], count: u64, sum: f64) {
        match &mut self.shape {
            Shape::Explicit(ours, totals) if **ours == *bounds && totals.len() == counts.len() => {
                for (total, count) in totals.iter_mut().zip(counts) {
                    *total = total.saturating_add(*count);
                }
                self.count = self.count.saturating_add(count);
                self.sum += sum;
            }
            shape => {
                *shape = Shape::Explicit(bounds.into(), counts.into());
                (self.count, self.sum) = (count, sum);
            }
        }
    }

    /// Adds a point of an exponential histogram.
    pub(super) fn add_exponential(&mut self, point: &Exponential, count: u64, sum: f64) -> Result<(), RejectReason> {
        match &mut self.shape {
            Shape::Exponential(total) => total.add(point.clone())?,
            shape => *shape = Shape::Exponential(Box::new(point.clone())),
        }
        self.count = self.count.saturating_add(count);
        self.sum += sum;
        Ok(())
    }
}

impl Streams {
    /// The key of what `labels` identify.
    pub(super) fn key(&self, labels: &[u8], kind: u32) -> u128 {
        let of = |state: &RandomState| u128::from(state.hash_one((kind, labels)));
        of(&self.hashers.0) << 64 | of(&self.hashers.1)
    }

    /// Counts a point of the interval (`start_ns`, `time_ns`] by `add`; `start_ns` 0 is not known. Returns the stream
    /// with it, and by how many bytes the memory grew.
    ///
    /// # Errors
    /// [`RejectReason::DeltaLate`], [`RejectReason::DeltaOverlap`], what `add` says. Nothing is changed then.
    pub(super) fn point(
        &mut self,
        key: u128,
        (start_ns, time_ns): (u64, u64),
        add: impl FnOnce(&mut Stream) -> Result<(), RejectReason>,
    ) -> Result<(&Stream, usize), RejectReason> {
        self.clock += 1;
        let fresh = Stream { start_ns, time_ns, used: self.clock, sum: 0.0, count: 0, shape: Shape::Number };
        let old = self.streams.get_mut(&key);
        let mut next = match &old {
            None => fresh,
            Some(old) if (old.start_ns, old.time_ns) == (start_ns, time_ns) => {
                let Some(stream) = self.streams.get_mut(&key) else { return Err(RejectReason::DeltaLate) };
                stream.used = self.clock;
                return Ok((stream, 0));
            }
            Some(old) if time_ns.saturating_add(SET_BACK_NS) < old.time_ns => fresh,
            Some(old) if time_ns <= old.time_ns => return Err(RejectReason::DeltaLate),
            Some(old) if start_ns != 0 && start_ns.saturating_add(ROUNDING_NS) < old.time_ns => {
                return Err(RejectReason::DeltaOverlap);
            }
            Some(old) => Stream { start_ns, time_ns, used: self.clock, ..(**old).clone() },
        };
        add(&mut next)?;
        let added = next.bytes();
        let before = self.streams.insert(key, next);
        let removed = before.as_ref().map_or(0, Stream::bytes);
        self.bytes = (self.bytes + added).saturating_sub(removed);
        self.before.push((key, before));
        match self.streams.get(&key) {
            // What the stream was is kept too until the request ends.
            Some(stream) => Ok((stream, added)),
            None => Err(RejectReason::DeltaLate),
        }
    }

    /// Makes the changes of a request last.
    pub(in crate::otlp) fn commit(&mut self) {
        self.before.clear();
        // A request with many new streams does not hold on to the room for undoing it.
        self.before.shrink_to(64);
        if self.bytes > self.bytes_max {
            self.shrink_to(self.bytes_max - self.bytes_max / 8);
        }
    }

    /// Undoes the changes of a request.
    pub(in crate::otlp) fn rollback(&mut self) {
        while let Some((key, before)) = self.before.pop() {
            let now = match before {
                Some(stream) => {
                    self.bytes += stream.bytes();
                    self.streams.insert(key, stream)
                }
                None => self.streams.remove(&key),
            };
            self.bytes = self.bytes.saturating_sub(now.as_ref().map_or(0, Stream::bytes));
        }
    }

    fn shrink_to(&mut self, bytes: usize) {
        if self.bytes <= bytes {
            return;
        }
        let mut used: Vec<(u64, usize)> = self.streams.values().map(|s| (s.used, s.bytes())).collect();
        used.sort_unstable();
        let mut left = self.bytes;
        let mut oldest_kept = u64::MAX;
        for (used, stream_bytes) in used {
            if left <= bytes {
                oldest_kept = used;
                break;
            }
            left = left.saturating_sub(stream_bytes);
        }
        let count = self.streams.len();
        self.streams.retain(|_, stream| stream.used >= oldest_kept);
        self.streams.shrink_to_fit();
        self.forgotten += (count - self.streams.len()) as u64;
        self.bytes = left;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn add(streams: &mut Streams, name: &[u8], from_s: u64, to_s: u64, value: f64) -> Result<f64, RejectReason> {
        let key = streams.key(name, 7);
        let grown = streams.point(key, (from_s * SECOND, to_s * SECOND), |stream| {
            stream.sum += value;
            Ok(())
        });
        grown.map(|(stream, _)| stream.sum)
    }

    #[test]
    fn points_in_order_add_up() {
        let all = DeltaStreams::default();
        let mut streams = all.lock();
        let s = &mut *streams;
        assert_eq!(add(s, b"a", 10_000, 10_010, 1.0), Ok(1.0));
        assert_eq!(add(s, b"a", 10_010, 10_020, 2.0), Ok(3.0));
        assert_eq!(add(s, b"a", 10_010, 10_020, 2.0), Ok(3.0), "the same again");
        assert_eq!(add(s, b"b", 10_000, 10_010, 5.0), Ok(5.0));
        assert_eq!(add(s, b"a", 10_000, 10_010, 1.0), Err(RejectReason::DeltaLate));
        assert_eq!(add(s, b"a", 10_015, 10_030, 1.0), Err(RejectReason::DeltaOverlap));
        assert_eq!(add(s, b"a", 10_500, 10_510, 1.0), Ok(4.0), "a gap");
        assert_eq!(add(s, b"a", 0, 10_520, 1.0), Ok(5.0), "without a beginning");
        assert_eq!(add(s, b"a", 100, 110, 1.0), Ok(1.0), "the clock was set back");
        assert_ne!(s.key(b"a", 7), s.key(b"a", 9));
    }

    #[test]
    fn a_request_that_fails_leaves_nothing_behind() {
        let all = DeltaStreams::default();
        let mut streams = all.lock();
        let s = &mut *streams;
        add(s, b"a", 0, 1, 1.0).unwrap();
        s.commit();
        let bytes = s.bytes;
        for (to, value) in [(2, 10.0), (3, 10.0)] {
            add(s, b"a", to - 1, to, value).unwrap();
            add(s, b"new", to - 1, to, value).unwrap();
        }
        s.rollback();
        assert_eq!((s.bytes, s.streams.len()), (bytes, 1));
        assert_eq!(add(s, b"a", 1, 2, 1.0), Ok(2.0));
    }

    #[test]
    fn the_streams_not_used_for_longest_are_forgotten() {
        let all = DeltaStreams::new(20_000);
        for i in 0..1000u64 {
            let mut streams = all.lock();
            add(&mut streams, &i.to_le_bytes(), 0, 1, 1.0).unwrap();
            add(&mut streams, b"kept", i, i + 1, 1.0).unwrap();
            streams.commit();
        }
        assert!(all.memory_bytes() <= 20_000 && all.forgotten() > 500, "{all:?}");
        assert_eq!(add(&mut all.lock(), b"kept", 1000, 1001, 1.0), Ok(1001.0));
        let real: usize = all.lock().streams.values().map(Stream::bytes).sum();
        assert_eq!(real, all.memory_bytes());
        all.shrink_to(0);
        assert_eq!((all.count(), all.memory_bytes()), (0, 0));
    }

    #[test]
    fn other_bounds_start_anew() {
        let all = DeltaStreams::default();
        let mut streams = all.lock();
        let mut add = |to: u64, bounds: &[u64], counts: &[u64]| {
            let add = |stream: &mut Stream| {
                stream.add_explicit(bounds, counts, counts.iter().sum(), 1.0);
                Ok(())
            };
            let (stream, _) = streams.point(1, (to - 1, to), add).unwrap();
            let Shape::Explicit(_, counts) = &stream.shape else { panic!("another shape") };
            (counts.to_vec(), stream.count, stream.sum)
        };
        add(1, &[5], &[1, 2]);
        assert_eq!(add(2, &[5], &[1, 2]), (vec![2, 4], 6, 2.0));
        assert_eq!(add(3, &[6], &[1, 2]), (vec![1, 2], 3, 1.0));
    }
}
