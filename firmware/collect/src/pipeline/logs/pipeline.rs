//! A pipeline and its instances.

use super::builder::LogBuilder;
use super::chain::{Chain, Context, Flow, Release};
use super::compile::{Compiled, compile};
use super::config::StageConfig;
use super::counts::{StageCollector, StageCount, Told};
use super::entry::Entry;
use super::error::StageError;
use super::redact::Redactor;
use super::redaction::{Following, Redaction};
use super::trace::{Outcome, Step, Watch};
use super::values::Values;
use bramble_signal::LabelsRef;
use std::sync::Arc;
use std::time::Duration;

/// A line as a source has it.
#[derive(Clone, Copy, Debug)]
pub struct RawLine<'a> {
    /// When the line was read, or what the source knows of its time; nanoseconds since the epoch.
    pub timestamp_ns: i64,
    /// Now; nanoseconds since the epoch.
    pub now_ns: i64,
    /// The line, any bytes, without its line break.
    pub line: &'a [u8],
    /// Labels of its stream.
    pub labels: LabelsRef<'a>,
    /// Structured metadata it has already.
    pub metadata: LabelsRef<'a>,
    /// Where the source found it (the offset of its first byte in a file); comes back from [`LogPipeline::held`].
    pub mark: u64,
}

impl<'a> RawLine<'a> {
    /// A line that was read just now, without metadata and mark.
    pub fn new(timestamp_ns: i64, labels: LabelsRef<'a>, line: &'a [u8]) -> Self {
        RawLine { timestamp_ns, now_ns: timestamp_ns, line, labels, metadata: LabelsRef::EMPTY, mark: 0 }
    }
}

/// Lines between two tellings of counters.
const TOLD_EVERY_LINES: u32 = 512;

/// The stages of one stream of lines, with what they remember of it.
pub struct LogPipeline {
    chain: Chain,
    shared: Arc<Compiled>,
    redactor: Option<Arc<Redactor>>,
    following: Option<Following>,
    entry: Entry,
    labels: Vec<u8>,
    metadata: Vec<u8>,
    redacted: Vec<u8>,
    untold: u32,
}

impl LogPipeline {
    /// Compiles stages. Without any, lines pass as they are.
    ///
    /// # Errors
    /// [`StageError`] names the first stage that cannot be served, and its field.
    pub fn compile(stages: &[StageConfig]) -> Result<Self, StageError> {
        let (chain, shared) = compile(stages)?;
        Ok(Self::of(chain, Arc::new(shared), None))
    }

    fn of(chain: Chain, shared: Arc<Compiled>, redactor: Option<Arc<Redactor>>) -> Self {
        let entry = Entry::of(Values::new(shared.names.clone()));
        let (labels, metadata, redacted) = (Vec::new(), Vec::new(), Vec::new());
        LogPipeline { chain, shared, redactor, following: None, entry, labels, metadata, redacted, untold: 0 }
    }

    /// The same with a last step that redacts lines and metadata, or without it.
    #[must_use]
    pub fn redacting(mut self, redactor: Option<Arc<Redactor>>) -> Self {
        self.redactor = redactor;
        self
    }

    /// The same with a last step that redacts as `redaction` says now and later.
    #[must_use]
    pub fn following(mut self, redaction: &Arc<Redaction>) -> Self {
        let mut following = Following::new(redaction.clone());
        self.redactor = following.ask();
        self.following = Some(following);
        self
    }

    /// Another instance for another stream of lines: what was compiled and the counters are shared, what is remembered of
    /// lines is fresh.
    pub fn fork(&self) -> Self {
        let mut fork = Self::of(self.chain.fork(), self.shared.clone(), self.redactor.clone());
        fork.following.clone_from(&self.following);
        fork
    }

    /// Whether lines pass as they are.
    pub fn is_empty(&self) -> bool {
        self.chain.is_empty() && self.redactor.is_none() && self.following.as_ref().is_none_or(Following::is_current)
    }

    /// Takes a line; what is ready is added to `out`: nothing (dropped, or held back), this line, or one held back before.
    ///
    /// Returns how long the source should wait before its next line, if a stage `limit` with `drop: false` asks for it.
    pub fn push(&mut self, raw: RawLine<'_>, out: &mut LogBuilder) -> Option<Duration> {
        self.push_watched(raw, out, None)
    }

