//! How we are, made of what is counted anyway.

use crate::appliance_system::Machine;
use bramble_board::Handle;
use bramble_disk::{Cause, Disk};
use bramble_ingest::WritePath;
use bramble_runtime::{Budget, BudgetName, Budgets};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often it is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A failure of the disk is told for so long: on a card there is seldom only one.
const STORAGE_TOLD: Duration = Duration::from_secs(300);
/// A refusal for want of memory is told for so long.
const OVERLOAD_TOLD: Duration = Duration::from_secs(60);
/// A hub may be away for so long before it is told: its restart is nothing to worry about.
const HUB_AWAY: Duration = Duration::from_secs(30);

/// Memory whose refusals turn data or queries away; that of caches and background work does not.
const TURNED_AWAY: [BudgetName; 6] = [
    BudgetName::Receive,
    BudgetName::Journal,
    BudgetName::MetricHead,
    BudgetName::LogHead,
    BudgetName::TraceHead,
    BudgetName::Query,
];

/// What is counted of us. Counters since the start.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Vitals {
    /// Whether what was acknowledged before is there again.
    pub(crate) is_ready: bool,
    /// Operations of the disk that failed.
    pub(crate) disk_errors: u64,
    /// What was refused for want of memory.
    pub(crate) refused: u64,
    /// Whether an update is being written.
    pub(crate) updating: bool,
    /// Whether there is a hub that takes what we send; true on a hub.
    pub(crate) has_hub: bool,
}

impl Default for Vitals {
    fn default() -> Self {
        Vitals { is_ready: false, disk_errors: 0, refused: 0, updating: false, has_hub: true }
    }
}

/// Failed operations of a disk, of all causes.
fn disk_errors(disk: &Arc<dyn Disk>) -> u64 {
    let metrics = disk.metrics();
    Cause::ALL.into_iter().map(|cause| metrics.errors(cause)).sum()
}

/// What was turned away for want of memory.
fn refused(budgets: &Budgets) -> u64 {
    TURNED_AWAY.into_iter().map(|name| budgets.get(name).refused() as u64).sum()
}

/// How a hub is.
pub(crate) fn of_hub(
    path: &WritePath,
    disk: &Arc<dyn Disk>,
    budgets: &Budgets,
    machine: Arc<Machine>,
) -> impl Fn() -> Vitals + Send + use<> {
    let (path, disk, budgets) = (path.clone(), disk.clone(), budgets.clone());
    move || Vitals {
        is_ready: path.is_ready(),
        disk_errors: disk_errors(&disk),
        refused: refused(&budgets),
        updating: machine.is_updating(),
        has_hub: true,
    }
}

/// How a node is, which takes in against `receive`.
pub(crate) fn of_node(
    disk: Arc<dyn Disk>,
    receive: Budget,
    has_hub: impl Fn() -> bool + Send,
) -> impl Fn() -> Vitals + Send {
    move || Vitals {
        is_ready: true,
        disk_errors: disk_errors(&disk),
        refused: receive.refused() as u64,
        updating: false,
        has_hub: has_hub(),
    }
}

/// From counters to what is true now: a count that rose lately.
struct Judge {
    seen: Vitals,
    storage_until: Option<Instant>,
    overload_until: Option<Instant>,
    hub_seen: Instant,
}

impl Judge {
    fn new(now: Instant) -> Self {
        Judge { seen: Vitals::default(), storage_until: None, overload_until: None, hub_seen: now }
    }

    /// Whether storage fails, memory runs short, and hubs are away.
    fn judge(&mut self, now: Instant, vitals: Vitals) -> (bool, bool, bool) {
        if vitals.disk_errors > self.seen.disk_errors {
            self.storage_until = Some(now + STORAGE_TOLD);
        }
        if vitals.refused > self.seen.refused {
            self.overload_until = Some(now + OVERLOAD_TOLD);
        }
        if vitals.has_hub {
            self.hub_seen = now;
        }
        self.seen = vitals;
        let lasts = |until: Option<Instant>| until.is_some_and(|until| now < until);
        (lasts(self.storage_until), lasts(self.overload_until), now.duration_since(self.hub_seen) >= HUB_AWAY)
    }
}

/// Tells the board each second, until the runtime ends.
pub(super) async fn watch(handle: Handle, vitals: impl Fn() -> Vitals + Send) {
    let mut judge = Judge::new(Instant::now());
    loop {
        let now = vitals();
        let (storage_failing, overloaded, hub_unreachable) = judge.judge(Instant::now(), now);
        handle.update_health(|health| {
            health.is_ready = now.is_ready;
            health.updating = now.updating;
            health.storage_failing = storage_failing;
            health.overloaded = overloaded;
            health.hub_unreachable = hub_unreachable;
        });
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_rose_lately_is_told_for_a_while() {
        let began = Instant::now();
        let mut judge = Judge::new(began);
        let mut at = |seconds: u64, disk_errors: u64, refused: u64, has_hub: bool| {
            judge.judge(
                began + Duration::from_secs(seconds),
                Vitals { is_ready: true, disk_errors, refused, updating: false, has_hub },
            )
        };
        assert_eq!(at(0, 0, 0, false), (false, false, false));
        assert_eq!(at(1, 2, 0, true), (true, false, false));
        assert_eq!(at(20, 2, 7, false), (true, true, false));
        assert_eq!(at(31, 2, 7, false), (true, true, true));
        assert_eq!(at(80, 2, 7, true), (true, false, false));
        assert_eq!(at(301, 2, 7, true), (false, false, false));
    }

    #[test]
    fn only_what_is_turned_away_counts() {
        let budgets = Budgets::new(64 << 20);
        assert!(budgets.get(BudgetName::PageCache).reserve(1 << 40).is_err());
        assert_eq!(refused(&budgets), 0);
        assert!(budgets.get(BudgetName::Receive).reserve(1 << 40).is_err());
        assert_eq!(refused(&budgets), 1);
    }
}
