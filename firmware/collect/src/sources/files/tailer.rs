//! The thread that reads: looks at files that changed, reads them in turns, hands over what was read.

use super::config::{FilesOptions, Target};
use super::position::Position;
use super::status::{FileCounters, FileStatus};
use super::tail::{Desk, Fate, Outcome, Tail};
use super::watch::{Changes, Watch};
use crate::sources::Feed;
use bramble_runtime::Clock;
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::Notify;

const SECOND_NS: u64 = 1_000_000_000;
/// Between looks at all files, whatever the kernel tells.
const LOOK_NS: u64 = 5 * SECOND_NS;
/// Positions without lines (everything dropped by a pipeline) are handed over this often.
const POSITIONS_NS: u64 = 30 * SECOND_NS;
/// So long reading may go on before names and times are looked after.
const ROUND_NS: u64 = SECOND_NS / 2;
/// Poll intervals after which what was removed is given up (2 s by default), and how long what was renamed is looked at:
/// programs write on until they notice.
const REMOVED_POLLS: u64 = 8;
const RENAMED_NS: u64 = 300 * SECOND_NS;

/// What is shared with [`super::Files`].
pub(super) struct Shared {
    pub(super) targets: Mutex<Targets>,
    pub(super) is_stopping: AtomicBool,
    pub(super) stop: Notify,
    pub(super) wake: OwnedFd,
    pub(super) status: Mutex<Vec<FileStatus>>,
}

/// What is to be tailed.
#[derive(Default)]
pub(super) struct Targets {
    pub(super) by_owner: BTreeMap<String, Vec<Arc<Target>>>,
    pub(super) initial: HashMap<PathBuf, u64>,
    pub(super) generation: u64,
}

/// A position whose file is not known to be there.
pub(super) struct Orphan {
    pub(super) key: String,
    pub(super) position: Position,
    pub(super) since_ns: u64,
    /// So many scans more look for the file under other names.
    pub(super) searches: u8,
    pub(super) is_dirty: bool,
}

/// The thread's state.
pub(super) struct Tailer {
    pub(super) shared: Arc<Shared>,
    pub(super) options: FilesOptions,
    pub(super) clock: Arc<dyn Clock>,
    feed: Feed,
    runtime: Handle,
    pub(super) watch: Watch,
    pub(super) desk: Desk,
    pub(super) counters: FileCounters,
    pub(super) tails: BTreeMap<u64, Tail>,
    pub(super) next_id: u64,
    pub(super) orphans: Vec<Orphan>,
    /// Keys of targets that were scanned once, in this life or before.
    pub(super) marks: HashSet<String>,
    /// Changes of positions besides those of tails and orphans.
    pub(super) changed: Vec<(String, String)>,
    pub(super) unreadable: BTreeMap<PathBuf, String>,
    pub(super) copies: Vec<PathBuf>,
    pub(super) generation: u64,
    pub(super) wants_scan: bool,
    scanned_ns: u64,
    looked_ns: u64,
    ticked_ns: u64,
    pushed_ns: u64,
    ready: Vec<u64>,
}

impl Tailer {
    pub(super) fn new(
        shared: Arc<Shared>,
        options: FilesOptions,
        clock: Arc<dyn Clock>,
        (feed, runtime): (Feed, Handle),
        watch: Watch,
        counters: FileCounters,
    ) -> Tailer {
        let read_bytes = (feed.batch_bytes() / 2).clamp(16 << 10, 256 << 10);
        let desk = Desk::new(read_bytes, counters.clone());
        Tailer {
            shared,
            options,
            clock,
            feed,
            runtime,
            watch,
            desk,
            counters,
            tails: BTreeMap::new(),
            next_id: 0,
            orphans: Vec::new(),
            marks: HashSet::new(),
            changed: Vec::new(),
            unreadable: BTreeMap::new(),
            copies: Vec::new(),
            generation: 0,
            wants_scan: true,
            scanned_ns: 0,
            looked_ns: 0,
            ticked_ns: 0,
            pushed_ns: 0,
            ready: Vec::new(),
        }
    }

    fn is_stopping(&self) -> bool {
        self.shared.is_stopping.load(Ordering::Acquire)
    }

    /// Works until it is told to stop.
    pub(super) fn run(mut self) {
        if !self.remember() {
            return;
        }
        let mut changes = Changes { everything: true, ..Changes::default() };
        while !self.is_stopping() {
            let began_ns = self.clock.monotonic_ns();
            self.desk.now_ns = self.clock.wall_ns();
            self.scan_if_due(began_ns, changes.names || changes.everything);
            self.look(began_ns, &changes);
            let is_left = self.read_ready(began_ns);
            self.tick(began_ns);
            if !self.hand_over(false) {
                return;
            }
            changes = if is_left || self.wants_scan { Changes::default() } else { self.rest(began_ns) };
        }
        self.hand_over(true);
        _ = self.runtime.block_on(async { tokio::time::timeout(self.options.stop_wait, self.feed.finish()).await });
    }

