//! The log entries that matter most of those that are shown, in bounded memory, whatever the order in which they come.

use crate::item::Level;
use crate::view::entry::{Entry, Named};
use crate::view::event::{Event, EventWhat, Join};
use crate::view::places::Places;
use bramble_storage::{QueryContext, ReadError};
use std::collections::BTreeMap;

/// Failures first, then warnings, then the rest; of one kind the earliest. Equal entries have equal ranks.
type Rank = (u8, i64, u64);

/// At most so many entries; paid for by the query.
pub(crate) struct Kept<'c> {
    events: BTreeMap<Rank, Event>,
    max: usize,
    newest: bool,
    dropped: bool,
    context: &'c QueryContext,
    reserved: usize,
}

impl<'c> Kept<'c> {
    /// Room for `max` entries.
    pub(crate) fn new(max: usize, context: &'c QueryContext) -> Self {
        Kept { events: BTreeMap::new(), max, newest: false, dropped: false, context, reserved: 0 }
    }

    /// Of one kind the newest are kept, instead of the earliest.
    pub(crate) fn newest(mut self) -> Self {
        self.newest = true;
        self
    }

    /// Keeps an entry, if it is among those that matter most; one that is there already once.
    pub(crate) fn offer_log(
        &mut self,
        entry: &Entry<'_>,
        named: &Named,
        join: Join,
        places: &Places,
    ) -> Result<(), ReadError> {
        let class = match entry.level() {
            level if level.is_error() => 0,
            Level::Warn => 1,
            _ => 2,
        };
        let time_ns = entry.entry.timestamp_ns;
        let rank = (class, if self.newest { time_ns.saturating_neg() } else { time_ns }, entry.hash);
        if self.events.len() >= self.max && self.events.last_key_value().is_none_or(|(last, _)| *last < rank) {
            self.dropped = true;
            return Ok(());
        }
        if self.events.contains_key(&rank) {
            return Ok(());
        }
        let event = entry.event(named, join, places);
        let bytes = bytes_of(&event);
        self.context.reserve(bytes)?;
        self.reserved += bytes;
        self.events.insert(rank, event);
        self.shrink(self.max);
        Ok(())
    }

    pub(crate) fn len(&self) -> usize {
        self.events.len()
    }

    /// Keeps at most `max`; whether nothing was ever left out.
    pub(crate) fn shrink(&mut self, max: usize) -> bool {
        while self.events.len() > max
            && let Some((_, event)) = self.events.pop_last()
        {
            let bytes = bytes_of(&event);
            self.context.release(bytes);
            self.reserved = self.reserved.saturating_sub(bytes);
            self.dropped = true;
        }
        !self.dropped
    }

    /// What was kept, with the hash of each entry. It stays on the query's account, which ends with the query.
    pub(crate) fn into_hashed(mut self) -> Vec<(u64, Event)> {
        self.reserved = 0;
        std::mem::take(&mut self.events).into_iter().map(|((_, _, hash), event)| (hash, event)).collect()
    }
}

impl Drop for Kept<'_> {
    fn drop(&mut self) {
        self.context.release(self.reserved);
    }
}

/// Memory of an event.
pub(crate) fn bytes_of(event: &Event) -> usize {
    let texts = match &event.what {
        EventWhat::Span { name, message, .. } => name.len() + message.len(),
        EventWhat::Log { line, labels, .. } => {
            let pair = |(name, value): &(String, String)| name.len() + value.len() + 2 * size_of::<String>();
            line.len() + labels.iter().map(pair).sum::<usize>()
        }
        EventWhat::Exemplar { series, .. } => series.len(),
    };
    size_of::<Event>() + event.service.len() + event.node.len() + texts
}
