//! Memory budgets: one cap, divided into named parts, spent through RAII reservations.
//!
//! A budget counts what its owner says it uses; it does not allocate. The parts sum to at most 65 % of
//! the cap ([`Budgets::SHARE_OF_CAP`]), because allocator slack, hyper, tonic, SQLite and zstd contexts
//! live in the rest. Whoever is refused answers "later" in its protocol's words; nobody waits here.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The named budgets. Each owner of memory that grows with input has exactly one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub enum BudgetName {
    /// Request bodies being received and decoded, until they are applied or refused.
    Receive,
    /// Records waiting for the next journal commit.
    Journal,
    /// Metric head: series index and samples not yet in a block.
    MetricHead,
    /// Log head.
    LogHead,
    /// Trace head.
    TraceHead,
    /// Pages read from segments, shared by all signals.
    PageCache,
    /// Block indexes kept open.
    BlockIndex,
    /// Running queries.
    Query,
    /// Flush and merge working memory.
    Merge,
    /// What is counted of spans on arrival: label sets, and edges of the service graph that wait for their other half.
    Derived,
    /// Open windows of the correlator, and what was published of late.
    Correlate,
    /// What waits to be sent on to others.
    Forward,
}

impl BudgetName {
    /// All budgets with their share of the budgeted memory in thousandths; the shares sum to 1000.
    pub const ALL: [(BudgetName, usize); 12] = [
        (BudgetName::Receive, 65),
        (BudgetName::Journal, 40),
        (BudgetName::MetricHead, 305),
        (BudgetName::LogHead, 120),
        (BudgetName::TraceHead, 110),
        (BudgetName::PageCache, 60),
        (BudgetName::BlockIndex, 40),
        (BudgetName::Query, 105),
        (BudgetName::Merge, 55),
        (BudgetName::Derived, 20),
        (BudgetName::Correlate, 60),
        (BudgetName::Forward, 20),
    ];

    /// The name used in configuration, metrics and messages.
    pub fn as_str(self) -> &'static str {
        match self {
            BudgetName::Receive => "receive",
            BudgetName::Journal => "journal",
            BudgetName::MetricHead => "metric_head",
            BudgetName::LogHead => "log_head",
            BudgetName::TraceHead => "trace_head",
            BudgetName::PageCache => "page_cache",
            BudgetName::BlockIndex => "block_index",
            BudgetName::Query => "query",
            BudgetName::Merge => "merge",
            BudgetName::Derived => "derived",
            BudgetName::Correlate => "correlate",
            BudgetName::Forward => "forward",
        }
    }
}

const _: () = {
    let mut sum = 0;
    let mut i = 0;
    while i < BudgetName::ALL.len() {
        sum += BudgetName::ALL[i].1;
        i += 1;
    }
    assert!(sum == 1000, "budget shares must sum to 1000");
};

impl fmt::Display for BudgetName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A reservation did not fit. Nothing was reserved; the same request may fit later.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OverBudget {
    /// Which budget is full.
    pub budget: BudgetName,
    /// What was asked for, in bytes.
    pub wanted_bytes: usize,
    /// The budget's size in bytes.
    pub limit_bytes: usize,
}

impl fmt::Display for OverBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "memory budget {} ({} bytes) cannot take {} more bytes now",
            self.budget, self.limit_bytes, self.wanted_bytes
        )
    }
}

impl std::error::Error for OverBudget {}

#[derive(Debug)]
struct State {
    name: BudgetName,
    limit_bytes: usize,
    used_bytes: AtomicUsize,
    refused: AtomicUsize,
}

/// One named budget. Clones share the same account.
#[derive(Clone, Debug)]
pub struct Budget(Arc<State>);

impl Budget {
    /// A budget on its own, outside any cap: for tests and tools.
    pub fn standalone(name: BudgetName, limit_bytes: usize) -> Self {
        Budget(Arc::new(State { name, limit_bytes, used_bytes: AtomicUsize::new(0), refused: AtomicUsize::new(0) }))
    }

    /// Which budget this is.
    pub fn name(&self) -> BudgetName {
        self.0.name
    }

    /// Its size in bytes.
    pub fn limit_bytes(&self) -> usize {
        self.0.limit_bytes
    }

    /// What is reserved now, in bytes.
    pub fn used_bytes(&self) -> usize {
        self.0.used_bytes.load(Ordering::Relaxed)
    }

    /// How often a reservation was refused since start.
    pub fn refused(&self) -> usize {
        self.0.refused.load(Ordering::Relaxed)
    }

    /// Reserves `bytes` until the reservation is dropped.
    ///
    /// # Errors
    /// [`OverBudget`] when it does not fit; nothing is reserved then.
    pub fn reserve(&self, bytes: usize) -> Result<Reservation, OverBudget> {
        self.take(bytes)?;
        Ok(Reservation { budget: self.clone(), bytes })
    }

    fn take(&self, bytes: usize) -> Result<(), OverBudget> {
        let fits = |used: usize| used.checked_add(bytes).filter(|&sum| sum <= self.0.limit_bytes);
        match self.0.used_bytes.fetch_update(Ordering::AcqRel, Ordering::Relaxed, fits) {
            Ok(_) => Ok(()),
            Err(_) => {
                self.0.refused.fetch_add(1, Ordering::Relaxed);
                Err(OverBudget { budget: self.0.name, wanted_bytes: bytes, limit_bytes: self.0.limit_bytes })
            }
        }
    }

