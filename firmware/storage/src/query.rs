//! What accompanies every query on its way down.

use bramble_runtime::{Budget, BudgetName, Cancel, OverBudget, Reservation};
use parking_lot::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Notes that one query keeps.
const WARNINGS_MAX: usize = 50;

/// Longest wait for memory that other queries hold, and the pause between tries.
const WAIT_MAX: Duration = Duration::from_secs(3);
const WAIT_STEP: Duration = Duration::from_millis(5);

/// Why reading stopped.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ReadError {
    /// The client went away, or an operator stopped the query.
    #[error("query was cancelled")]
    Cancelled,
    /// The time limit passed.
    #[error("query timed out")]
    Timeout,
    /// The query needs more memory than it may have.
    #[error("query needs too much memory: {0}")]
    OverBudget(#[from] OverBudget),
    /// More items than a limit allows; the text names the limit.
    #[error("{0}")]
    Limit(String),
    /// The store failed; the text says where.
    #[error("storage: {0}")]
    Storage(String),
}

/// What a query read.
#[derive(Default, Debug)]
pub struct QueryStats {
    /// Series or streams looked at.
    pub series: AtomicU64,
    /// Samples, entries or spans decoded.
    pub items: AtomicU64,
    /// Uncompressed bytes looked at.
    pub bytes: AtomicU64,
    /// Pages read.
    pub pages: AtomicU64,
    /// Blocks opened.
    pub blocks: AtomicU64,
}

impl QueryStats {
    /// Adds to a counter.
    pub fn add(counter: &AtomicU64, n: u64) {
        counter.fetch_add(n, Ordering::Relaxed);
    }
}

/// Limits, account and notes of one query. Shared by reference among the threads that work on it.
pub struct QueryContext {
    cancel: Cancel,
    deadline: Option<Instant>,
    budget: Budget,
    memory: Mutex<Reservation>,
    warnings: Mutex<heapless::Vec<String, WARNINGS_MAX>>,
    /// What was read so far.
    pub stats: QueryStats,
}

impl QueryContext {
    /// A context that spends from `budget`, stops at `deadline` and when `cancel` is raised.
    ///
    /// # Errors
    /// [`OverBudget`] when not even an empty query fits.
    pub fn new(budget: &Budget, deadline: Option<Instant>, cancel: Cancel) -> Result<Self, OverBudget> {
        Ok(QueryContext {
            cancel,
            deadline,
            budget: budget.clone(),
            memory: Mutex::new(budget.reserve(0)?),
            warnings: Mutex::default(),
            stats: QueryStats::default(),
        })
    }

    /// A context without limits, for tests and tools.
    pub fn unlimited() -> Self {
        let budget = Budget::standalone(BudgetName::Query, usize::MAX / 2);
        QueryContext {
            cancel: Cancel::new(),
            deadline: None,
            budget: budget.clone(),
            memory: Mutex::new(budget.reserve(0).unwrap_or_else(|_| unreachable!("zero bytes always fit"))),
            warnings: Mutex::default(),
            stats: QueryStats::default(),
        }
    }

    /// To be called in every loop that may run long: per page, per series, per thousand items.
    ///
    /// # Errors
    /// [`ReadError::Cancelled`] or [`ReadError::Timeout`].
    pub fn check(&self) -> Result<(), ReadError> {
        if self.cancel.is_cancelled() {
            return Err(ReadError::Cancelled);
        }
        match self.deadline {
            Some(deadline) if Instant::now() >= deadline => Err(ReadError::Timeout),
            _ => Ok(()),
        }
    }

    /// Accounts `bytes` more to this query; they are given back when the context is dropped, or by
    /// [`release`](Self::release). While other queries hold memory this waits a while for theirs, so that a page of
    /// twenty small queries is slower under pressure, not broken.
    ///
    /// # Errors
    /// [`OverBudget`] when they do not fit, or not soon enough.
    pub fn reserve(&self, bytes: usize) -> Result<(), OverBudget> {
        let mut waited = Duration::ZERO;
        loop {
            let mut memory = self.memory.lock();
            let refused = match memory.grow(bytes) {
                Ok(()) => return Ok(()),
                Err(refused) => refused,
            };
            let alone = self.budget.used_bytes() <= memory.bytes();
            drop(memory);
            // Two queries may each wait for the other: the bound on waiting ends that.
            if alone || waited >= WAIT_MAX || self.check().is_err() {
                return Err(refused);
            }
            std::thread::sleep(WAIT_STEP);
            waited += WAIT_STEP;
        }
    }

    /// As [`reserve`](Self::reserve), but without waiting: for callers that can do with less.
    ///
    /// # Errors
    /// [`OverBudget`] when they do not fit now.
    pub fn try_reserve(&self, bytes: usize) -> Result<(), OverBudget> {
        self.memory.lock().grow(bytes)
    }

    /// Bytes of the budget that nobody holds now: for callers that take more when there is plenty.
    pub fn free_bytes(&self) -> usize {
        self.budget.limit_bytes().saturating_sub(self.budget.used_bytes())
    }

    /// Gives back `bytes` (at most what is held).
    pub fn release(&self, bytes: usize) {
        drop(self.memory.lock().split(bytes));
    }

    /// Notes something the asker must know: a damaged page, a part that is missing. Equal notes are kept once,
    /// at most 50 in all.
    pub fn warn(&self, text: impl Into<String>) {
        let (text, mut warnings) = (text.into(), self.warnings.lock());
        if !warnings.contains(&text) {
            // Beyond the bound the asker has read enough.
            let _ = warnings.push(text);
        }
    }

    /// The notes so far.
    pub fn warnings(&self) -> Vec<String> {
        self.warnings.lock().to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_hold() {
        let budget = Budget::standalone(BudgetName::Query, 100);
        let cancel = Cancel::new();
        let context = QueryContext::new(&budget, Some(Instant::now()), cancel.clone()).unwrap();
        assert_eq!(context.check(), Err(ReadError::Timeout));
        cancel.cancel();
        assert_eq!(context.check(), Err(ReadError::Cancelled));
        context.reserve(90).unwrap();
        assert!(context.reserve(11).is_err());
        context.release(50);
        assert_eq!(budget.used_bytes(), 40);
        context.warn("a");
        context.warn("a");
        assert_eq!(context.warnings(), ["a"]);
        drop(context);
        assert_eq!(budget.used_bytes(), 0);
    }
}
