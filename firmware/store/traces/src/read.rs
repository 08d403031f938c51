//! The reading side: snapshots, traces by id, services, operations, and where scans begin.

use crate::block::Block;
use crate::judge::Query;
use crate::kept::Kept;
use crate::open_group::Stop;
use crate::scan::TraceScan;
use crate::span_scan::SpanRun;
use crate::store::{SharedGeneration, TraceStore};
use crate::view::service_of;
use bramble_disk::DiskError;
use bramble_signal::{SpanBatch, SpanKind, TraceId};
use bramble_storage::{
    AttributeScope, FoundValue, QueryContext, QueryStats, ReadError, SpanCursor, SpanFields, SpanScan, TraceSource,
};
use std::collections::BTreeSet;
use std::sync::Arc;

/// What one query sees: generations with the number of their spans, oldest first, and blocks, oldest content first.
pub(crate) struct Snapshot {
    pub(crate) generations: Vec<(SharedGeneration, usize)>,
    pub(crate) blocks: Vec<Arc<Block>>,
}

impl Snapshot {
    /// Numbers of the blocks that may have spans in range; the last is the newest.
    pub(crate) fn blocks_in(&self, start_ns: u64, end_ns: u64) -> Vec<usize> {
        let mut numbers: Vec<usize> =
            self.blocks.iter().enumerate().filter(|(_, b)| overlaps(b, start_ns, end_ns)).map(|(at, _)| at).collect();
        numbers.sort_by_key(|at| self.blocks.get(*at).map(|b| (b.meta.max_time_ns, b.meta.id)));
        numbers
    }
}

impl TraceStore {
    pub(crate) fn snapshot(&self) -> Snapshot {
        let state = self.state.read();
        let generations = state.frozen.iter().chain([&state.active]);
        let generations = generations.map(|g| (g.clone(), g.read().spans.len())).collect();
        Snapshot { generations, blocks: state.blocks.clone() }
    }

    /// Notes that part of a block could not be read; the rest is served.
    ///
    /// # Errors
    /// [`ReadError::Storage`] when not the bytes but the disk as a whole is gone.
    pub(crate) fn leave_out(&self, context: &QueryContext, block: &Block, error: &DiskError) -> Result<(), ReadError> {
        if *error == DiskError::PowerLost {
            return Err(ReadError::Storage(error.to_string()));
        }
        self.metrics.damaged_pages.inc();
        tracing::warn!(block = block.meta.id.0, %error, "part of a trace block cannot be read");
        context
            .warn(format!("part of trace block {:016x} cannot be read, spans are missing: {error}", block.meta.id.0));
        Ok(())
    }

    /// What was read, or `None` after a note when it is damaged.
    ///
    /// # Errors
    /// [`ReadError`] that ends the query.
    pub(crate) fn survive<T>(
        &self,
        context: &QueryContext,
        block: &Block,
        outcome: Result<T, Stop>,
    ) -> Result<Option<T>, ReadError> {
        match outcome {
            Ok(found) => Ok(Some(found)),
            Err(Stop::Query(error)) => Err(error),
            Err(Stop::Damage(error)) => self.leave_out(context, block, &error).map(|()| None),
        }
    }
}

pub(crate) fn overlaps(block: &Block, start_ns: u64, end_ns: u64) -> bool {
    let at = |ns: i64| u64::try_from(ns).unwrap_or(0);
    // A start past i64 was written down as i64::MAX.
    let last = if block.meta.max_time_ns == i64::MAX { u64::MAX } else { at(block.meta.max_time_ns) };
    at(block.meta.min_time_ns) <= end_ns && last >= start_ns
}

impl TraceStore {
    /// Calls `visit` with (service, operation, kind) of everything that may be in range, some repeatedly.
    fn visit_operations(
        &self,
        start_ns: u64,
        end_ns: u64,
        context: &QueryContext,
        visit: &mut dyn FnMut(&str, &str, u8),
    ) -> Result<(), ReadError> {
        let snapshot = self.snapshot();
        for (generation, watermark) in &snapshot.generations {
            let generation = generation.read();
            if *watermark == 0 || generation.min_start_ns > end_ns || generation.max_start_ns < start_ns {
                continue;
            }
            for shape in &generation.shapes.all {
                let name = std::str::from_utf8(generation.strings.get(shape.name)).unwrap_or("");
                visit(service_of(generation.resources.get(shape.resource)), name, shape.kind);
            }
        }
        for block in snapshot.blocks.iter().filter(|b| overlaps(b, start_ns, end_ns)) {
            context.check()?;
            QueryStats::add(&context.stats.blocks, 1);
            if let Err(error) = visit_block(block, (start_ns, end_ns), context, visit)? {
                self.leave_out(context, block, &error)?;
            }
        }
        Ok(())
    }
}

