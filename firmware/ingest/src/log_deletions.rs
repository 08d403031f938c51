//! Deleting logs: requests kept in `state.db`, hidden at once, removed once they can no longer be taken back.
//!
//! ```text
//! received ──▶ (cancel period) ──▶ processing: one block is rewritten per step ──▶ processed, kept as a note
//!     └─ cancel: seen again          └─ cancel by force: what is still there is seen again
//! ```
//!
//! A request begins as one for metrics does ([`crate::deletions`]): the head is written out, so that what it means is in
//! blocks below a number; it is made durable; then it takes effect. As long as it can be taken back no merge may lose what
//! it hides, so the days it touches are not merged. Later it is like any other deletion: merges leave it out, and a
//! step of its own rewrites the blocks that no merge comes to.

use crate::commit::OpenError;
use crate::maintenance::{Maintenance, Progress};
use bramble_catalog::{CatalogError, State};
use bramble_signal::Signal;
use bramble_storage::{
    BlockId, CancelError, DeletingLogStore, DeletionRequest, DeletionState, EntryQuery, LogAdmin, LogDeletion,
    ReadQuery, StoreError,
};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;

/// Requests in effect at once; each costs every query over what it touches.
const REQUESTS_MAX: usize = 200;
/// Processed requests that are remembered.
const PROCESSED_MAX: usize = 200;
/// Longest query of a request, bytes.
const QUERY_BYTES_MAX: usize = 16 << 10;

/// Pause after a step that failed.
const RETRY_NS: u64 = 600_000_000_000;

const KEY_PREFIX: &str = "logs/deletions/";
const LAYOUT: u8 = 1;

/// A request, and what is needed to carry it out.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Request {
    shown: DeletionRequest,
    through: BlockId,
}

struct Requests {
    /// Oldest first.
    all: Vec<Request>,
    /// Blocks of the request being processed that are still to be rewritten, with their deleted entries.
    left: Option<(String, Vec<(BlockId, u64)>)>,
    /// Requests that are left alone until this monotonic time.
    after_ns: HashMap<String, u64>,
}

/// Deletions of a data directory's logs.
pub struct LogDeletions {
    maintenance: Arc<Maintenance>,
    state: Arc<State>,
    store: Arc<dyn DeletingLogStore>,
    read: ReadQuery,
    cancel_period_ms: i64,
    requests: Mutex<Requests>,
}

fn failed(error: CatalogError) -> StoreError {
    match error {
        CatalogError::Full(what) => StoreError::Full(what),
        other => StoreError::Disk(other.to_string()),
    }
}

fn key_of(id: &str) -> String {
    format!("{KEY_PREFIX}{id}")
}

impl LogDeletions {
    /// Reads what was deleted and puts it into effect. To be called before anything is asked of `store`. `read` reads
    /// queries; `cancel_period_ms` is how long a request can be taken back.
    ///
    /// # Errors
    /// [`OpenError`]: the disk fails.
    pub fn open(
        maintenance: Arc<Maintenance>,
        store: Arc<dyn DeletingLogStore>,
        state: Arc<State>,
        read: ReadQuery,
        cancel_period_ms: i64,
    ) -> Result<LogDeletions, OpenError> {
        let mut all = Vec::new();
        for key in state.keys(KEY_PREFIX)? {
            match state.get(&key)?.and_then(|bytes| decode(&bytes)) {
                Some(request) => all.push(request),
                None => tracing::error!(%key, "a deletion of logs cannot be read; what it deleted may be back"),
            }
        }
        all.sort_by_key(|request| request.through);
        // Should the catalog be lost, numbers below must not be given to blocks with new entries.
        if let Some(last) = all.iter().map(|request| request.through.0).max() {
            maintenance.path.shared.catalog.skip_block_ids(last);
        }
        let requests = Mutex::new(Requests { all, left: None, after_ns: HashMap::new() });
        let deletions = LogDeletions { maintenance, state, store, read, cancel_period_ms, requests };
        deletions.put_into_effect(&deletions.requests.lock());
        Ok(deletions)
    }

