//! A stream of a block that is being read: its dictionary is decoded once for all its groups, and asked before them.

use crate::block::Block;
use crate::block::index::{GroupEntry, Place};
use crate::chunk::Chunk;
use crate::deleted::StreamDeletions;
use crate::dictionary::Dictionary;
use crate::group::Group;
use crate::limits::Metrics;
use crate::search::examine::{Asked, Hits};
use crate::search::mentions::{Apart, Sought};
use crate::search::outlook::Outlook;
use bramble_disk::DiskError;
use bramble_disk::segment::PageRef;
use bramble_runtime::OverBudget;
use bramble_storage::{QueryContext, QueryStats, ReadError};
use parking_lot::Mutex;
use std::sync::Arc;

/// Why reading stopped.
pub(crate) enum Stop {
    /// For whoever asked.
    Read(ReadError),
    /// A block's bytes are damaged or cannot be read.
    Disk(DiskError),
}

impl From<ReadError> for Stop {
    fn from(error: ReadError) -> Self {
        Stop::Read(error)
    }
}

impl From<OverBudget> for Stop {
    fn from(error: OverBudget) -> Self {
        Stop::Read(error.into())
    }
}

impl From<DiskError> for Stop {
    fn from(error: DiskError) -> Self {
        Stop::Disk(error)
    }
}

/// A stream of a block.
pub(crate) struct Origin {
    pub(crate) block: Arc<Block>,
    pages: Arc<Vec<PageRef>>,
    dictionary: Place,
    sought: Sought,
    deleted: Option<StreamDeletions>,
    view: Mutex<Option<View>>,
}

/// What is known of a stream of a block.
#[derive(Clone)]
struct View {
    /// `None`: no line passes, so nobody needs it.
    dictionary: Option<Arc<Dictionary>>,
    /// `None`: there are no tests on lines.
    outlook: Option<Arc<Outlook>>,
    /// For groups whose entries may pass by what they have, when one was met.
    apart: Option<Arc<Apart>>,
    accounted_bytes: usize,
}

impl View {
    fn memory_bytes(&self) -> usize {
        let outlook = self.outlook.as_ref().map_or(0, |outlook| outlook.memory_bytes());
        let apart = self.apart.as_ref().map_or(0, |apart| apart.memory_bytes());
        self.dictionary.as_ref().map_or(0, |dictionary| dictionary.memory_bytes()) + outlook + apart
    }

    /// Whether lines in these times may pass, as far as the dictionary was asked.
    fn meets(&self, times: (i64, i64), apart: bool) -> bool {
        let outlook = match apart {
            false => self.outlook.as_deref(),
            true => self.apart.as_ref().and_then(|apart| apart.lines.as_ref()),
        };
        outlook.is_none_or(|outlook| outlook.meets(times))
    }
}

impl Origin {
    /// The stream whose dictionary is at `dictionary`.
    pub(crate) fn new(
        block: Arc<Block>,
        pages: Arc<Vec<PageRef>>,
        dictionary: Place,
        sought: Sought,
        deleted: Option<StreamDeletions>,
    ) -> Origin {
        Origin { block, pages, dictionary, sought, deleted, view: Mutex::new(None) }
    }

    /// Whether it is known that nothing in these times passes.
    pub(crate) fn rules_out(&self, group: &GroupEntry) -> bool {
        let (view, times) = (self.view.lock(), (group.min_time_ns, group.max_time_ns));
        view.as_ref().is_some_and(|view| !view.meets(times, self.sought.is_apart(group.names)))
    }