    fn give_back(&self, bytes: usize) {
        self.0.used_bytes.fetch_sub(bytes, Ordering::AcqRel);
    }
}

/// Bytes held against a [`Budget`]; given back on drop.
#[derive(Debug)]
pub struct Reservation {
    budget: Budget,
    bytes: usize,
}

impl Reservation {
    /// What this reservation holds, in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Adds `more` bytes to this reservation.
    ///
    /// # Errors
    /// [`OverBudget`] when they do not fit; the reservation is unchanged then.
    pub fn grow(&mut self, more: usize) -> Result<(), OverBudget> {
        self.budget.take(more)?;
        self.bytes += more;
        Ok(())
    }

    /// Grows or shrinks to exactly `bytes`.
    ///
    /// # Errors
    /// [`OverBudget`] when growing does not fit; the reservation is unchanged then.
    pub fn resize(&mut self, bytes: usize) -> Result<(), OverBudget> {
        if bytes > self.bytes {
            self.grow(bytes - self.bytes)
        } else {
            self.budget.give_back(self.bytes - bytes);
            self.bytes = bytes;
            Ok(())
        }
    }

    /// Sets the size to what is really used, past the limit if need be: for the rare owner that learns its
    /// use only afterwards. The budget then refuses others until it is below its limit again.
    pub fn force_resize(&mut self, bytes: usize) {
        if bytes > self.bytes {
            self.budget.0.used_bytes.fetch_add(bytes - self.bytes, Ordering::AcqRel);
        } else {
            self.budget.give_back(self.bytes - bytes);
        }
        self.bytes = bytes;
    }

    /// Moves `bytes` (at most what is held) of this reservation into a new one of the same budget.
    pub fn split(&mut self, bytes: usize) -> Reservation {
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        Reservation { budget: self.budget.clone(), bytes }
    }

    /// Joins `other`, which must be of the same budget, into this one.
    pub fn merge(&mut self, mut other: Reservation) {
        debug_assert!(Arc::ptr_eq(&self.budget.0, &other.budget.0), "reservations of two budgets");
        self.bytes += std::mem::take(&mut other.bytes);
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.budget.give_back(self.bytes);
    }
}

/// The memory cap and its division.
#[derive(Clone, Debug)]
pub struct Budgets {
    cap_bytes: usize,
    budgets: Arc<[Budget]>,
}

impl Budgets {
    /// Part of the cap that is divided among budgets, in percent.
    pub const SHARE_OF_CAP: usize = 65;

    /// Divides 65 % of `cap_bytes` by the shares of [`BudgetName::ALL`].
    pub fn new(cap_bytes: usize) -> Self {
        let pool = cap_bytes / 100 * Self::SHARE_OF_CAP;
        let budgets =
            BudgetName::ALL.iter().map(|&(name, share)| Budget::standalone(name, pool / 1000 * share)).collect();
        Budgets { cap_bytes, budgets }
    }

    /// The cap in bytes.
    pub fn cap_bytes(&self) -> usize {
        self.cap_bytes
    }

    /// The budget of that name.
    pub fn get(&self, name: BudgetName) -> Budget {
        // ALL lists every variant in declaration order, so the discriminant is the index.
        self.budgets[name as usize].clone()
    }

    /// All budgets, for display.
    pub fn iter(&self) -> impl Iterator<Item = &Budget> {
        self.budgets.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_budget_refuses_and_recovers() {
        let budget = Budget::standalone(BudgetName::Query, 100);
        let held = budget.reserve(60).unwrap();
        let refused = budget.reserve(41).unwrap_err();
        assert_eq!((refused.budget, refused.wanted_bytes, refused.limit_bytes), (BudgetName::Query, 41, 100));
        assert_eq!(budget.refused(), 1);
        drop(held);
        assert!(budget.reserve(100).is_ok());
        assert_eq!(budget.used_bytes(), 0);
    }

    #[test]
    fn grow_split_merge_keep_the_sum() {
        let budget = Budget::standalone(BudgetName::Merge, 100);
        let mut a = budget.reserve(10).unwrap();
        a.grow(20).unwrap();
        assert!(a.grow(71).is_err());
        let b = a.split(25);
        assert_eq!((a.bytes(), b.bytes(), budget.used_bytes()), (5, 25, 30));
        a.merge(b);
        a.resize(12).unwrap();
        assert_eq!(budget.used_bytes(), 12);
        a.force_resize(300);
        assert_eq!(budget.used_bytes(), 300);
        assert!(budget.reserve(1).is_err());
        drop(a);
        assert_eq!(budget.used_bytes(), 0);
    }

    #[test]
    fn names_index_their_own_budget() {
        let budgets = Budgets::new(256 << 20);
        for (name, _) in BudgetName::ALL {
            assert_eq!(budgets.get(name).name(), name);
        }
        let sum: usize = budgets.iter().map(Budget::limit_bytes).sum();
        assert!(sum <= (256 << 20) / 100 * 65);
    }

    #[test]
    fn huge_requests_do_not_overflow() {
        let budget = Budget::standalone(BudgetName::Query, 100);
        let _held = budget.reserve(1).unwrap();
        assert!(budget.reserve(usize::MAX).is_err());
    }
}
