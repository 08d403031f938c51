//! Stages in a row.

use super::counts::{Counts, Told};
use super::entry::Entry;
use super::trace::{Outcome, Step, Watch};
use std::sync::Arc;

/// What a stage did with an entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Flow {
    /// It goes on.
    On,
    /// It goes.
    Dropped,
    /// It went inside a nested chain, which has counted it.
    Gone,
    /// The stage keeps it and gives it out later, perhaps joined with others.
    Held,
}

/// Which of the entries that are held back are to be given out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Release {
    /// Those that have waited long enough at this time, nanoseconds.
    Due(i64),
    /// All.
    All,
}

/// What stages see beside the entry.
pub(super) struct Context<'c> {
    /// Nanoseconds since the epoch.
    pub(super) now_ns: i64,
    /// How long the source is asked to wait, nanoseconds.
    pub(super) pause_ns: i64,
    /// Whether the stage at hand could not do its work on this line.
    pub(super) failed: bool,
    pub(super) watch: Option<&'c mut dyn Watch>,
}

impl Context<'_> {
    pub(super) fn at(now_ns: i64) -> Self {
        Context { now_ns, pause_ns: 0, failed: false, watch: None }
    }

    /// The stage could not do its work; the line goes on.
    pub(super) fn fail(&mut self) -> Flow {
        self.failed = true;
        Flow::On
    }
}

/// A stage with the state of one stream of lines.
pub(super) trait Stage: Send {
    /// Works on an entry.
    fn run(&mut self, entry: &mut Entry, context: &mut Context<'_>) -> Flow;
    /// The same stage for another stream of lines: what was compiled is shared, the state is fresh.
    fn fork(&self) -> Box<dyn Stage>;
    /// Puts an entry that was held back into `entry`, whose contents do not matter; `false` when there is none to give.
    fn release(&mut self, how: Release, entry: &mut Entry, context: &mut Context<'_>) -> bool {
        let _ = (how, entry, context);
        false
    }
    /// Mark of the oldest line that is held back.
    fn held(&self) -> Option<u64> {
        None
    }
    /// The stages inside.
    fn nested(&mut self) -> Option<&mut Chain> {
        None
    }
}

/// A stage in its place.
struct Link {
    stage: Box<dyn Stage>,
    counts: Counts,
    told: Arc<Told>,
}

/// See the module.
#[derive(Default)]
pub(super) struct Chain(Vec<Link>);

impl Chain {
    pub(super) fn push(&mut self, stage: Box<dyn Stage>, told: Arc<Told>) {
        self.0.push(Link { stage, counts: Counts::default(), told });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn fork(&self) -> Self {
        let fork = |link: &Link| Link { stage: link.stage.fork(), counts: Counts::default(), told: link.told.clone() };
        Chain(self.0.iter().map(fork).collect())
    }

    pub(super) fn run(&mut self, entry: &mut Entry, context: &mut Context<'_>) -> Flow {
        self.run_from(0, entry, context)
    }

    fn run_from(&mut self, first: usize, entry: &mut Entry, context: &mut Context<'_>) -> Flow {
        for link in self.0.iter_mut().skip(first) {
            link.counts.lines_in += 1;
            let flow = link.stage.run(entry, context);
            if context.failed {
                link.counts.errors += 1;
            }
            if let Some(watch) = context.watch.take() {
                watch.step(&Step::of(&link.told, entry, flow, context.failed));
                context.watch = Some(watch);
            }
            context.failed = false;
            match flow {
                Flow::On => link.counts.lines_out += 1,
                Flow::Dropped => {
                    link.counts.dropped += 1;
                    return flow;
                }
                Flow::Gone | Flow::Held => return flow,
            }
        }
        Flow::On
    }

    /// Gives out one entry that was held back and has passed the stages behind; `false` when there is none left.
    pub(super) fn release(&mut self, how: Release, entry: &mut Entry, context: &mut Context<'_>) -> bool {
        for at in 0..self.0.len() {
            while let Some(link) = self.0.get_mut(at) {
                if !link.stage.release(how, entry, context) {
                    break;
                }
                link.counts.lines_out += 1;
                if let Some(watch) = context.watch.take() {
                    watch.step(&Step { outcome: Outcome::Released, ..Step::of(&link.told, entry, Flow::On, false) });
                    context.watch = Some(watch);
                }
                if self.run_from(at + 1, entry, context) == Flow::On {
                    return true;
                }
            }
        }
        false
    }

    pub(super) fn held(&self) -> Option<u64> {
        self.0.iter().filter_map(|link| link.stage.held()).min()
    }

    /// Adds what was counted since the last time to what is shared.
    pub(super) fn publish(&mut self) {
        for link in &mut self.0 {
            link.told.add(&mut link.counts);
            if let Some(nested) = link.stage.nested() {
                nested.publish();
            }
        }
    }
}
