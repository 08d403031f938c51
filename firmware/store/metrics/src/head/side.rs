//! What a generation keeps of some series beside their chains: histograms, and when counts began.
//!
//! Both follow the order of arrival, which is the chain's: the n-th marker of the chain stands for the n-th histogram,
//! and a start holds from the n-th sample on. Series without them cost nothing here.

use bramble_signal::NativeHistogram;
use bramble_signal::histogram::{decode_histogram, encode_histogram};
use std::collections::HashMap;

type Map<T> = HashMap<u32, T, foldhash::fast::FixedState>;

/// A list of changes; nearly all have one.
struct Starts {
    /// Samples of the series so far.
    samples: u32,
    first: (u32, i64),
    #[expect(clippy::box_collection, reason = "one word for the many that have no more")]
    more: Option<Box<Vec<(u32, i64)>>>,
}

/// Histograms of a series as the codec writes them, each relative to the one before.
struct Histograms {
    stream: Vec<u8>,
    last: NativeHistogram,
}

/// Histograms and starts by series.
#[derive(Default)]
pub(crate) struct Side {
    starts: Map<Starts>,
    histograms: Map<Histograms>,
    heap_bytes: usize,
}

impl Side {
    /// Whether the starts of `series` are followed.
    pub(crate) fn has_starts(&self, series: u32) -> bool {
        !self.starts.is_empty() && self.starts.contains_key(&series)
    }

    /// Whether the last histogram of `series` is this one.
    pub(crate) fn ends_with(&self, series: u32, histogram: &NativeHistogram) -> bool {
        self.histograms.get(&series).is_some_and(|own| own.last == *histogram)
    }

    /// Adds a histogram behind the others of `series`.
    pub(crate) fn push_histogram(&mut self, series: u32, histogram: &NativeHistogram) {
        match self.histograms.get_mut(&series) {
            Some(own) => {
                self.heap_bytes -= own.heap_bytes();
                grow_slowly(&mut own.stream);
                encode_histogram(histogram, Some(&own.last), &mut own.stream);
                own.last.clone_from(histogram);
                self.heap_bytes += own.heap_bytes();
            }
            None => {
                let mut own = Histograms { stream: Vec::new(), last: histogram.clone() };
                encode_histogram(histogram, None, &mut own.stream);
                own.stream.shrink_to_fit();
                self.heap_bytes += own.heap_bytes();
                self.histograms.insert(series, own);
            }
        }
    }

    /// Notes the start of a sample that was added to `series`. `before` counts its samples before this one: asked when
    /// the series had no start so far.
    pub(crate) fn push_start(&mut self, series: u32, start_ms: i64, before: impl FnOnce() -> u32) {
        let Some(own) = self.starts.get_mut(&series) else {
            if start_ms != 0 {
                let before = before();
                self.starts.insert(series, Starts { samples: before + 1, first: (before, start_ms), more: None });
            }
            return;
        };
        let at = own.samples;
        own.samples += 1;
        let last = own.more.as_ref().and_then(|more| more.last()).unwrap_or(&own.first);
        if last.1 != start_ms {
            let more = own.more.get_or_insert_default();
            let capacity = more.capacity();
            more.push((at, start_ms));
            self.heap_bytes += (more.capacity() - capacity) * 16 + if capacity == 0 { 24 } else { 0 };
        }
    }

    /// What to read beside the chain of `series`, if there is anything.
    pub(crate) fn reader(&self, series: u32) -> Option<SideReader<'_>> {
        let (starts, histograms) = (self.starts.get(&series), self.histograms.get(&series));
        if starts.is_none() && histograms.is_none() {
            return None;
        }
        let starts = starts
            .into_iter()
            .flat_map(|own| std::iter::once(own.first).chain(own.more.iter().flat_map(|more| more.iter().copied())));
        let stream = histograms.map_or(&[][..], |own| &own.stream);
        Some(SideReader { starts: starts.collect(), stream, before: None })
    }

    /// Memory in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.starts.capacity() * (size_of::<(u32, Starts)>() + 1)
            + self.histograms.capacity() * (size_of::<(u32, Histograms)>() + 1)
            + self.heap_bytes
    }
}

impl Histograms {
    fn heap_bytes(&self) -> usize {
        self.stream.capacity() + self.last.memory_bytes() - size_of::<NativeHistogram>()
    }
}

/// Makes room by a quarter, where a vector would double itself.
fn grow_slowly(stream: &mut Vec<u8>) {
    const ROOM: usize = 64;
    if stream.capacity() - stream.len() < ROOM {
        stream.reserve_exact((stream.len() / 4).max(2 * ROOM));
    }
}

/// Reads a series' side in the order of its chain.
pub(crate) struct SideReader<'a> {
    /// From which sample on the series' start is which.
    pub(crate) starts: Vec<(u32, i64)>,
    stream: &'a [u8],
    before: Option<NativeHistogram>,
}

impl SideReader<'_> {
    /// The histogram of the next marker; `None` only if there are more markers than histograms.
    pub(crate) fn next_histogram(&mut self) -> Option<&NativeHistogram> {
        let read = decode_histogram(&mut self.stream, self.before.as_ref()).ok()?;
        Some(self.before.insert(read))
    }
}