    fn query(&self, text: &str) -> Result<EntryQuery, StoreError> {
        (self.read)(text).map_err(|complaint| StoreError::Disk(format!("query of a deletion: {complaint}")))
    }

    /// Whether a request can no longer be taken back: the cancel period is over, by a clock that is trusted.
    fn is_final(&self, request: &Request) -> bool {
        let began = request.shown.state != DeletionState::Received;
        let now_ns = self.maintenance.path.shared.time.decision_ns();
        let over = |now_ns: i64| now_ns / 1_000_000 > request.shown.created_ms.saturating_add(self.cancel_period_ms);
        began || now_ns.is_some_and(over)
    }

    fn deletion(&self, request: &Request) -> Option<LogDeletion> {
        let DeletionRequest { query, start_ns, last_ns, .. } = &request.shown;
        match self.query(query) {
            Ok(query) => Some(LogDeletion {
                query,
                start_ns: *start_ns,
                last_ns: *last_ns,
                through: request.through,
                is_final: self.is_final(request),
            }),
            Err(error) => {
                tracing::error!(%error, "a deletion of logs is not in effect");
                None
            }
        }
    }

    fn put_into_effect(&self, requests: &Requests) {
        let open = requests.all.iter().filter(|request| request.shown.state != DeletionState::Processed);
        self.store.set_deletions(open.filter_map(|request| self.deletion(request)).collect());
    }

    fn keep(&self, request: &Request) -> Result<(), StoreError> {
        self.state.put(&key_of(&request.shown.id), &encode(request)).map_err(failed)
    }

    /// Does the next piece of work, if any: one block rewritten, or one request found to be done. One thread calls it, now
    /// and then.
    pub fn step(&self) -> Progress {
        let now_ns = self.maintenance.path.shared.clock.monotonic_ns();
        let mut requests = self.requests.lock();
        if !self.maintenance.path.is_ready() {
            return Progress::Idle;
        }
        if let Err(error) = self.begin_due(&mut requests) {
            tracing::warn!(%error, "deletions of logs stay as they are");
            return Progress::Idle;
        }
        for at in 0..requests.all.len() {
            let Some(request) = requests.all.get(at).filter(|request| self.is_due(request)) else { continue };
            let id = request.shown.id.clone();
            if requests.after_ns.get(&id).is_some_and(|after_ns| now_ns < *after_ns) {
                continue;
            }
            match self.process(&mut requests, at) {
                Ok(Progress::Worked) => return Progress::Worked,
                Ok(Progress::Idle) => {}
                Err(error) => {
                    tracing::warn!(%id, %error, "a deletion of logs was not carried out; it will be tried again")
                }
            }
            requests.left = None;
            requests.after_ns.insert(id, now_ns.saturating_add(RETRY_NS));
        }
        Progress::Idle
    }

    fn is_due(&self, request: &Request) -> bool {
        request.shown.state != DeletionState::Processed && self.is_final(request)
    }

    /// Notes for all requests that can no longer be taken back that they cannot: then none of them holds blocks.
    fn begin_due(&self, requests: &mut Requests) -> Result<(), StoreError> {
        let mut any = false;
        for at in 0..requests.all.len() {
            let received =
                |request: &&Request| request.shown.state == DeletionState::Received && self.is_final(request);
            let Some(mut request) = requests.all.get(at).filter(received).cloned() else { continue };
            request.shown.state = DeletionState::Processing;
            self.replace(requests, at, &request)?;
            any = true;
        }
        if any {
            self.put_into_effect(requests);
        }
        Ok(())
    }

