//! Broken on purpose: a test suite that cannot see this fault proves nothing.
//!
//! Only with the feature `sabotage`, which only tests enable, and then only on the thread that asks for it.

use std::cell::Cell;

thread_local! {
    static EARLY: Cell<bool> = const { Cell::new(false) };
    static FORGETFUL: Cell<bool> = const { Cell::new(false) };
    static UNROLLED: Cell<bool> = const { Cell::new(false) };
}

/// From now on, flushes on this thread say that items are in blocks before these blocks are written.
pub fn advance_position_before_commit(early: bool) {
    EARLY.set(early);
}

pub(crate) fn advances_early() -> bool {
    EARLY.get()
}

/// From now on, retention on this thread does not care whether what it removes is in a rollup.
pub fn expire_without_rollups(unrolled: bool) {
    UNROLLED.set(unrolled);
}

pub(crate) fn expires_unrolled() -> bool {
    UNROLLED.get()
}

/// From now on, deletions on this thread take effect and are not made durable.
pub fn forget_deletions(forgetful: bool) {
    FORGETFUL.set(forgetful);
}

pub(crate) fn forgets_deletions() -> bool {
    FORGETFUL.get()
}