/// As [`fetch_group`]'s, the inner result leaves the rest of the block out.
fn visit_block(
    block: &Block,
    (start_ns, end_ns): (u64, u64),
    context: &QueryContext,
    visit: &mut dyn FnMut(&str, &str, u8),
) -> Result<Result<(), DiskError>, ReadError> {
    let index = match block.index() {
        Ok(index) => index,
        Err(error) => return Ok(Err(error)),
    };
    if let Some(operations) = &index.operations {
        operations.iter().for_each(|(service, name, kind)| visit(service, name, *kind));
        return Ok(Ok(()));
    }
    for entry in index.groups.iter().filter(|g| g.min_start_ns <= end_ns && g.max_start_ns >= start_ns) {
        context.check()?;
        let header = match block.header(entry) {
            Ok(header) => header,
            Err(error) => return Ok(Err(error)),
        };
        for shape in &header.shapes {
            let name = std::str::from_utf8(header.names.get(shape.name)).unwrap_or("");
            visit(service_of(header.resources.get(shape.resource)), name, shape.kind);
        }
    }
    Ok(Ok(()))
}

impl TraceSource for TraceStore {
    fn trace(&self, id: TraceId, context: &QueryContext) -> Result<SpanBatch, ReadError> {
        context.check()?;
        let snapshot = self.snapshot();
        let mut kept = Kept::new(context);
        let (collector, account) = self.fetch(&snapshot, &[id], &SpanFields::ALL, &mut kept, context)?;
        account.leave();
        let mut batch = collector.finish();
        batch.spans.sort_by_key(|s| s.start_ns);
        Ok(batch)
    }

    fn scan<'a>(
        &'a self,
        scan: &SpanScan<'_>,
        context: &'a QueryContext,
    ) -> Result<Box<dyn SpanCursor + 'a>, ReadError> {
        context.check()?;
        let (query, fields, snapshot) = (Query::new(scan), scan.fields.clone(), self.snapshot());
        Ok(match scan.whole_traces {
            true => Box::new(TraceScan::new(self, context, query, fields, snapshot)),
            false => Box::new(SpanRun::new(self, context, query, fields, snapshot)),
        })
    }

    fn services(&self, start_ns: u64, end_ns: u64, context: &QueryContext) -> Result<Vec<String>, ReadError> {
        let mut found: BTreeSet<String> = BTreeSet::new();
        self.visit_operations(start_ns, end_ns, context, &mut |service, _, _| {
            if !found.contains(service) {
                found.insert(service.to_owned());
            }
        })?;
        context.reserve(found.iter().map(|s| s.len() + 48).sum())?;
        Ok(found.into_iter().collect())
    }

    fn operations(
        &self,
        service: &str,
        start_ns: u64,
        end_ns: u64,
        context: &QueryContext,
    ) -> Result<Vec<(String, SpanKind)>, ReadError> {
        let mut found: BTreeSet<(String, u8)> = BTreeSet::new();
        self.visit_operations(start_ns, end_ns, context, &mut |of, name, kind| {
            if of == service {
                found.insert((name.to_owned(), kind));
            }
        })?;
        context.reserve(found.iter().map(|(s, _)| s.len() + 56).sum())?;
        Ok(found.into_iter().map(|(name, kind)| (name, SpanKind::from_code(u64::from(kind)))).collect())
    }

    fn attribute_names(
        &self,
        scope: AttributeScope,
        range_ns: (u64, u64),
        limit: usize,
        context: &QueryContext,
    ) -> Result<(Vec<(AttributeScope, String)>, bool), ReadError> {
        self.names_of(scope, range_ns, limit, context)
    }

    fn attribute_values(
        &self,
        scope: AttributeScope,
        key: &str,
        range_ns: (u64, u64),
        limit: usize,
        context: &QueryContext,
    ) -> Result<(Vec<FoundValue>, bool), ReadError> {
        self.values_of((scope, key), range_ns, limit, context)
    }
}
