//! Where the entries of each stream are: for whoever goes stream by stream.

use crate::block::Block;
use crate::gather::{Age, Source};
use crate::head::Generation;
use crate::limits::Metrics;
use crate::search::origin::{Origin, report};
use crate::search::selection::Selection;
use crate::select::{ACTIVE_AGE, FROZEN_AGE, head_parts, read_error};
use crate::store::LogStore;
use bramble_signal::Labels;
use bramble_storage::{QueryContext, QueryStats, ReadError};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a place costs while it waits.
const PLACE_BYTES: usize = size_of::<Place>() + 16;

/// Some entries of a stream.
pub(crate) struct Place {
    pub(crate) labels: Labels,
    pub(crate) times: (i64, i64),
    pub(crate) age: Age,
    /// What has each entry once: a block, or one chunk of a head.
    pub(crate) owner: Age,
    pub(crate) source: Source,
}

/// Memory that is held for a query until this is dropped.
pub(crate) struct Held<'a> {
    pub(crate) context: &'a QueryContext,
    pub(crate) bytes: usize,
}

impl Held<'_> {
    /// Accounts so many bytes more.
    pub(crate) fn more(&mut self, bytes: usize) -> Result<(), ReadError> {
        self.context.reserve(bytes)?;
        self.bytes += bytes;
        Ok(())
    }

    /// Gives bytes back.
    pub(crate) fn less(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_sub(bytes);
        self.context.release(bytes);
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.context.release(self.bytes);
    }
}

/// Where entries of each stream that a query asks for may be.
pub(crate) fn places(
    store: &LogStore,
    selection: &Selection,
    held: &mut Held<'_>,
) -> Result<BTreeMap<Labels, Vec<Place>>, ReadError> {
    let mut found: BTreeMap<Labels, Vec<Place>> = BTreeMap::new();
    let context = held.context;
    let mut add = |place: Place| {
        if place.times.0 <= selection.last_ns && place.times.1 >= selection.start_ns {
            held.more(PLACE_BYTES)?;
            found.entry(place.labels.clone()).or_default().push(place);
        }
        Ok::<(), ReadError>(())
    };
    let mut add_generation = |generation: &Generation, age: u64| {
        for stream in generation.streams.iter().filter(|s| selection.of_stream(s.labels.as_ref()).is_some()) {
            for (times, age, source) in head_parts(stream, age, selection) {
                add(Place { labels: stream.labels.clone(), times, age, owner: age, source })?;
            }
        }
        Ok::<(), ReadError>(())
    };
    // One read lock: heads and blocks are of one moment.
    let state = store.state.read();
    add_generation(&state.active, ACTIVE_AGE)?;
    let (frozen, blocks) = (state.frozen.clone(), state.blocks.clone());
    drop(state);
    if let Some(frozen) = frozen {
        add_generation(&frozen, FROZEN_AGE)?;
    }
    for block in blocks.iter().filter(|block| selection.may_be_in(&block.meta)) {
        context.check()?;
        add_block(block, selection, context, &store.metrics, &mut add)?;
    }
    Ok(found)
}

fn add_block(
    block: &Arc<Block>,
    selection: &Selection,
    context: &QueryContext,
    metrics: &Metrics,
    add: &mut impl FnMut(Place) -> Result<(), ReadError>,
) -> Result<(), ReadError> {
    if block.meta.min_time_ns > selection.last_ns || block.meta.max_time_ns < selection.start_ns {
        return Ok(());
    }
    let range = (selection.start_ns, selection.last_ns);
    let index = match block.index(range, |labels| selection.of_stream(labels).is_some()) {
        Ok(index) => index,
        Err(error) => return report(error, block, Some(context), metrics).map_err(read_error),
    };
    QueryStats::add(&context.stats.blocks, 1);
    QueryStats::add(&context.stats.series, index.streams.len() as u64);
    let pages = index.pages;
    let (from, id) = block.age();
    for stream in index.streams {
        let sought = selection.sought(stream.labels.as_ref());
        let origin = Arc::new(Origin::new(
            block.clone(),
            pages.clone(),
            stream.dictionary,
            sought,
            block.deletions.of_stream(&stream.labels),
        ));
        for (at, group) in stream.groups.into_iter().enumerate() {
            add(Place {
                labels: stream.labels.clone(),
                times: (group.min_time_ns, group.max_time_ns),
                age: (from, id, at as u64),
                owner: (from, id, u64::MAX),
                source: Source::Group(group, origin.clone(), 0),
            })?;
        }
    }
    Ok(())
}
