//! Deleting metrics: what is deleted, kept in `state.db`, and how it leaves the blocks for good.
//!
//! A deletion first writes the head out, so that whatever was stored before is in blocks below a number that is taken
//! then; next it is made durable; only then it takes effect, for blocks up to that number. Later samples are in later
//! blocks. A merge reads its inputs without what was deleted, and its outputs have later numbers, so that a deletion is
//! over as soon as no block up to its number has anything of it left.

use crate::commit::OpenError;
use crate::log_deletions::LogDeletions;
use crate::maintenance::Maintenance;
use bramble_catalog::{CatalogError, OpenReport, Place, State};
use bramble_signal::{MatchOp, Matcher, Signal};
use bramble_storage::{
    BlockId, DeletingLogStore, DeletingStore, Deletion, MetricAdmin, ReadQuery, RetentionClass, StoreError,
};
use parking_lot::Mutex;
use std::sync::Arc;

/// Deletions that are kept at once; each costs every query a little until blocks are cleaned.
const DELETIONS_MAX: usize = 1000;

const KEY_PREFIX: &str = "metrics/deletions/";
const LAYOUT: u8 = 1;

/// The administrator's side of a data directory.
pub struct Admin {
    pub(crate) maintenance: Arc<Maintenance>,
    pub(crate) place: Place,
    pub(crate) state: Arc<State>,
    store: Arc<dyn DeletingStore>,
    deletions: Mutex<Vec<Deletion>>,
}

fn failed(error: CatalogError) -> StoreError {
    match error {
        CatalogError::Full(what) => StoreError::Full(what),
        other => StoreError::Disk(other.to_string()),
    }
}

fn key_of(through: BlockId) -> String {
    format!("{KEY_PREFIX}{:016x}", through.0)
}

impl Admin {
    /// Whether the data directory has anything that [`open`](Self::open) must put into effect, also where nobody may
    /// delete.
    pub fn is_needed(place: &Place) -> bool {
        match place {
            Place::Directory(path) => path.join("state.db").exists() || path.join("state.db.bak").exists(),
            Place::Files(_) => true,
        }
    }

    /// Reads what was deleted and puts it into effect. To be called before anything is asked of `store`.
    ///
    /// # Errors
    /// [`OpenError`]: `state.db` is from a newer version, or the disk fails.
    pub fn open(
        maintenance: Arc<Maintenance>,
        store: Arc<dyn DeletingStore>,
        place: Place,
    ) -> Result<Admin, OpenError> {
        let (state, report) = State::open(&place)?;
        if let OpenReport::Damaged { what, set_aside } = &report {
            tracing::error!(%what, %set_aside, "state.db and its copy were damaged; what had been deleted may be back");
        }
        let mut deletions = Vec::new();
        for key in state.keys(KEY_PREFIX)? {
            match state.get(&key)?.and_then(|bytes| decode(&bytes)) {
                Some(deletion) => deletions.push(deletion),
                None => tracing::error!(%key, "a deletion cannot be read; what it deleted may be back"),
            }
        }
        // Should the catalog be lost, numbers below must not be given to blocks with new samples.
        if let Some(last) = deletions.iter().map(|d| d.through.0).max() {
            maintenance.path.shared.catalog.skip_block_ids(last);
        }
        store.set_deletions(deletions.clone());
        Ok(Admin { maintenance, place, state: Arc::new(state), store, deletions: Mutex::new(deletions) })
    }

    /// The file itself, for what others keep in it under keys of their own.
    pub fn state(&self) -> Arc<State> {
        self.state.clone()
    }

    /// Deletions of logs, which are kept in the same file. To be called before anything is asked of `store`. `read` reads
    /// queries; `cancel_period_ms` is how long a request can be taken back.
    ///
    /// # Errors
    /// [`OpenError`]: the disk fails.
    pub fn log_deletions(
        &self,
        store: Arc<dyn DeletingLogStore>,
        read: ReadQuery,
        cancel_period_ms: i64,
    ) -> Result<LogDeletions, OpenError> {
        LogDeletions::open(self.maintenance.clone(), store, self.state.clone(), read, cancel_period_ms)
    }

    /// Drops deletions of which no block has anything left. The caller keeps blocks at rest.
    fn drop_finished(&self, deletions: &mut Vec<Deletion>) -> Result<(), StoreError> {
        let mut at = 0;
        while let Some(deletion) = deletions.get(at) {
            if self.store.blocks_with_deleted(std::slice::from_ref(deletion))?.is_empty() {
                self.state.delete(&key_of(deletion.through)).map_err(failed)?;
                deletions.remove(at);
            } else {
                at += 1;
            }
        }
        self.store.set_deletions(deletions.clone());
        Ok(())
    }
}