    /// `Idle`: another request that can be taken back keeps a block as it is.
    fn process(&self, requests: &mut Requests, at: usize) -> Result<Progress, StoreError> {
        let Some(mut request) = requests.all.get(at).cloned() else { return Ok(Progress::Idle) };
        let Some(deletion) = self.deletion(&request) else {
            return Err(StoreError::Disk(format!("request {} has no readable query", request.shown.id)));
        };
        if requests.left.as_ref().is_none_or(|(id, _)| *id != request.shown.id) {
            let found = self.maintenance.at_rest(&[], |_| self.store.blocks_with_deleted(&deletion))?;
            if found.is_empty() {
                return self.finish(requests, at, request).map(|()| Progress::Worked);
            }
            requests.left = Some((request.shown.id.clone(), found));
        }
        let Some((_, left)) = &mut requests.left else { return Ok(Progress::Idle) };
        let Some((block, count)) = left.pop() else {
            // Looked for once more: a block may have been held, or merged meanwhile.
            requests.left = None;
            return Ok(Progress::Worked);
        };
        if self.store.is_held(&[block]) {
            return Ok(Progress::Idle);
        }
        self.maintenance.at_rest(&[], |blocks| {
            let found = blocks.iter().find(|b| b.id == block && b.signal == Signal::Logs);
            found.map_or(Ok(()), |block| self.maintenance.rewrite(block))
        })?;
        request.shown.deleted_lines += count;
        self.replace(requests, at, &request)?;
        Ok(Progress::Worked)
    }

    fn replace(&self, requests: &mut Requests, at: usize, request: &Request) -> Result<(), StoreError> {
        self.keep(request)?;
        if let Some(kept) = requests.all.get_mut(at) {
            *kept = request.clone();
        }
        Ok(())
    }

    fn finish(&self, requests: &mut Requests, at: usize, mut request: Request) -> Result<(), StoreError> {
        request.shown.state = DeletionState::Processed;
        self.replace(requests, at, &request)?;
        requests.left = None;
        requests.after_ns.remove(&request.shown.id);
        self.put_into_effect(requests);
        tracing::info!(id = %request.shown.id, lines = request.shown.deleted_lines, "logs deleted for good");
        let is_processed = |request: &Request| request.shown.state == DeletionState::Processed;
        while requests.all.iter().filter(|request| is_processed(request)).count() > PROCESSED_MAX
            && let Some(oldest) = requests.all.iter().position(is_processed)
        {
            let gone = requests.all.remove(oldest);
            self.state.delete(&key_of(&gone.shown.id)).map_err(failed)?;
        }
        Ok(())
    }
}

impl LogAdmin for LogDeletions {
    fn delete(&self, query: &str, start_ns: i64, last_ns: i64) -> Result<String, StoreError> {
        self.query(query)?;
        let mut requests = self.requests.lock();
        let open = requests.all.iter().filter(|request| request.shown.state != DeletionState::Processed).count();
        if open >= REQUESTS_MAX || query.len() > QUERY_BYTES_MAX {
            let text =
                format!("{open} deletions are kept already, at most {REQUESTS_MAX} are; or the query is too long");
            return Err(StoreError::Full(text));
        }
        self.maintenance.at_rest(&[Signal::Logs], |_| {
            let shared = &self.maintenance.path.shared;
            let (through, created_ms) = (BlockId(shared.catalog.next_block_id()), shared.clock.wall_ms());
            // Eight digits as in Loki; block numbers are not given twice.
            let id = format!("{:08x}", (through.0 as u32).wrapping_mul(0x9e37_79b1));
            let shown = DeletionRequest {
                id: id.clone(),
                query: query.to_owned(),
                start_ns,
                last_ns,
                created_ms,
                state: DeletionState::Received,
                deleted_lines: 0,
            };
            let request = Request { shown, through };
            self.keep(&request)?;
            #[cfg(feature = "sabotage")]
            if crate::sabotage::forgets_deletions() {
                self.state.delete(&key_of(&id)).map_err(failed)?;
            }
            tracing::info!(%id, %query, start_ns, last_ns, through = through.0, "logs deleted; this can be taken back");
            requests.all.push(request);
            self.put_into_effect(&requests);
            Ok(id)
        })
    }