    /// Reads a group and finds what passes; `None` when nothing does.
    pub(crate) fn open(
        &self,
        group: &GroupEntry,
        asked: &Asked<'_>,
        metrics: &Metrics,
    ) -> Result<Option<(Chunk, Hits)>, Stop> {
        let times = (group.min_time_ns, group.max_time_ns);
        if self.rules_out(group) || self.deleted.as_ref().is_some_and(|deleted| deleted.covers(times)) {
            return Ok(None);
        }
        let mut apart = self.sought.is_apart(group.names);
        if self.sought.asks_filter(group.names) {
            let filter = self.block.read(&self.pages, group.filter)?;
            if !self.sought.needles.iter().all(|needle| needle.may_be_in(filter.bytes())) {
                metrics.filtered_groups.inc();
                return Ok(None);
            }
            apart = self.sought.is_apart_by(group.names, filter.bytes());
        }
        let view = self.view(asked, apart)?;
        let Some(dictionary) = &view.dictionary else { return Ok(None) };
        if !view.meets(times, apart) {
            return Ok(None);
        }
        let columns = self.block.read(&self.pages, group.columns)?;
        if let Some(context) = asked.context {
            QueryStats::add(&context.stats.pages, 1);
            QueryStats::add(&context.stats.bytes, group.raw_bytes);
            QueryStats::add(&context.stats.items, group.entries);
        }
        let read = Group::read(columns, dictionary).ok_or_else(|| self.damaged())?;
        // Blocks of before do not say which names there are.
        apart = apart && !self.sought.is_not_in(&read);
        let chunk = Chunk::Group(Box::new(read));
        let mut hits = match &view.apart {
            Some(of) if apart => asked.of_apart(&chunk, times, of)?,
            _ => asked.of(&chunk, times, view.outlook.as_deref())?,
        };
        if let Some(deleted) = self.deleted.as_ref().filter(|deleted| deleted.meets(times)) {
            hits = deleted.keep(&chunk, hits);
        }
        if chunk.is_damaged() {
            return Err(self.damaged().into());
        }
        Ok((!hits.is_empty()).then_some((chunk, hits)))
    }

    /// The error for a group that does not decode.
    pub(crate) fn damaged(&self) -> DiskError {
        self.block.corrupt("a page group does not decode")
    }

    /// What is known of the stream; with what is needed of it where entries may pass by what they have.
    fn view(&self, asked: &Asked<'_>, apart: bool) -> Result<View, Stop> {
        let mut known = self.view.lock();
        if known.is_none() {
            // Merges read everything once.
            let dictionary = self.block.dictionary(&self.pages, self.dictionary, asked.context.is_some())?;
            let outlook =
                asked.selection.has_tests().then(|| Arc::new(Outlook::new(asked.selection.tests(), &dictionary)));
            let never = outlook.as_ref().is_some_and(|outlook| outlook.is_never());
            let needed = !never || self.sought.is_apart_somewhere();
            let dictionary = needed.then_some(dictionary);
            *known = Some(View { dictionary, outlook, apart: None, accounted_bytes: 0 });
        }
        let Some(view) = &mut *known else { return Err(self.damaged().into()) };
        if let Some(dictionary) = view.dictionary.as_ref().filter(|_| apart && view.apart.is_none()) {
            let mentions = asked.entries.mentions();
            view.apart = Some(Arc::new(Apart::new(asked.selection, mentions, dictionary)));
        }
        Ok(view.clone())
    }

    /// Memory that is held here and that nobody has accounted yet, in bytes; the caller does now.
    pub(crate) fn to_account(&self) -> usize {
        self.view.lock().as_mut().map_or(0, |view| {
            let bytes = view.memory_bytes();
            bytes - std::mem::replace(&mut view.accounted_bytes, bytes).min(bytes)
        })
    }

    /// Drops what was decoded; returns what of it was accounted, in bytes.
    pub(crate) fn forget(&self) -> usize {
        self.view.lock().take().map_or(0, |view| view.accounted_bytes)
    }
}

/// Tells a query's asker of a part that is missing: the rest is worth more than nothing. Others stop.
pub(crate) fn report(
    error: DiskError,
    block: &Block,
    context: Option<&QueryContext>,
    metrics: &Metrics,
) -> Result<(), Stop> {
    match context {
        // Other failures than damage are reported to the asker too.
        Some(context) if !matches!(error, DiskError::PowerLost) => {
            metrics.damaged_pages.inc();
            let id = block.meta.id.0;
            tracing::warn!(block = id, %error, "a page of a log block cannot be read");
            context.warn(format!("log block {id:016x}: a part could not be read and is missing: {error}"));
            Ok(())
        }
        _ => Err(error.into()),
    }
}