    /// As [`push`](Self::push), and tells of the entry before the first stage and after each.
    pub fn trace(&mut self, raw: RawLine<'_>, out: &mut LogBuilder, mut each: impl FnMut(&Step)) -> Option<Duration> {
        self.push_watched(raw, out, Some(&mut each))
    }

    fn push_watched(
        &mut self,
        raw: RawLine<'_>,
        out: &mut LogBuilder,
        watch: Option<&mut dyn Watch>,
    ) -> Option<Duration> {
        if let Some(following) = self.following.as_mut().filter(|following| !following.is_current()) {
            self.redactor = following.ask();
        }
        if self.chain.is_empty() && self.redactor.is_none() && watch.is_none() {
            out.push(raw.labels, raw.timestamp_ns, raw.line, raw.metadata);
            return None;
        }
        self.entry.start(raw.timestamp_ns, raw.mark, raw.line, raw.labels);
        self.entry.metadata.start(raw.metadata);
        let mut context = Context { watch, ..Context::at(raw.now_ns) };
        if let Some(watch) = &mut context.watch {
            watch.step(&Step::of(&Told::default(), &self.entry, Flow::On, false));
        }
        if self.chain.run(&mut self.entry, &mut context) == Flow::On {
            self.emit(&mut context, out);
        }
        self.untold += 1;
        if self.untold >= TOLD_EVERY_LINES {
            self.publish();
        }
        u64::try_from(context.pause_ns).ok().filter(|ns| *ns > 0).map(Duration::from_nanos)
    }

    /// Gives out what has waited long enough, and tells counters. To be called at least once a second.
    pub fn tick(&mut self, now_ns: i64, out: &mut LogBuilder) {
        self.release(Release::Due(now_ns), now_ns, out, None);
    }

    /// Gives out all that is held back: no line will follow.
    pub fn flush(&mut self, now_ns: i64, out: &mut LogBuilder) {
        self.release(Release::All, now_ns, out, None);
    }

    /// As [`flush`](Self::flush), and tells of the entries as [`trace`](Self::trace) does.
    pub fn trace_flush(&mut self, now_ns: i64, out: &mut LogBuilder, mut each: impl FnMut(&Step)) {
        self.release(Release::All, now_ns, out, Some(&mut each));
    }

    fn release(&mut self, how: Release, now_ns: i64, out: &mut LogBuilder, watch: Option<&mut dyn Watch>) {
        let mut context = Context { watch, ..Context::at(now_ns) };
        while self.chain.release(how, &mut self.entry, &mut context) {
            self.emit(&mut context, out);
        }
        self.publish();
    }

    /// Mark of the oldest line that is held back: a source that begins again there loses none.
    pub fn held(&self) -> Option<u64> {
        self.chain.held()
    }

    /// What each stage has done, all instances together.
    pub fn counts(&self) -> Vec<StageCount> {
        self.shared.told.iter().map(|told| told.count()).collect()
    }

    /// Counters of the stages and the series of `metrics` stages, all instances together, to be registered under the
    /// pipeline's name.
    pub fn collector(&self, name: &str) -> Box<dyn prometheus::core::Collector> {
        Box::new(StageCollector::new(name, self.shared.told.clone(), self.shared.series.clone()))
    }

    fn publish(&mut self) {
        self.untold = 0;
        self.chain.publish();
    }

    /// Redacts the entry and adds it to `out`.
    fn emit(&mut self, context: &mut Context<'_>, out: &mut LogBuilder) {
        let entry = &mut self.entry;
        if let Some(redactor) = &self.redactor {
            let mut hits = 0;
            if let Some(found) = redactor.redact(&entry.line, &mut self.redacted) {
                std::mem::swap(&mut entry.line, &mut self.redacted);
                entry.line_changed();
                hits += found.get();
            }
            hits += redactor.redact_labels(&mut entry.metadata);
            if let Some(watch) = context.watch.take() {
                if hits > 0 {
                    let told = Told::new(String::new(), "redaction", "");
                    watch.step(&Step { outcome: Outcome::Passed, ..Step::of(&told, entry, Flow::On, false) });
                }
                context.watch = Some(watch);
            }
        }
        self.labels.clear();
        entry.labels.encode(&mut self.labels);
        self.metadata.clear();
        entry.metadata.encode(&mut self.metadata);
        let (labels, metadata) = (LabelsRef::from_encoded(&self.labels), LabelsRef::from_encoded(&self.metadata));
        out.push(labels, entry.timestamp_ns, &entry.line, metadata);
    }
}

impl Drop for LogPipeline {
    fn drop(&mut self) {
        self.publish();
    }
}
