//! Gathering lines on a thread of its own, for sources whose reading blocks: journald and the kernel's messages.
//!
//! Lines go through a pipeline per stream, so that what a stage remembers (an unfinished stack trace) is never another
//! stream's. A batch is pushed as soon as the feed is idle, and at the latest when it is full: under load batches grow. The
//! position that goes with it is the place behind its last line, or the place of the oldest line that a stage still holds.

use super::feed::{Feed, FeedStopped};
use crate::pipeline::logs::{LogBuilder, LogPipeline, RawLine};
use bramble_signal::LabelsRef;
use std::collections::{HashMap, VecDeque};
use std::time::Duration;
use tokio::runtime::Handle;

/// Streams that have a pipeline of their own at a time; beyond, all held lines are released and the pipelines made anew.
const STREAMS_MAX: usize = 256;
/// A stage may ask for a pause between two lines; no longer than this at once, so that a stop is noticed.
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// Where to read on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Place {
    /// Behind the line of this name.
    After(String),
    /// At it: a stage had not let go of it.
    At(String),
}

pub(crate) struct Gathering {
    feed: Feed,
    runtime: Handle,
    pipeline: LogPipeline,
    streams: HashMap<Box<[u8]>, LogPipeline>,
    out: LogBuilder,
    /// Marks and places of lines that were held back when they were read, ascending.
    held: VecDeque<(u64, String)>,
    marks: u64,
    /// Lines were taken since the last push, whether they are in `out` or not.
    is_dirty: bool,
}

impl Gathering {
    /// To be made in a runtime and used on a thread outside of it.
    pub(crate) fn new(feed: Feed, pipeline: LogPipeline, runtime: Handle) -> Self {
        Gathering {
            feed,
            runtime,
            pipeline,
            streams: HashMap::new(),
            out: LogBuilder::new(),
            held: VecDeque::new(),
            marks: 0,
            is_dirty: false,
        }
    }

    /// Positions that are durable; waits until they are known.
    pub(crate) fn positions(&self) -> std::collections::BTreeMap<String, String> {
        self.runtime.block_on(self.feed.delivered()).positions
    }

    /// Takes a line; `place` names it, and is asked only if it is held back.
    pub(crate) fn take(&mut self, raw: RawLine<'_>, place: impl FnOnce() -> String) {
        self.is_dirty = true;
        if self.pipeline.is_empty() {
            self.out.push(raw.labels, raw.timestamp_ns, raw.line, raw.metadata);
            return;
        }
        self.marks += 1;
        let raw = RawLine { mark: self.marks, ..raw };
        if !self.streams.contains_key(raw.labels.as_bytes()) {
            if self.streams.len() >= STREAMS_MAX {
                self.release(raw.now_ns);
                self.streams.clear();
            }
            self.streams.insert(raw.labels.as_bytes().into(), self.pipeline.fork());
        }
        let Some(pipeline) = self.streams.get_mut(raw.labels.as_bytes()) else { return };
        let pause = pipeline.push(raw, &mut self.out);
        if pipeline.held().is_some() {
            self.held.push_back((self.marks, place()));
        }
        if let Some(pause) = pause {
            std::thread::sleep(pause.min(PAUSE_MAX));
        }
    }

    /// What was read without becoming a line moves the position too.
    pub(crate) fn skipped(&mut self) {
        self.is_dirty = true;
    }

    /// Lets go of lines that were held long enough.
    pub(crate) fn tick(&mut self, now_ns: i64) {
        for pipeline in self.streams.values_mut() {
            pipeline.tick(now_ns, &mut self.out);
        }
    }

    fn release(&mut self, now_ns: i64) {
        for pipeline in self.streams.values_mut() {
            pipeline.flush(now_ns, &mut self.out);
        }
        self.held.clear();
    }

    /// Whether enough is there that reading should wait for the feed.
    pub(crate) fn is_full(&self) -> bool {
        self.out.bytes() >= self.feed.batch_bytes()
    }

    /// Whether lines are there and a push would not wait.
    pub(crate) fn is_due(&self) -> bool {
        !self.out.is_empty() && self.feed.is_idle()
    }

    /// Pushes what is there, with the place as positions; waits for the feed.
    ///
    /// # Errors
    /// [`FeedStopped`].
    pub(crate) fn push(
        &mut self,
        last: &str,
        positions: impl FnOnce(Place) -> Vec<(String, String)>,
    ) -> Result<(), FeedStopped> {
        if !self.is_dirty && self.out.is_empty() {
            return Ok(());
        }
        let oldest = self.streams.values().filter_map(LogPipeline::held).min();
        while self.held.front().is_some_and(|(mark, _)| oldest.is_none_or(|oldest| *mark < oldest)) {
            self.held.pop_front();
        }
        let place = match self.held.front() {
            Some((_, place)) => Place::At(place.clone()),
            None => Place::After(last.to_owned()),
        };
        self.is_dirty = false;
        self.runtime.block_on(self.feed.push(self.out.finish(), positions(place)))
    }

    /// Waits until all that was pushed is durable, for so long.
    pub(crate) fn finish(&self, wait_max: Duration) {
        let _ = self.runtime.block_on(async { tokio::time::timeout(wait_max, self.feed.finish()).await });
    }
}

/// Labels in the store's form, from pairs in any order; `out` is reused. Without repeated names the pairs are kept, else the
/// first of each.
pub(crate) fn encode_labels<'a>(pairs: &mut Vec<(&str, &str)>, out: &'a mut Vec<u8>) -> LabelsRef<'a> {
    out.clear();
    let mut at = 0;
    while let Some((name, _)) = pairs.get(at).copied() {
        let repeated = pairs.iter().take(at).any(|(known, _)| *known == name);
        if repeated || name.is_empty() {
            pairs.remove(at);
        } else {
            at += 1;
        }
    }
    // Names are there once.
    let _ = bramble_signal::labels::encode(pairs, out);
    LabelsRef::from_encoded(out)
}