    fn requests(&self) -> Vec<DeletionRequest> {
        self.requests.lock().all.iter().map(|request| request.shown.clone()).collect()
    }

    fn cancel(&self, id: &str, force: bool) -> Result<(), CancelError> {
        let mut requests = self.requests.lock();
        let at = requests.all.iter().position(|request| request.shown.id == id).ok_or(CancelError::Unknown)?;
        let Some(request) = requests.all.get(at) else { return Err(CancelError::Unknown) };
        if request.shown.state == DeletionState::Processed {
            return Err(CancelError::Processed);
        }
        let late = self.maintenance.path.shared.clock.wall_ms()
            > request.shown.created_ms.saturating_add(self.cancel_period_ms);
        if (late || request.shown.state == DeletionState::Processing) && !force {
            return Err(CancelError::TooLate);
        }
        // At rest, so that no merge that leaves it out is under way.
        self.maintenance.at_rest(&[], |_| {
            self.state.delete(&key_of(id)).map_err(failed)?;
            requests.all.remove(at);
            requests.left = None;
            requests.after_ns.remove(id);
            self.put_into_effect(&requests);
            tracing::info!(%id, "a deletion of logs was taken back");
            Ok(())
        })?;
        Ok(())
    }

    fn cancel_period_ms(&self) -> i64 {
        self.cancel_period_ms
    }
}

/// ```text
/// layout, state, through u64, start i64, last i64, created i64, deleted lines u64, length of the name u8, name, query
/// ```
fn encode(request: &Request) -> Vec<u8> {
    let Request { shown, through } = request;
    let mut out = vec![LAYOUT, shown.state as u8];
    out.extend_from_slice(&through.0.to_le_bytes());
    for number in [shown.start_ns, shown.last_ns, shown.created_ms] {
        out.extend_from_slice(&number.to_le_bytes());
    }
    out.extend_from_slice(&shown.deleted_lines.to_le_bytes());
    out.push(shown.id.len() as u8);
    out.extend_from_slice(shown.id.as_bytes());
    out.extend_from_slice(shown.query.as_bytes());
    out
}

fn decode(mut bytes: &[u8]) -> Option<Request> {
    fn take<'a>(bytes: &mut &'a [u8], n: usize) -> Option<&'a [u8]> {
        let (taken, rest) = bytes.split_at_checked(n)?;
        *bytes = rest;
        Some(taken)
    }
    let input = &mut bytes;
    let &[LAYOUT, state] = take(input, 2)? else { return None };
    let state = match state {
        0 => DeletionState::Received,
        1 => DeletionState::Processing,
        2 => DeletionState::Processed,
        _ => return None,
    };
    let mut number = || Some(u64::from_le_bytes(take(input, 8)?.try_into().ok()?));
    let (through, start_ns, last_ns) = (BlockId(number()?), number()? as i64, number()? as i64);
    let (created_ms, deleted_lines) = (number()? as i64, number()?);
    let &[length] = take(input, 1)? else { return None };
    let id = std::str::from_utf8(take(input, usize::from(length))?).ok()?.to_owned();
    let query = std::str::from_utf8(input).ok()?.to_owned();
    let shown = DeletionRequest { id, query, start_ns, last_ns, created_ms, state, deleted_lines };
    Some(Request { shown, through })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_kept_reads_back(
            id in "[0-9a-f]{8}", query in "\\PC{0,40}", numbers: [i64; 3], through: u64, lines: u64, state in 0usize..3,
        ) {
            let [start_ns, last_ns, created_ms] = numbers;
            let state = [DeletionState::Received, DeletionState::Processing, DeletionState::Processed][state];
            let shown = DeletionRequest { id, query, start_ns, last_ns, created_ms, state, deleted_lines: lines };
            let request = Request { shown, through: BlockId(through) };
            prop_assert_eq!(decode(&encode(&request)), Some(request));
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = decode(&bytes);
        }
    }
}
