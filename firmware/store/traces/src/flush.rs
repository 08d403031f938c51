//! From a frozen generation to blocks: one per UTC day and retention class.

use crate::block::{BlockWriter, Origin};
use crate::group_write::ShapeMap;
use crate::head::Generation;
use bramble_disk::Disk;
use bramble_disk::segment::SEGMENT_WRITER_BYTES;
use bramble_runtime::Reservation;
use bramble_signal::TraceId;
use bramble_storage::{BlockId, BlockMeta, RetentionClass, StoreError, day_of_ns};
use std::sync::Arc;

/// The UTC day of a span's start.
fn day_of(start_ns: u64) -> i32 {
    day_of_ns(i64::try_from(start_ns).unwrap_or(i64::MAX))
}

/// Span numbers in the order of blocks: by (day, class, trace id, start, span id).
fn ordered(generation: &Generation) -> Vec<(i32, RetentionClass, u32)> {
    let mut traces: Vec<(TraceId, u32)> = generation.traces.iter().map(|t| t.id).zip(0..).collect();
    traces.sort_unstable();
    let mut order = Vec::with_capacity(generation.spans.len());
    let mut spans: Vec<(u64, [u8; 8], u32)> = Vec::new();
    for (_, number) in traces {
        let class = match generation.traces.get(number as usize) {
            Some(trace) if trace.keep => RetentionClass::Warm,
            _ => RetentionClass::Hot,
        };
        spans.clear();
        for at in generation.chain(number, usize::MAX) {
            spans.extend(generation.spans.get(at as usize).map(|s| (s.start_ns, s.span_id, at)));
        }
        spans.sort_unstable();
        order.extend(spans.iter().map(|&(start_ns, _, at)| (day_of(start_ns), class, at)));
    }
    // Few days and two classes, mostly in long runs: a stable sort has little to do.
    order.sort_by_key(|&(day, class, _)| (day, class));
    order
}

/// Writes a generation as blocks.
///
/// # Errors
/// [`StoreError`]; blocks published before stay on disk and are nobody's.
pub(crate) fn write_generation(
    disk: &Arc<dyn Disk>,
    generation: &Generation,
    space: &mut Reservation,
    next_id: &mut dyn FnMut() -> BlockId,
) -> Result<Vec<BlockMeta>, StoreError> {
    // The order, and the ranks while sorting. A flush must go on under pressure: it is what relieves it.
    let order_bytes = generation.spans.len() * 18 + generation.traces.len() * 20;
    space.force_resize(SEGMENT_WRITER_BYTES + order_bytes);
    let order = ordered(generation);
    let mut written = Vec::new();
    let mut shapes = ShapeMap::default();
    for part in order.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1)) {
        let Some(&(day, class, _)) = part.first() else { continue };
        let origin = Origin {
            class,
            day,
            journal_from: generation.first_sequence,
            journal_to: generation.last_sequence,
            replaces: Vec::new(),
            age: None,
        };
        let mut writer = BlockWriter::create(disk.clone(), next_id(), &origin)?;
        for (count, &(_, _, at)) in part.iter().enumerate() {
            if let Some((row, mut values)) = generation.row(at) {
                writer.push(&row, &mut shapes, || generation.shape(row.shape), &mut values)?;
            }
            if count % 1024 == 0 {
                space.force_resize(SEGMENT_WRITER_BYTES + order_bytes + writer.memory_bytes());
            }
        }
        written.push(writer.finish()?);
    }
    Ok(written)
}
