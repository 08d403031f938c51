//! Broken on purpose: a test suite that cannot see these faults proves nothing.
//!
//! Only with the feature `sabotage`, which only tests enable, and then only on the thread that asks for it.

use std::cell::Cell;

/// Which checksum is not looked at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ignored {
    /// None: everything is in order.
    Nothing,
    /// Those of journal frames, at recovery.
    JournalFrames,
    /// Those of segment pages.
    SegmentPages,
}

thread_local! {
    static IGNORED: Cell<Ignored> = const { Cell::new(Ignored::Nothing) };
}

/// From now on this thread ignores these checksums.
pub fn ignore_checksums(ignored: Ignored) {
    IGNORED.set(ignored);
}

pub(crate) fn ignores(what: Ignored) -> bool {
    IGNORED.get() == what
}
