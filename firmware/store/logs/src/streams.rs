//! Which streams there are.

use crate::block::Block;
use crate::head::Generation;
use crate::places::{Held, Place, places};
use crate::search::origin::report;
use crate::search::selection::Selection;
use crate::select::{read_error, time_range};
use crate::store::LogStore;
use bramble_signal::{Labels, LabelsRef, Matcher};
use bramble_storage::{LogSelect, QueryContext, ReadError};
use std::collections::BTreeSet;

/// [`LogSource::streams`](bramble_storage::LogSource::streams). A stream that leaves it to its entries whether they
/// match is listed if those without the label do, or if one is found that does.
pub(crate) fn streams(
    store: &LogStore,
    matchers: &[Matcher],
    (start_ns, end_ns): (i64, i64),
    context: &QueryContext,
) -> Result<Vec<Labels>, ReadError> {
    let select = LogSelect { matchers, start_ns, end_ns, rows_hint: Some(1), ..LogSelect::default() };
    let selection = Selection::new(&select, &store.floating_among(matchers));
    let (mut found, undecided) = decided(store, &selection, context)?;
    if undecided {
        let mut held = Held { context, bytes: 0 };
        for (labels, places) in places(store, &selection, &mut held)? {
            if !found.contains(&labels) && has_entry(store, &select, &labels, places, context)? {
                found.insert(labels);
            }
        }
    }
    Ok(found.into_iter().collect())
}

/// Streams that match whatever their entries say; and whether there are others that may.
fn decided(
    store: &LogStore,
    selection: &Selection,
    context: &QueryContext,
) -> Result<(BTreeSet<Labels>, bool), ReadError> {
    let (mut found, mut undecided) = (BTreeSet::new(), false);
    let meets = |(min, max): (i64, i64)| min <= selection.last_ns && max >= selection.start_ns;
    let mut matches = |labels: LabelsRef<'_>| match selection.of_stream(labels) {
        Some(entries) if entries.accepts_bare() => true,
        rest => {
            undecided |= rest.is_some();
            false
        }
    };
    let mut add = |generation: &Generation| {
        for stream in generation.streams.iter().filter(|s| matches(s.labels.as_ref())) {
            let in_chunk = stream.chunks.iter().any(|c| meets((c.min_time_ns, c.max_time_ns)));
            if in_chunk || time_range(&stream.open).is_some_and(meets) {
                found.insert(stream.labels.clone());
            }
        }
    };
    let state = store.state.read();
    add(&state.active);
    let (frozen, blocks) = (state.frozen.clone(), state.blocks.clone());
    drop(state);
    if let Some(frozen) = frozen {
        add(&frozen);
    }
    let may_have =
        |block: &Block| meets((block.meta.min_time_ns, block.meta.max_time_ns)) && selection.may_be_in(&block.meta);
    for block in blocks.iter().filter(|block| may_have(block)) {
        context.check()?;
        match block.index((selection.start_ns, selection.last_ns), &mut matches) {
            Ok(index) => found.extend(index.streams.into_iter().map(|s| s.labels)),
            Err(error) => report(error, block, Some(context), &store.metrics).map_err(read_error)?,
        }
    }
    Ok((found, undecided))
}

/// Whether any entry in these places is asked for.
fn has_entry(
    store: &LogStore,
    select: &LogSelect<'_>,
    labels: &Labels,
    places: Vec<Place>,
    context: &QueryContext,
) -> Result<bool, ReadError> {
    let mut gather = store.gather(select, context);
    for place in places {
        gather.add(labels, place.times, place.age, place.source);
    }
    gather.advance().map_err(read_error)
}
