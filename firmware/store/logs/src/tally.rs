//! Counting entries without rebuilding lines that need not be looked at.
//!
//! Entries of one stream can be equal only if they are in two places: a block has each once. So a page group whose times
//! meet no other block's and no head's of its stream is counted by itself, as far as its templates allow without looking
//! at lines, and many at once; what overlaps is gathered in order, as for rows.

use crate::chunk::Chunk;
use crate::gather::{Source, Stop};
use crate::limits::Metrics;
use crate::places::{Held, Place, places};
use crate::search::ahead::{examine_one, in_parallel};
use crate::search::examine::Hits;
use crate::search::origin::report;
use crate::search::seen::Seen;
use crate::search::selection::Selection;
use crate::select::read_error;
use crate::store::LogStore;
use bramble_signal::{Labels, LabelsRef};
use bramble_storage::{LogSelect, MetadataWanted, QueryContext, ReadError, TallyRun, TallyVisitor};
use foldhash::fast::FixedState;
use hashbrown::HashMap;

/// Most raw bytes of chunks that are counted in one go.
const BATCH_RAW_BYTES: usize = 16 << 20;
/// And how many: with few bytes each, so that cancelling does not wait.
const BATCH_CHUNKS: usize = 512;
/// What a query wants to hear.
#[derive(Clone, Copy)]
struct Wanted<'q> {
    metadata: MetadataWanted<'q>,
    line_bytes: bool,
}

/// Entries that share metadata.
#[derive(Default)]
struct Run {
    metadata: Vec<u8>,
    timestamps_ns: Vec<i64>,
    line_bytes: Vec<u32>,
}

/// [`LogSource::tally`](bramble_storage::LogSource::tally).
pub(crate) fn tally(
    store: &LogStore,
    select: &LogSelect<'_>,
    metadata: MetadataWanted<'_>,
    line_bytes: bool,
    context: &QueryContext,
    each: &mut TallyVisitor<'_>,
) -> Result<(), ReadError> {
    context.check()?;
    let selection = Selection::new(select, &store.floating_among(select.matchers));
    let (wanted, mut held) = (Wanted { metadata, line_bytes }, Held { context, bytes: 0 });
    let mut alone = Vec::new();
    for (labels, mut places) in places(store, &selection, &mut held)? {
        places.sort_by_key(|place| place.times);
        let shared = overlapping(&places);
        let mut together = Vec::new();
        for (place, shared) in places.into_iter().zip(shared) {
            if shared { together.push(place) } else { alone.push(place) }
        }
        if !together.is_empty() {
            gathered(store, select, &labels, together, wanted, context, each)?;
        }
    }
    let mut rest = alone.as_slice();
    while !rest.is_empty() {
        context.check()?;
        let most_bytes = (context.free_bytes() / 4).min(BATCH_RAW_BYTES);
        let (mut count, mut raw_bytes) = (0, 0);
        for place in rest.iter().take(BATCH_CHUNKS) {
            if count > 0 && raw_bytes + place.source.raw_bytes() > most_bytes {
                break;
            }
            (count, raw_bytes) = (count + 1, raw_bytes + place.source.raw_bytes());
        }
        let (batch, after) = rest.split_at(count);
        rest = after;
        held.more(raw_bytes)?;
        count_batch(batch, raw_bytes, &selection, wanted, (context, &store.metrics), each)?;
        held.less(raw_bytes);
    }
    Ok(())
}

/// For each place, which are sorted by their first time, whether it meets one of another owner.
fn overlapping(places: &[Place]) -> Vec<bool> {
    let mut shared = vec![false; places.len()];
    for (at, place) in places.iter().enumerate() {
        let later = places.iter().enumerate().skip(at + 1).take_while(|(_, other)| other.times.0 <= place.times.1);
        for (other_at, other) in later {
            if other.owner != place.owner {
                (shared[at], shared[other_at]) = (true, true);
            }
        }
    }
    shared
}

/// Counts what overlaps, in order of time.
fn gathered(
    store: &LogStore,
    select: &LogSelect<'_>,
    labels: &Labels,
    places: Vec<Place>,
    wanted: Wanted<'_>,
    context: &QueryContext,
    each: &mut TallyVisitor<'_>,
) -> Result<(), ReadError> {
    let mut gather = store.gather(select, context);
    for place in places {
        gather.add(labels, place.times, place.age, place.source);
    }
    let mut runs = Runs::default();
    while gather.advance().map_err(read_error)? {
        let entry = gather.entry();
        let mut scratch = std::mem::take(&mut runs.scratch);
        let metadata = wanted.metadata.keep(entry.metadata, &mut scratch);
        runs.add(metadata.as_bytes(), entry.timestamp_ns, wanted.line_bytes.then_some(entry.line.len()));
        runs.scratch = scratch;
        if runs.entries >= 4096 {
            hand_over(labels.as_ref(), &std::mem::take(&mut runs).list, each)?;
        }
    }
    hand_over(labels.as_ref(), &runs.list, each)
}

fn hand_over(labels: LabelsRef<'_>, runs: &[Run], each: &mut TallyVisitor<'_>) -> Result<(), ReadError> {
    for run in runs {
        each(&TallyRun {
            labels,
            metadata: LabelsRef::from_encoded(&run.metadata),
            timestamps_ns: &run.timestamps_ns,
            line_bytes: &run.line_bytes,
        })?;
    }
    Ok(())
}

