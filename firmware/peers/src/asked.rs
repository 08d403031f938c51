//! An answer under way, frame by frame. Whatever goes wrong with it becomes a warning of the query: an answer that is there
//! in part is better than none, as long as it says so.

use crate::frame::{END, End, LIST, Unpacker};
use crate::link::{Arriving, Fault};
use crate::peer::{Peer, State};
use bramble_storage::{QueryContext, QueryStats, ReadError};
use serde::de::DeserializeOwned;
use std::sync::Arc;

/// What a query is told of a hub whose answer is missing or not whole.
pub(crate) fn missing(peer: &str, why: &str) -> String {
    format!("partial: hub {peer} is missing from this answer ({why}); what only it has is not here")
}

/// An answer under way.
pub(crate) struct Asked {
    pub(crate) peer: Arc<Peer>,
    arriving: Option<Arriving>,
    unpacker: Unpacker,
    /// What the query is charged for the frame at hand.
    held: usize,
    /// Whether the list was cut off at its limit; known at the end.
    pub(crate) more: bool,
}

impl Asked {
    pub(crate) fn new(peer: Arc<Peer>, arriving: Arriving) -> Result<Self, String> {
        Ok(Asked { peer, arriving: Some(arriving), unpacker: Unpacker::new()?, held: 0, more: false })
    }

    /// Kind and payload of the next frame; `None` at the end, also when the rest is lost, of which the query is warned.
    ///
    /// # Errors
    /// The query was stopped, or has no memory for the frame.
    pub(crate) fn next(&mut self, context: &QueryContext) -> Result<Option<(u8, Vec<u8>)>, ReadError> {
        context.release(std::mem::take(&mut self.held));
        loop {
            let found = match self.take(context)? {
                Ok(found) => found,
                Err(why) => {
                    self.lose(&why, context);
                    return Ok(None);
                }
            };
            match found {
                Some((END, payload)) => {
                    self.finish(&payload, context);
                    return Ok(None);
                }
                Some(frame) => return Ok(Some(frame)),
                None => {}
            }
            let Some(arriving) = &mut self.arriving else { return Ok(None) };
            match arriving.next(context)? {
                Some(Ok(piece)) => self.unpacker.push(&piece),
                Some(Err(Fault::Refused(why))) => {
                    self.lose(&why, context);
                    return Ok(None);
                }
                Some(Err(Fault::Unreachable(why))) => {
                    self.peer.set_state(State::Down(why.clone()));
                    self.lose(&why, context);
                    return Ok(None);
                }
                None => {
                    self.lose("its answer was cut off", context);
                    return Ok(None);
                }
            }
        }
    }

    /// The next frame, if it has arrived.
    #[expect(clippy::type_complexity, reason = "the query's own errors outside, the other hub's inside")]
    fn take(&mut self, context: &QueryContext) -> Result<Result<Option<(u8, Vec<u8>)>, String>, ReadError> {
        let (kind, length) = match self.unpacker.head() {
            Ok(Some(head)) => head,
            Ok(None) => return Ok(Ok(None)),
            Err(why) => return Ok(Err(why)),
        };
        if self.held == 0 {
            context.reserve(length)?;
            self.held = length;
        }
        Ok(self.unpacker.payload(length).map(|payload| payload.map(|payload| (kind, payload))))
    }

    fn finish(&mut self, payload: &[u8], context: &QueryContext) {
        context.release(std::mem::take(&mut self.held));
        let end: End = match serde_json::from_slice(payload) {
            Ok(end) => end,
            Err(error) => return self.lose(&format!("its answer ends with what cannot be read: {error}"), context),
        };
        for warning in &end.warnings {
            context.warn(format!("hub {}: {warning}", self.peer.name));
        }
        let stats = &context.stats;
        let counters = [&stats.series, &stats.items, &stats.bytes, &stats.pages, &stats.blocks];
        counters.into_iter().zip(end.read).for_each(|(counter, n)| QueryStats::add(counter, n));
        self.more = end.more;
        match &end.error {
            Some(error) => self.lose(error, context),
            None => self.hang_up(),
        }
    }

    /// Gives the rest up, and warns the query.
    pub(crate) fn lose(&mut self, why: &str, context: &QueryContext) {
        context.release(std::mem::take(&mut self.held));
        self.peer.count_error();
        context.warn(missing(&self.peer.name, why));
        self.hang_up();
    }

    fn hang_up(&mut self) {
        if let Some(arriving) = self.arriving.take() {
            self.peer.count_wait(arriving.waited);
        }
    }

    /// The rest as items of a list, for which the query is charged until it ends.
    ///
    /// # Errors
    /// As [`next`](Self::next).
    pub(crate) fn list<T: DeserializeOwned>(&mut self, context: &QueryContext) -> Result<Vec<T>, ReadError> {
        let mut items = Vec::new();
        while let Some((kind, payload)) = self.next(context)? {
            match serde_json::from_slice::<Vec<T>>(&payload) {
                Ok(part) if kind == LIST => {
                    context.reserve(payload.len() + part.len() * size_of::<T>())?;
                    items.extend(part);
                }
                Ok(_) => self.lose("it sent what was not asked for", context),
                Err(error) => self.lose(&format!("it sent a list that cannot be read: {error}"), context),
            }
        }
        Ok(items)
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.hang_up();
    }
}
