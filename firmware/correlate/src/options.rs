//! How items are gathered, and within which limits.

/// How items are gathered, and within which limits.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CorrelatorOptions {
    /// Length of a window, from its first item, nanoseconds; taken up to whole milliseconds, of which it has at least one.
    pub window_ns: u64,
    /// How long after its publication a correlation is revised when more of its items come, nanoseconds.
    pub grace_ns: u64,
    /// Traces with windows at once, open or in their grace.
    pub windows_max: usize,
    /// Items that are kept of one window; of more, only counts.
    pub items_max: usize,
    /// Traces that may share a request id; entries without a trace are joined by no id that more have. At most 8.
    pub request_traces_max: usize,
    /// A window whose end has passed when its items come (they are late, or the clock is wrong) is published when none came
    /// for so long, nanoseconds.
    pub settle_ns: u64,
    /// Least time between two revisions, nanoseconds; the last one, at the end of the grace, does not wait.
    pub debounce_ns: u64,
    /// Least time between two markers, nanoseconds.
    pub marker_ns: u64,
    /// So much more of the journal is read after a restart, nanoseconds: a trace whose items came over a longer time may be
    /// taken for another one if the restart is between them.
    pub reread_ns: u64,
}

const SECOND_NS: u64 = 1_000_000_000;

impl Default for CorrelatorOptions {
    fn default() -> Self {
        CorrelatorOptions {
            window_ns: 60 * SECOND_NS,
            grace_ns: 60 * SECOND_NS,
            windows_max: 10_000,
            items_max: 1000,
            request_traces_max: 4,
            settle_ns: SECOND_NS,
            debounce_ns: 10 * SECOND_NS,
            marker_ns: 10 * SECOND_NS,
            reread_ns: 30 * SECOND_NS,
        }
    }
}

impl CorrelatorOptions {
    /// Within what the windows can do.
    pub(crate) fn sane(mut self) -> Self {
        const MS: u64 = 1_000_000;
        // Ids tell the millisecond in which a window opened: two windows must not open in one.
        self.window_ns = self.window_ns.clamp(MS, 24 * 3600 * SECOND_NS).next_multiple_of(MS);
        self.windows_max = self.windows_max.clamp(16, 1 << 20);
        self.items_max = self.items_max.clamp(8, 1 << 20);
        self.request_traces_max = self.request_traces_max.clamp(1, crate::windows::requests::TRACES_MAX);
        self
    }
}
