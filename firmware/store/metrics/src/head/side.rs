//! What a generation keeps of some series beside their chains: histograms, and when counts began.
//!
//! Both follow the order of arrival, which is the chain's: the n-th marker of the chain stands for the n-th histogram,
//! and a start holds from the n-th sample on. Series without them cost nothing here.

use super::directory::Directory;
use bramble_signal::NativeHistogram;
use bramble_signal::histogram::{decode_histogram, encode_histogram};
use std::collections::HashMap;

type Map<T> = HashMap<u32, T, foldhash::fast::FixedState>;

/// When what a series counts began: nearly all say one time, from their first sample on.
#[derive(Clone, Copy)]
struct Start {
    /// Of all samples, if there is no list.
    start_ms: i64,
    /// Samples of the series so far; 0 when its starts are not followed.
    samples: u32,
    /// Number of its list of changes, or [`NO_LIST`].
    list: u32,
}

const NO_LIST: u32 = u32::MAX;
const STARTS_PER_PAGE: usize = 64;
const NOT_FOLLOWED: Start = Start { start_ms: 0, samples: 0, list: NO_LIST };

/// Histograms of a series as the codec writes them, each relative to the one before.
struct Histograms {
    stream: Vec<u8>,
    last: NativeHistogram,
}

/// Histograms and starts by series.
#[derive(Default)]
pub(crate) struct Side {
    starts: Directory<[Start; STARTS_PER_PAGE]>,
    /// Changes: from which sample on which start.
    lists: Vec<Vec<(u32, i64)>>,
    histograms: Map<Histograms>,
    heap_bytes: usize,
}

impl Side {
    fn start(&self, series: u32) -> Option<&Start> {
        let page = self.starts.get(series as usize / STARTS_PER_PAGE)?;
        page.get(series as usize % STARTS_PER_PAGE).filter(|own| own.samples > 0)
    }

    /// Whether the starts of `series` are followed.
    pub(crate) fn has_starts(&self, series: u32) -> bool {
        self.start(series).is_some()
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
        let page = self.starts.get_or_insert(series as usize / STARTS_PER_PAGE, || [NOT_FOLLOWED; STARTS_PER_PAGE]);
        let own = &mut page[series as usize % STARTS_PER_PAGE];
        if own.samples == 0 {
            if start_ms != 0 {
                let before = before();
                *own = Start { start_ms, samples: before + 1, list: NO_LIST };
                if before > 0 {
                    own.list = add_list(&mut self.lists, vec![(before, start_ms)], &mut self.heap_bytes);
                }
            }
            return;
        }
        let at = own.samples;
        own.samples += 1;
        match self.lists.get_mut(own.list as usize) {
            None if own.start_ms != start_ms => {
                let list = vec![(0, own.start_ms), (at, start_ms)];
                own.list = add_list(&mut self.lists, list, &mut self.heap_bytes);
            }
            Some(list) if list.last().is_some_and(|last| last.1 != start_ms) => {
                let before = list.capacity();
                list.push((at, start_ms));
                self.heap_bytes += (list.capacity() - before) * 16;
            }
            _ => {}
        }
    }

    /// What to read beside the chain of `series`, if there is anything.
    pub(crate) fn reader(&self, series: u32) -> Option<SideReader<'_>> {
        let (start, histograms) = (self.start(series), self.histograms.get(&series));
        if start.is_none() && histograms.is_none() {
            return None;
        }
        let starts = start.map_or(Vec::new(), |own| match self.lists.get(own.list as usize) {
            Some(list) => list.clone(),
            None => vec![(0, own.start_ms)],
        });
        let stream = histograms.map_or(&[][..], |own| &own.stream);
        Some(SideReader { starts, stream, before: None })
    }

    /// Memory in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.starts.bytes()
            + self.lists.capacity() * 24
            + self.histograms.capacity() * (size_of::<(u32, Histograms)>() + 1)
            + self.heap_bytes
    }
}

/// Adds a list of changes; its number.
fn add_list(lists: &mut Vec<Vec<(u32, i64)>>, list: Vec<(u32, i64)>, heap_bytes: &mut usize) -> u32 {
    *heap_bytes += list.capacity() * 16;
    lists.push(list);
    (lists.len() - 1) as u32
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