    /// Learns what is durable; `false` when it stops before that is known.
    fn remember(&mut self) -> bool {
        let (shared, feed) = (&self.shared, &self.feed);
        let delivered = self.runtime.block_on(async {
            tokio::select! {
                delivered = feed.delivered() => Some(delivered),
                () = shared.stop.notified() => None,
            }
        });
        let Some(delivered) = delivered else { return false };
        for (key, value) in delivered.positions {
            if key.starts_with("target/") {
                self.marks.insert(key);
            } else if let Some(position) = Position::parse(&value) {
                self.orphans.push(Orphan { key, position, since_ns: 0, searches: 2, is_dirty: false });
            } else {
                self.changed.push((key, String::new()));
            }
        }
        true
    }

    fn scan_if_due(&mut self, now_ns: u64, has_names: bool) {
        let generation = self.shared.targets.lock().generation;
        let interval = self.options.scan_interval.as_nanos() as u64;
        let is_due = self.scanned_ns == 0 || now_ns >= self.scanned_ns + interval;
        if is_due || has_names || self.wants_scan || generation != self.generation {
            self.wants_scan = false;
            self.scanned_ns = now_ns.max(1);
            self.scan(now_ns);
        }
    }

    /// Finds out which files have something to read.
    fn look(&mut self, now_ns: u64, changes: &Changes) {
        let is_full = changes.everything || now_ns >= self.looked_ns + LOOK_NS;
        if is_full {
            self.looked_ns = now_ns;
        }
        let mut ready = std::mem::take(&mut self.ready);
        for (&id, tail) in &mut self.tails {
            if ready.contains(&id) || tail.paused_until_ns > now_ns {
                continue;
            }
            let is_told = tail.real.parent().is_some_and(|directory| self.watch.watches(directory));
            let is_fresh = tail.active_ns == 0 || tail.fate == Fate::Rotated || tail.paused_until_ns > 0;
            let may_have = is_full || !is_told || is_fresh || changes.written.contains(&tail.real);
            if may_have && tail.has_news() {
                ready.push(id);
            }
            tail.paused_until_ns = 0;
            tail.active_ns = tail.active_ns.max(1);
        }
        self.ready = ready;
    }

    /// Lets a file be read in the next round, whatever the file system tells.
    pub(super) fn want_read(&mut self, id: u64) {
        if !self.ready.contains(&id) {
            self.ready.push(id);
        }
    }

    /// Reads in turns, a chunk of each file; whether something is left.
    fn read_ready(&mut self, began_ns: u64) -> bool {
        let mut ready = std::mem::take(&mut self.ready);
        let mut now_ns = began_ns;
        while !ready.is_empty() && now_ns < began_ns + ROUND_NS && !self.is_stopping() {
            let mut kept = Vec::with_capacity(ready.len());
            for id in ready {
                if self.read_one(id, now_ns) {
                    kept.push(id);
                }
                if self.desk.out.bytes() >= self.feed.batch_bytes() && !self.hand_over(true) {
                    return false;
                }
            }
            ready = kept;
            now_ns = self.clock.monotonic_ns();
            self.desk.now_ns = self.clock.wall_ns();
        }
        self.ready = ready;
        self.close_idle();
        !self.ready.is_empty()
    }

    /// Whether there may be more.
    fn read_one(&mut self, id: u64, now_ns: u64) -> bool {
        let Some(tail) = self.tails.get_mut(&id) else { return false };
        let outcome = tail.read(&mut self.desk, now_ns);
        if !matches!(outcome, Outcome::Failed(_)) {
            tail.error = None;
        }
        match outcome {
            Outcome::More => tail.paused_until_ns <= now_ns,
            Outcome::End => {
                if tail.is_done {
                    tail.finish(&mut self.desk, true);
                    tail.close();
                }
                false
            }
            Outcome::Truncated => {
                self.begin_anew(id);
                self.wants_scan = true;
                true
            }
            Outcome::Gone => {
                self.wants_scan |= tail.fate == Fate::Live;
                tail.fate = Fate::Rotated;
                false
            }
            Outcome::Failed(error) => {
                let text = error.to_string();
                if tail.error.as_ref() != Some(&text) {
                    self.counters.errors.with_label_values(&[&error.kind().to_string()]).inc();
                    tracing::warn!(path = %tail.path.display(), error = %text, "a file cannot be read now");
                    tail.error = Some(text);
                }
                false
            }
        }
    }

    /// Gives handles back that nothing was read through for longest.
    fn close_idle(&mut self) {
        let open: Vec<u64> = self.tails.iter().filter(|(_, tail)| tail.is_open()).map(|(&id, _)| id).collect();
        self.counters.open.set(open.len() as i64);
        let excess = open.len().saturating_sub(self.options.handles_max);
        if excess == 0 {
            return;
        }
        let mut idle: Vec<(u64, u64)> = open
            .iter()
            .filter(|id| !self.ready.contains(id))
            .filter_map(|&id| self.tails.get(&id).map(|tail| (tail, id)))
            .filter(|(tail, _)| tail.fate == Fate::Live)
            .map(|(tail, id)| (tail.active_ns, id))
            .collect();
        idle.sort_unstable();
        for (_, id) in idle.into_iter().take(excess) {
            if let Some(tail) = self.tails.get_mut(&id) {
                tail.close();
            }
        }
    }

