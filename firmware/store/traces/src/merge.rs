//! Many blocks of one (day, class) into fewer: a merge of sorted streams, one group of each input in memory.

use crate::block::{Block, BlockWalk, BlockWriter, Origin, store_error};
use bramble_disk::Disk;
use bramble_disk::segment::SEGMENT_WRITER_BYTES;
use bramble_runtime::Reservation;
use bramble_signal::{SpanId, TraceId};
use bramble_storage::{BlockId, BlockMeta, StoreError};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashSet};
use std::sync::Arc;

use crate::columns::Encoded;
use crate::group_write::{Row, ShapeMap, SourceShape};
use crate::shape::Shape;
use crate::view::{Collector, put_resource, put_scope, template_of};

/// What a merge holds beside its inputs, when the largest input group takes `group_bytes`: the writer, a group being
/// built, and the pages of one group on their way.
fn output_bytes(group_bytes: usize) -> usize {
    SEGMENT_WRITER_BYTES + group_bytes * 2
}

/// How many blocks can be merged at once within `budget_bytes`; at least two, or nothing would ever be merged.
pub(crate) fn fan_in(budget_bytes: usize, group_bytes: usize) -> usize {
    (budget_bytes.saturating_sub(output_bytes(group_bytes)) / group_bytes.max(1)).max(2)
}

/// Spans of one trace that several inputs have are collected before they are written, up to this many bytes;
/// beyond, a trace is written in pieces that are each sorted by start.
const TRACE_BYTES_MAX: usize = 2 << 20;

/// Output side of a merge.
pub(crate) struct Output<'a> {
    pub(crate) disk: &'a Arc<dyn Disk>,
    pub(crate) target_bytes: u64,
    pub(crate) next_id: &'a mut dyn FnMut() -> BlockId,
    pub(crate) keep_going: &'a dyn Fn() -> bool,
    pub(crate) space: &'a mut Reservation,
    /// The most that a group of any input takes when decoded.
    pub(crate) group_bytes: usize,
}

struct Merge<'a, 'o> {
    output: &'o mut Output<'a>,
    origin: Origin,
    writer: Option<BlockWriter>,
    written: Vec<BlockMeta>,
}

impl Merge<'_, '_> {
    /// Writes spans of one trace, sorted by (start, span id), each (span id, kind) once.
    fn write(&mut self, collector: Collector) -> Result<(), StoreError> {
        let batch = collector.finish();
        let mut order: Vec<usize> = (0..batch.spans.len()).collect();
        order.sort_by_key(|&at| batch.spans.get(at).map(|s| (s.start_ns, s.span_id)));
        let (mut resource, mut scope, mut template) = (Vec::new(), Vec::new(), Vec::new());
        let mut shapes = ShapeMap::default();
        for at in order {
            let Some(span) = batch.spans.get(at) else { continue };
            let (Some(of), Some(through)) =
                (batch.resources.get(span.resource as usize), batch.scopes.get(span.scope as usize))
            else {
                continue;
            };
            resource.clear();
            scope.clear();
            put_resource(&mut resource, &batch, of);
            put_scope(&mut scope, &batch, through);
            template_of(batch.attributes(span.attributes), &mut template);
            let row = Row {
                trace_id: span.trace_id,
                span_id: span.span_id.0,
                parent_span_id: span.parent_span_id.0,
                start_ns: span.start_ns,
                end_ns: span.end_ns,
                shape: 0,
                trace_state: batch.bytes(span.trace_state),
                events: batch.bytes(span.events),
                links: batch.bytes(span.links),
            };
            let shape = || SourceShape {
                shape: Shape::of(span),
                resource: &resource,
                scope: &scope,
                name: batch.bytes(span.name),
                message: batch.bytes(span.status_message),
                template: &template,
            };
            // Each span has a shape of its own here: what is known of the one before says nothing.
            shapes.forget();
            self.writer()?.push(&row, &mut shapes, shape, &mut Encoded::new(batch.attributes(span.attributes)))?;
        }
        Ok(())
    }

    fn writer(&mut self) -> Result<&mut BlockWriter, StoreError> {
        let writer = match self.writer.take() {
            Some(writer) => writer,
            None => BlockWriter::create(self.output.disk.clone(), (self.output.next_id)(), &self.origin)?,
        };
        Ok(self.writer.insert(writer))
    }

    /// Between traces: begins a new block when the open one is large enough.
    fn pause(&mut self) -> Result<(), StoreError> {
        match self.writer.take() {
            Some(writer) if writer.written_bytes() >= self.output.target_bytes => self.written.push(writer.finish()?),
            writer => self.writer = writer,
        }
        Ok(())
    }
}

/// Merges blocks of one (day, class). Inputs come oldest first: of equal spans the oldest block's is kept.
///
/// # Errors
/// [`StoreError::Stopped`] when told to stop; [`StoreError::Damaged`] naming the input that cannot be read.
pub(crate) fn merge_blocks(inputs: &[Arc<Block>], output: &mut Output<'_>) -> Result<Vec<BlockMeta>, StoreError> {
    let Some(first) = inputs.first() else { return Ok(Vec::new()) };
    let origin = Origin {
        class: first.meta.class,
        day: first.meta.day,
        journal_from: 0,
        journal_to: 0,
        replaces: inputs.iter().map(|b| b.meta.id).collect(),
        age: inputs.iter().map(|b| b.age).min(),
    };
    output.space.force_resize(output_bytes(output.group_bytes) + inputs.len() * output.group_bytes);
    let mut walks = Vec::new();
    let mut heap: BinaryHeap<Reverse<(TraceId, usize)>> = BinaryHeap::new();
    for (number, block) in inputs.iter().enumerate() {
        let fail = |e| store_error(block.meta.id, &e);
        let mut walk = BlockWalk::new(block.clone()).map_err(fail)?;
        if let Some(id) = walk.next_trace().map_err(fail)? {
            heap.push(Reverse((id, number)));
        }
        walks.push(walk);
    }
    let mut merge = Merge { output, origin, writer: None, written: Vec::new() };
    let mut scratch = Vec::new();
    let mut seen: HashSet<(SpanId, u8)> = HashSet::new();
    let mut spans = 0u64;
    while let Some(&Reverse((id, _))) = heap.peek() {
        let mut sources = Vec::new();
        while let Some(&Reverse((next, number))) = heap.peek() {
            if next != id {
                break;
            }
            heap.pop();
            sources.push(number);
        }
        let alone = sources.len() == 1;
        let mut collector = Collector::default();
        seen.clear();
        for number in sources {
            let Some(walk) = walks.get_mut(number) else { continue };
            let block = walk.block.meta.id;
            let fail = |e| store_error(block, &e);
            loop {
                let next = walk.next_trace().map_err(fail)?;
                if next != Some(id) {
                    if let Some(next) = next {
                        heap.push(Reverse((next, number)));
                    }
                    break;
                }
                spans += 1;
                if alone {
                    walk.write_next(merge.writer()?)?;
                } else {
                    let view = walk.next(&mut scratch).map_err(fail)?;
                    if seen.insert((view.span_id, view.kind as u8)) {
                        collector.push(&view);
                    }
                    if collector.memory_bytes() > TRACE_BYTES_MAX {
                        merge.write(std::mem::take(&mut collector))?;
                    }
                }
                if spans.is_multiple_of(4096) && !(merge.output.keep_going)() {
                    return Err(StoreError::Stopped);
                }
            }
        }
        merge.write(collector)?;
        merge.pause()?;
    }
    if let Some(writer) = merge.writer.take() {
        merge.written.push(writer.finish()?);
    }
    Ok(merge.written)
}