impl MetricAdmin for Admin {
    fn delete_series(&self, selectors: &[Vec<Matcher>], start_ms: i64, end_ms: i64) -> Result<(), StoreError> {
        if start_ms > end_ms || selectors.is_empty() {
            return Ok(());
        }
        let mut deletions = self.deletions.lock();
        if deletions.len() >= DELETIONS_MAX {
            let hint = "clean_tombstones makes room for more";
            return Err(StoreError::Full(format!("{DELETIONS_MAX} deletions are kept already; {hint}")));
        }
        self.maintenance.at_rest(&[Signal::Metrics], |_| {
            let through = BlockId(self.maintenance.path.shared.catalog.next_block_id());
            let deletion = Deletion { selectors: selectors.to_vec(), start_ms, end_ms, through };
            self.state.put(&key_of(through), &encode(&deletion)).map_err(failed)?;
            #[cfg(feature = "sabotage")]
            if crate::sabotage::forgets_deletions() {
                self.state.delete(&key_of(through)).map_err(failed)?;
            }
            tracing::info!(selectors = selectors.len(), start_ms, end_ms, through = through.0, "series deleted");
            deletions.push(deletion);
            self.store.set_deletions(deletions.clone());
            Ok(())
        })
    }

    fn clean_tombstones(&self) -> Result<(), StoreError> {
        let mut deletions = self.deletions.lock();
        if deletions.is_empty() {
            return Ok(());
        }
        self.maintenance.at_rest(&[], |blocks| {
            let touched = self.store.blocks_with_deleted(&deletions)?;
            let of_touched = || blocks.iter().filter(|b| touched.contains(&b.id));
            for block in of_touched().filter(|b| b.class != RetentionClass::Cold) {
                self.maintenance.rewrite(block)?;
            }
            let mut days: Vec<i32> = of_touched().filter(|b| b.class == RetentionClass::Cold).map(|b| b.day).collect();
            days.dedup();
            for day in days {
                self.maintenance.rewrite_rollups(day)?;
            }
            self.drop_finished(&mut deletions)
        })
    }

    fn snapshot(&self, skip_head: bool) -> Result<String, StoreError> {
        self.copy(skip_head)
    }
}

fn encode(deletion: &Deletion) -> Vec<u8> {
    let mut out = vec![LAYOUT];
    out.extend_from_slice(&deletion.through.0.to_le_bytes());
    out.extend_from_slice(&deletion.start_ms.to_le_bytes());
    out.extend_from_slice(&deletion.end_ms.to_le_bytes());
    put_count(&mut out, deletion.selectors.len());
    for selector in &deletion.selectors {
        put_count(&mut out, selector.len());
        for matcher in selector {
            out.push(matcher.op as u8);
            for text in [&matcher.name, &matcher.value] {
                put_count(&mut out, text.len());
                out.extend_from_slice(text.as_bytes());
            }
        }
    }
    out
}

fn put_count(out: &mut Vec<u8>, n: usize) {
    out.extend_from_slice(&(n as u32).to_le_bytes());
}

/// What is left to read.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(taken)
    }

    fn number<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    /// A count of things that take at least `least_bytes` each.
    fn count(&mut self, least_bytes: usize) -> Option<usize> {
        let n = u32::from_le_bytes(self.number()?) as usize;
        (n <= self.0.len() / least_bytes).then_some(n)
    }

    fn text(&mut self) -> Option<&'a str> {
        let n = self.count(1)?;
        std::str::from_utf8(self.take(n)?).ok()
    }
}

fn decode(bytes: &[u8]) -> Option<Deletion> {
    let mut bytes = Bytes(bytes);
    if bytes.number() != Some([LAYOUT]) {
        return None;
    }
    let through = BlockId(u64::from_le_bytes(bytes.number()?));
    let start_ms = i64::from_le_bytes(bytes.number()?);
    let end_ms = i64::from_le_bytes(bytes.number()?);
    let mut selectors = Vec::new();
    for _ in 0..bytes.count(4)? {
        let mut selector = Vec::new();
        for _ in 0..bytes.count(9)? {
            let op = match bytes.number()? {
                [0] => MatchOp::Equal,
                [1] => MatchOp::NotEqual,
                [2] => MatchOp::Regex,
                [3] => MatchOp::NotRegex,
                _ => return None,
            };
            let (name, value) = (bytes.text()?, bytes.text()?);
            selector.push(Matcher::new(name, op, value).ok()?);
        }
        selectors.push(selector);
    }
    bytes.0.is_empty().then_some(Deletion { selectors, start_ms, end_ms, through })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn matcher() -> impl Strategy<Value = Matcher> {
        let ops = [MatchOp::Equal, MatchOp::NotEqual, MatchOp::Regex, MatchOp::NotRegex];
        ("[a-zé_]{1,8}", 0usize..4, "[a-z.ü]{0,12}")
            .prop_map(move |(name, op, value)| Matcher::new(name, ops[op], value).unwrap())
    }

    proptest! {
        #[test]
        fn what_is_kept_reads_back(
            selectors in prop::collection::vec(prop::collection::vec(matcher(), 0..4), 0..4),
            start_ms: i64, end_ms: i64, through: u64, cut in 0usize..64,
        ) {
            let deletion = Deletion { selectors, start_ms, end_ms, through: BlockId(through) };
            let bytes = encode(&deletion);
            let read = decode(&bytes).unwrap();
            prop_assert_eq!(format!("{:?}", read), format!("{:?}", deletion));
            prop_assert!(decode(&bytes[..bytes.len().saturating_sub(cut + 1)]).is_none());
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = decode(&bytes);
        }
    }
}