fn count_batch(
    batch: &[Place],
    raw_bytes: usize,
    selection: &Selection,
    wanted: Wanted<'_>,
    (context, metrics): (&QueryContext, &Metrics),
    each: &mut TallyVisitor<'_>,
) -> Result<(), ReadError> {
    let counted = in_parallel(batch.len(), raw_bytes, |at| {
        let Some(place) = batch.get(at) else { return Ok(Vec::new()) };
        let labels = place.labels.as_ref();
        let Some((chunk, hits)) = examine_one(&place.source, labels, selection, Some(context), metrics)? else {
            return Ok(Vec::new());
        };
        let runs = runs_of(&chunk, &hits, wanted);
        match &place.source {
            Source::Group(_, origin, _) if chunk.is_damaged() => Err(Stop::Disk(origin.damaged())),
            _ => Ok(runs),
        }
    });
    for (place, runs) in batch.iter().zip(counted) {
        match (runs, place.source.block()) {
            (Ok(runs), _) => hand_over(place.labels.as_ref(), &runs, each)?,
            (Err(Stop::Disk(error)), Some(block)) => {
                report(error, block, Some(context), metrics).map_err(read_error)?;
            }
            (Err(stop), _) => return Err(read_error(stop)),
        }
    }
    Ok(())
}

/// What was found in a chunk, by metadata.
fn runs_of(chunk: &Chunk, hits: &Hits, wanted: Wanted<'_>) -> Vec<Run> {
    let wants = |name: &str| wanted.metadata.wants(name);
    let bare = match chunk {
        _ if matches!(wanted.metadata, MetadataWanted::None) => true,
        Chunk::Group(group) => !group.has_metadata_of(&wants),
        Chunk::Rows(_) => false,
    };
    let (times, mut runs, mut seen) = (chunk.timestamps_ns(), Runs::default(), Repeats::default());
    let (mut metadata, mut scratch) = (Vec::new(), Vec::new());
    for at in hits.iter() {
        let Some(&timestamp_ns) = times.get(at) else { break };
        if matches!(chunk, Chunk::Rows(_)) && seen.has(chunk, at, timestamp_ns) {
            continue;
        }
        let line_bytes = wanted.line_bytes.then(|| chunk.line_len(at));
        if bare {
            runs.add(&[], timestamp_ns, line_bytes);
            continue;
        }
        metadata.clear();
        match chunk {
            Chunk::Group(group) => {
                group.put_metadata_of(at, &wants, &mut metadata);
                runs.add(&metadata, timestamp_ns, line_bytes);
            }
            Chunk::Rows(rows) => {
                let kept = wanted.metadata.keep(LabelsRef::from_encoded(rows.metadata(at)), &mut scratch);
                runs.add(kept.as_bytes(), timestamp_ns, line_bytes);
            }
        }
    }
    runs.list
}

/// Equal entries of one chunk of a head, which takes what comes.
#[derive(Default)]
struct Repeats {
    seen: Seen,
    /// Position and time of the entry before.
    before: Option<(usize, i64)>,
    line: Vec<u8>,
    metadata: Vec<u8>,
}

impl Repeats {
    fn has(&mut self, chunk: &Chunk, at: usize, timestamp_ns: i64) -> bool {
        let before = self.before.replace((at, timestamp_ns));
        let Some((before, _)) = before.filter(|(_, time_ns)| *time_ns == timestamp_ns) else {
            self.seen.clear();
            return false;
        };
        if self.seen.is_empty() {
            self.add(chunk, before);
        }
        !self.add(chunk, at)
    }

    fn add(&mut self, chunk: &Chunk, at: usize) -> bool {
        self.line.clear();
        self.metadata.clear();
        chunk.put_line(at, &mut self.line);
        chunk.put_metadata(at, &mut self.metadata);
        self.seen.add(&self.line, &self.metadata)
    }
}

/// Whether two texts are equal. Most have nothing, and comparing nothing is slow where the C library does it by masked
/// loads, which take an assist of some hundred cycles when no memory is behind the pointer: this was half of a count.
fn is_same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && (a.is_empty() || a == b)
}

/// Entries sorted into runs by their metadata.
#[derive(Default)]
struct Runs {
    list: Vec<Run>,
    known: HashMap<Vec<u8>, usize, FixedState>,
    last: usize,
    entries: usize,
    scratch: Vec<u8>,
}

impl Runs {
    fn add(&mut self, metadata: &[u8], timestamp_ns: i64, line_bytes: Option<usize>) {
        if self.list.get(self.last).is_none_or(|run| !is_same(&run.metadata, metadata)) {
            self.last = match self.known.get(metadata) {
                Some(&known) => known,
                None => {
                    self.known.insert(metadata.to_vec(), self.list.len());
                    self.list.push(Run { metadata: metadata.to_vec(), ..Run::default() });
                    self.list.len() - 1
                }
            };
        }
        if let Some(run) = self.list.get_mut(self.last) {
            run.timestamps_ns.push(timestamp_ns);
            run.line_bytes.extend(line_bytes.map(|bytes| bytes as u32));
            self.entries += 1;
        }
    }
}
