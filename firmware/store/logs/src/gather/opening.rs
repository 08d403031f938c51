//! Opening what a gathering has reached, and what comes after it; and the memory that this takes.

use super::{Gather, Open, Source, Stop, Waiting};
use crate::block::Block;
use crate::chunk::Chunk;
use crate::search::ahead::examine;
use crate::search::cursor::Cursor;
use crate::search::examine::Hits;
use crate::search::origin::{Origin, report};
use bramble_disk::DiskError;
use bramble_runtime::OverBudget;
use bramble_storage::{QueryContext, QueryStats};
use std::sync::Arc;

impl Gather<'_> {
    /// Opens the block that comes first, or the chunk that comes first and some that come next.
    pub(super) fn open_some(&mut self) -> Result<(), Stop> {
        self.context.map_or(Ok(()), QueryContext::check)?;
        let (mut batch, mut raw_bytes) = (Vec::new(), 0);
        while self.ahead.takes(batch.len(), raw_bytes) {
            let Some(next) = self.waiting.pop() else { break };
            match &next.source {
                Source::Block(block) => {
                    self.open_block(&block.clone())?;
                    if batch.is_empty() {
                        // What comes first may be another one now.
                        return Ok(());
                    }
                }
                Source::Group(group, origin, _) if origin.rules_out(group) => {
                    let origin = origin.clone();
                    drop(next);
                    self.leave(&origin);
                }
                source => {
                    raw_bytes += source.raw_bytes();
                    batch.push(next);
                }
            }
        }
        let transient = if batch.len() > 1 { raw_bytes } else { 0 };
        if let Some(context) = self.context
            && context.try_reserve(transient).is_err()
        {
            self.waiting.extend(batch.drain(1..));
            return self.open_batch(batch);
        }
        let opened = self.open_batch(batch);
        if let Some(context) = self.context {
            context.release(transient);
        }
        opened
    }

    fn open_batch(&mut self, batch: Vec<Waiting>) -> Result<(), Stop> {
        let found = examine(&batch, &self.selection, self.context, self.metrics);
        let mut hits = 0;
        let entries = batch.iter().map(|waiting| waiting.source.entries()).sum();
        for (waiting, found) in batch.into_iter().zip(found) {
            match found {
                Ok(found) => {
                    hits += found.as_ref().map_or(0, |(_, hits)| hits.len());
                    self.enter(waiting, found)?;
                }
                Err(Stop::Disk(error)) => match waiting.source.block() {
                    Some(block) => self.report(error, block)?,
                    None => return Err(error.into()),
                },
                Err(stop) => return Err(stop),
            }
        }
        self.ahead.learn(hits, entries);
        Ok(())
    }

    /// Enters what was found in a chunk.
    fn enter(&mut self, waiting: Waiting, found: Option<(Chunk, Hits)>) -> Result<(), Stop> {
        let Waiting { mut rank, source } = waiting;
        let (group, visited) = match source {
            Source::Group(group, origin, visited) => (Some((group, origin)), visited),
            _ => (None, 0),
        };
        if let Some((_, origin)) = &group {
            let bytes = origin.to_account();
            self.hold(bytes, Some(origin))?;
        }
        let Some((chunk, hits)) = found else {
            if let Some((_, origin)) = group {
                self.leave(&origin);
            }
            return Ok(());
        };
        let mut cursor = Box::new(Cursor::new(chunk, hits));
        let direction = self.selection.direction;
        let bytes = cursor.accounted_bytes();
        if let Err(error) = self.hold(bytes, group.as_ref().map(|(_, origin)| origin)) {
            return Err(error.into());
        }
        let first = (0..=visited).fold(None, |_, _| cursor.advance(direction));
        match first {
            Some(timestamp_ns) => {
                rank.key = self.key(timestamp_ns);
                self.open.push(Open { rank, cursor, group });
            }
            None => self.close(Open { rank, cursor, group }),
        }
        Ok(())
    }

    fn open_block(&mut self, block: &Arc<Block>) -> Result<(), Stop> {
        let selection = &self.selection;
        let index =
            block.index((selection.start_ns, selection.last_ns), |labels| selection.of_stream(labels).is_some());
        let index = match index {
            Ok(index) => index,
            Err(error) => return self.report(error, block),
        };
        if let Some(context) = self.context {
            QueryStats::add(&context.stats.blocks, 1);
            QueryStats::add(&context.stats.series, index.streams.len() as u64);
        }
        let pages = index.pages;
        for stream in &index.streams {
            self.add_stream(block, &pages, stream);
        }
        Ok(())
    }

    /// Tells a query's asker of a part that is missing; others stop.
    pub(super) fn report(&self, error: DiskError, block: &Block) -> Result<(), Stop> {
        report(error, block, self.context, self.metrics)
    }

    /// Accounts `bytes`. When they do not fit, open groups of others than `opening` are put back, to be decoded
    /// again when their time comes: slow, and better than no answer.
    pub(super) fn hold(&mut self, bytes: usize, opening: Option<&Arc<Origin>>) -> Result<(), OverBudget> {
        if let Some(context) = self.context
            && context.try_reserve(bytes).is_err()
        {
            self.put_back(opening);
            context.reserve(bytes)?;
        }
        self.held_bytes += bytes;
        Ok(())
    }

    fn put_back(&mut self, opening: Option<&Arc<Origin>>) {
        let mut released = 0;
        for open in std::mem::take(&mut self.open).into_vec() {
            let Some((group, origin)) = open.group else {
                self.open.push(open);
                continue;
            };
            released += open.cursor.accounted_bytes();
            if opening.is_none_or(|opening| !Arc::ptr_eq(opening, &origin)) {
                released += origin.forget();
            }
            // The entry it stands at was not given out.
            let source = Source::Group(group, origin, open.cursor.visited().saturating_sub(1));
            self.waiting.push(Waiting { rank: open.rank, source });
        }
        self.ahead.hold_back();
        self.release(released);
    }

    pub(super) fn close(&mut self, open: Open) {
        self.release(open.cursor.accounted_bytes());
        drop(open.cursor);
        if let Some((_, origin)) = open.group {
            self.leave(&origin);
        }
    }

    /// The last group of its stream takes the dictionary along.
    fn leave(&mut self, origin: &Arc<Origin>) {
        if Arc::strong_count(origin) == 1 {
            let bytes = origin.forget();
            self.release(bytes);
        }
    }

    fn release(&mut self, bytes: usize) {
        let bytes = bytes.min(self.held_bytes);
        self.held_bytes -= bytes;
        if let Some(context) = self.context {
            context.release(bytes);
        }
    }
}

impl Drop for Gather<'_> {
    fn drop(&mut self) {
        self.release(self.held_bytes);
    }
}
