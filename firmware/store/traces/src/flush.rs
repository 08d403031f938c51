//! From a frozen generation to blocks: one per UTC day and retention class.

use crate::block::{BlockWriter, Origin};
use crate::group_write::ShapeMap;
use crate::head::Generation;
use bramble_disk::Disk;
use bramble_disk::segment::SEGMENT_WRITER_BYTES;
use bramble_runtime::Reservation;
use bramble_storage::{BlockId, BlockMeta, RetentionClass, StoreError, day_of_ns};
use std::sync::Arc;

/// The UTC day of a span's start.
fn day_of(start_ns: u64) -> i32 {
    day_of_ns(i64::try_from(start_ns).unwrap_or(i64::MAX))
}

/// Span numbers in the order of blocks: by (day, class, trace id, start, span id).
fn ordered(generation: &Generation) -> Vec<(i32, RetentionClass, u32)> {
    let mut by_id: Vec<u32> = (0..generation.traces.len() as u32).collect();
    by_id.sort_unstable_by_key(|&at| generation.traces.get(at as usize).map(|t| t.id));
    // Comparing ranks instead of ids halves the sort.
    let mut rank = vec![0u32; by_id.len()];
    for (position, &at) in by_id.iter().enumerate() {
        if let Some(rank) = rank.get_mut(at as usize) {
            *rank = position as u32;
        }
    }
    let class_of = |trace: u32| match generation.traces.get(trace as usize) {
        Some(trace) if trace.keep => RetentionClass::Warm,
        _ => RetentionClass::Hot,
    };
    let mut order: Vec<(i32, RetentionClass, u32)> =
        generation.spans.iter().zip(0..).map(|(s, at)| (day_of(s.start_ns), class_of(s.trace), at)).collect();
    order.sort_unstable_by_key(|&(day, class, at)| {
        let span = generation.spans.get(at as usize);
        let rank = span.and_then(|s| rank.get(s.trace as usize)).copied();
        (day, class, rank, span.map(|s| (s.start_ns, s.span_id)))
    });
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
    let order_bytes = generation.spans.len() * 12 + generation.traces.len() * 8;
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
