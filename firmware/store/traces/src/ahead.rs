//! Looking into several groups at once, with several threads: further ahead the less is found.

use crate::group_write::GroupEntry;
use bramble_storage::QueryContext;
use parking_lot::Mutex;
use std::num::NonZero;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

const THREADS_MAX: usize = 4;
/// Groups that one thread looks into before an answer is given.
const GROUPS_PER_THREAD: usize = 4;

fn threads() -> usize {
    static THREADS: OnceLock<usize> = OnceLock::new();
    *THREADS.get_or_init(|| std::thread::available_parallelism().map_or(1, NonZero::get).min(THREADS_MAX))
}

/// How many groups are looked into in one go: one, so that a short answer comes soon, and twice as many each time.
pub(crate) struct Ahead {
    groups: usize,
    most: usize,
}

impl Ahead {
    pub(crate) fn new() -> Self {
        Ahead { groups: 1, most: threads() * GROUPS_PER_THREAD }
    }

    /// Takes the next groups, which are the last, as many as memory allows; at least one if there are any.
    pub(crate) fn take(&self, groups: &mut Vec<GroupEntry>, context: &QueryContext) -> Vec<GroupEntry> {
        let mut room = context.free_bytes() / 2;
        let mut taken = Vec::new();
        while taken.len() < self.groups {
            let Some(next) = groups.last() else { break };
            match room.checked_sub(next.memory_bytes as usize) {
                Some(left) => room = left,
                None if taken.is_empty() => room = 0,
                None => break,
            }
            taken.extend(groups.pop());
        }
        taken
    }

    /// Takes note of in how many of the groups something was found: what is found stays in memory until it is given.
    pub(crate) fn learn(&mut self, found: usize) {
        let most = if found == 0 { self.most } else { self.most.min(threads()) };
        self.groups = (self.groups * 2).min(most);
    }

    /// Memory is short.
    pub(crate) fn hold_back(&mut self) {
        (self.groups, self.most) = (1, 1);
    }
}

/// What `each` answers for all of the groups, in their order.
pub(crate) fn in_parallel<T: Send>(groups: &[GroupEntry], each: impl Fn(&GroupEntry) -> T + Sync) -> Vec<T> {
    let threads = threads().min(groups.len());
    if threads < 2 {
        return groups.iter().map(each).collect();
    }
    let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::with_capacity(groups.len())));
    let work = || {
        let mut found = Vec::new();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(group) = groups.get(at) else { break };
            found.push((at, each(group)));
        }
        done.lock().append(&mut found);
    };
    std::thread::scope(|scope| {
        for _ in 1..threads {
            // Without a second thread this one does it all.
            _ = std::thread::Builder::new().name("trace-search".into()).spawn_scoped(scope, work);
        }
        work();
    });
    let mut done = done.into_inner();
    done.sort_unstable_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, found)| found).collect()
}
