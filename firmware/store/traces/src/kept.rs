//! What one query keeps of what it decoded: the next thing it asks is likely to be there.

use crate::block::Block;
use crate::group_write::GroupEntry;
use crate::ids::Fronts;
use crate::open_group::{OpenGroup, Stop};
use bramble_storage::{QueryContext, ReadError};
use std::sync::Arc;

/// Most groups kept open.
const GROUPS_MAX: usize = 4;
/// Most filters kept; about 16 kB each.
const FILTERS_MAX: usize = 48;

/// Groups in use by one query, the last used last, and filters.
pub(crate) struct Kept<'c> {
    context: &'c QueryContext,
    groups: Vec<OpenGroup<'c>>,
    filters: Vec<((u64, u64), Arc<Fronts>)>,
    held_bytes: usize,
}

impl<'c> Kept<'c> {
    pub(crate) fn new(context: &'c QueryContext) -> Self {
        Kept { context, groups: Vec::new(), filters: Vec::new(), held_bytes: 0 }
    }

    /// A group, for its user to give back.
    ///
    /// # Errors
    /// [`Stop`].
    pub(crate) fn take(&mut self, block: &Arc<Block>, entry: &GroupEntry) -> Result<OpenGroup<'c>, Stop> {
        let key = (block.meta.id.0, entry.header.offset);
        match self.groups.iter().position(|group| group.key() == key) {
            Some(at) => Ok(self.groups.remove(at)),
            None => OpenGroup::open(block, entry, self.context),
        }
    }

    /// Keeps a group, as far as there is room.
    pub(crate) fn give(&mut self, group: OpenGroup<'c>) {
        self.groups.push(group);
        let held = |groups: &[OpenGroup<'_>]| groups.iter().map(OpenGroup::held_bytes).sum::<usize>();
        while self.groups.len() > GROUPS_MAX
            || (!self.groups.is_empty() && held(&self.groups) > self.context.free_bytes() / 2)
        {
            self.groups.remove(0);
        }
    }

    /// Gives back all groups: memory is short.
    pub(crate) fn free(&mut self) {
        self.groups.clear();
    }

    /// A group's filter.
    ///
    /// # Errors
    /// [`Stop`].
    pub(crate) fn filter(&mut self, block: &Block, entry: &GroupEntry) -> Result<Arc<Fronts>, Stop> {
        let key = (block.meta.id.0, entry.filter.offset);
        if let Some((_, filter)) = self.filters.iter().rev().find(|(k, _)| *k == key) {
            return Ok(filter.clone());
        }
        let filter = Arc::new(block.filter(entry)?);
        if self.filters.len() >= FILTERS_MAX {
            let (_, old) = self.filters.remove(0);
            self.context.release(old.memory_bytes());
            self.held_bytes -= old.memory_bytes();
        }
        self.context.reserve(filter.memory_bytes())?;
        self.held_bytes += filter.memory_bytes();
        self.filters.push((key, filter.clone()));
        Ok(filter)
    }
}

impl Drop for Kept<'_> {
    fn drop(&mut self) {
        self.context.release(self.held_bytes);
    }
}

/// Memory of something that grows, counted against a query until it is dropped.
pub(crate) struct Account<'c> {
    context: &'c QueryContext,
    held_bytes: usize,
}

impl<'c> Account<'c> {
    pub(crate) fn new(context: &'c QueryContext) -> Self {
        Account { context, held_bytes: 0 }
    }

    /// It holds so much now.
    ///
    /// # Errors
    /// [`ReadError::OverBudget`].
    pub(crate) fn set(&mut self, bytes: usize) -> Result<(), ReadError> {
        match bytes.checked_sub(self.held_bytes) {
            Some(more) => self.context.reserve(more)?,
            None => self.context.release(self.held_bytes - bytes),
        }
        self.held_bytes = bytes;
        Ok(())
    }

    /// Leaves it to the query, whose context gives it back in the end.
    pub(crate) fn leave(mut self) {
        self.held_bytes = 0;
    }
}

impl Drop for Account<'_> {
    fn drop(&mut self) {
        self.context.release(self.held_bytes);
    }
}
