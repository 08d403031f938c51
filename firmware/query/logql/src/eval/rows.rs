//! Walking a log cursor row by row.

use super::QueryError;
use super::fields::Base;
use bramble_signal::LogEntry;
use bramble_storage::{LogCursor, LogRows, QueryContext};
use std::ops::ControlFlow;

/// Rows between two looks at the clock.
const CHECK_EVERY: usize = 1024;

/// Calls `each(stream, base, entry)` for every row in answer order until it breaks. `stream` numbers the streams of
/// one batch; `fresh` is called when the numbering starts anew.
pub(crate) fn walk(
    cursor: &mut dyn LogCursor,
    context: &QueryContext,
    mut each: impl FnMut(Option<usize>, usize, &Base, LogEntry<'_>) -> Result<ControlFlow<()>, QueryError>,
) -> Result<(), QueryError> {
    let mut rows = LogRows::default();
    let mut bases: Vec<Base> = Vec::new();
    while cursor.next(&mut rows)? {
        context.check()?;
        bases.clear();
        bases.extend(rows.batch.streams().map(|s| Base::new(s.labels())));
        // Entries of a stream come in its own order, so that one iterator per stream serves them all.
        let mut iterators: Vec<_> = rows.batch.streams().map(|s| (0u32, s.entries())).collect();
        let mut fresh = Some(bases.len());
        for (n, &(stream, index)) in rows.order.iter().enumerate() {
            if n % CHECK_EVERY == CHECK_EVERY - 1 {
                context.check()?;
            }
            let stream = stream as usize;
            let (Some((next, entries)), Some(base)) = (iterators.get_mut(stream), bases.get(stream)) else { continue };
            if index < *next {
                *entries = rows.batch.stream(stream).entries();
                *next = 0;
            }
            let Some(entry) = entries.nth((index - *next) as usize) else { continue };
            *next = index + 1;
            if each(fresh.take(), stream, base, entry)?.is_break() {
                return Ok(());
            }
        }
    }
    Ok(())
}