    fn tick(&mut self, now_ns: u64) {
        if now_ns < self.ticked_ns + SECOND_NS {
            return;
        }
        self.ticked_ns = now_ns;
        let mut over = Vec::new();
        let removed_ns = self.options.poll_interval.as_nanos() as u64 * REMOVED_POLLS;
        for (&id, tail) in &mut self.tails {
            tail.tick(&mut self.desk);
            let patience_ns = if tail.is_removed() { removed_ns } else { RENAMED_NS };
            if tail.fate == Fate::Rotated && (tail.is_done || now_ns >= tail.active_ns + patience_ns) {
                over.push(id);
            }
        }
        over.retain(|id| !self.ready.contains(id));
        for id in over {
            self.give_up(id, true, now_ns);
        }
        self.show();
    }

    /// Hands over what was gathered: when nothing is under way, or `now`. `false`: nobody takes it any more.
    fn hand_over(&mut self, now: bool) -> bool {
        let now_ns = self.clock.monotonic_ns();
        let is_stale = now_ns >= self.pushed_ns + POSITIONS_NS;
        let has_something = !self.desk.out.is_empty() || !self.changed.is_empty() || is_stale;
        if !(now || has_something && self.feed.is_idle()) {
            return true;
        }
        let mut positions = std::mem::take(&mut self.changed);
        for tail in self.tails.values_mut().filter(|tail| tail.is_dirty) {
            tail.is_dirty = false;
            positions.push((tail.key.clone(), tail.position().encode()));
        }
        for orphan in self.orphans.iter_mut().filter(|orphan| orphan.is_dirty) {
            orphan.is_dirty = false;
            positions.push((orphan.key.clone(), orphan.position.encode()));
        }
        self.pushed_ns = now_ns;
        let batch = self.desk.out.finish();
        let (shared, feed, wait) = (&self.shared, &self.feed, self.options.stop_wait);
        // What is not handed over is read again in the next life.
        let stop = async {
            if !shared.is_stopping.load(Ordering::Acquire) {
                shared.stop.notified().await;
            }
            tokio::time::sleep(wait).await;
        };
        let is_pushed = self.runtime.block_on(async {
            tokio::select! {
                pushed = feed.push(batch, positions) => pushed.is_ok(),
                () = stop => false,
            }
        });
        if let Some(spare) = self.feed.spare() {
            self.desk.out.reuse(spare);
        }
        is_pushed
    }

    /// Sleeps until there is something to do; what is told meanwhile gathers for a poll interval.
    fn rest(&mut self, began_ns: u64) -> Changes {
        let interval = self.options.poll_interval;
        let is_all_told =
            self.tails.values().all(|tail| tail.real.parent().is_some_and(|directory| self.watch.watches(directory)));
        let changes = self.watch.wait(if is_all_told { interval.max(Duration::from_secs(1)) } else { interval });
        let told = !changes.written.is_empty() || changes.names || changes.everything;
        let next_ns = began_ns + interval.as_nanos() as u64;
        let now_ns = self.clock.monotonic_ns();
        if !told || now_ns >= next_ns || self.is_stopping() {
            return changes;
        }
        std::thread::sleep(Duration::from_nanos(next_ns - now_ns));
        let later = self.watch.wait(Duration::ZERO);
        Changes {
            written: changes.written.into_iter().chain(later.written).collect(),
            names: changes.names || later.names,
            everything: changes.everything || later.everything,
        }
    }

    fn show(&mut self) {
        let tailed = self.tails.values().map(|tail| FileStatus {
            path: tail.path.clone(),
            offset: tail.offset(),
            size: tail.size,
            lag_bytes: if tail.is_compressed() { 0 } else { tail.size.saturating_sub(tail.offset()) },
            state: match tail.fate {
                _ if tail.error.is_some() => "unreadable",
                _ if tail.is_done => "done",
                Fate::Live => "tailed",
                Fate::Rotated => "rotated",
            },
            format: tail.format_name(),
            last_error: tail.error.clone(),
        });
        let without = |path: &PathBuf, state: &'static str, error: Option<&String>| FileStatus {
            path: path.clone(),
            offset: 0,
            size: 0,
            lag_bytes: 0,
            state,
            format: "auto",
            last_error: error.cloned(),
        };
        let mut files: Vec<FileStatus> = tailed.collect();
        files.extend(self.unreadable.iter().map(|(path, error)| without(path, "unreadable", Some(error))));
        files.extend(self.copies.iter().map(|path| without(path, "copy", None)));
        files.sort_by(|a, b| a.path.cmp(&b.path));
        self.counters.positions.set((self.orphans.len() + self.tails.len()) as i64);
        self.counters.show(&files);
        *self.shared.status.lock() = files;
    }
}
