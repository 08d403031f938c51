//! The live lane.

use super::store::Held;
use super::{Destination, Entry, Settled, State};
use crate::backoff::Backoff;
use crate::item::Item;
use crate::send::Outcome;
use bramble_signal::Signal;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Requests at a time.
const IN_FLIGHT_MAX: usize = 4;
/// A request may take this long while memory runs full, before it is given up for the disk's sake.
const IN_FLIGHT_PATIENCE: Duration = Duration::from_secs(3);
/// Time between two commits of a queue: each takes a sector or a page of its own, however little is in it, so that two a
/// second of a busy node's three signals are half of what four are. Tests are in a hurry.
const COMMIT_EVERY: Duration = Duration::from_millis(if cfg!(test) { 10 } else { 500 });
/// How much longer what nobody waits for may wait for others to be committed with.
const PATIENT_FOR: Duration = Duration::from_millis(if cfg!(test) { 50 } else { 5000 });
/// With so much that waits a commit is worth it.
const COMMIT_BYTES: usize = 64 << 10;
/// Pause after an error of the disk.
const STORE_PAUSE: Duration = Duration::from_secs(5);

enum Action {
    Send(u64, Arc<Item>),
    /// Requests under way are given up: their items go to disk with the others.
    Abort,
    Store(Vec<Entry>),
    Wait(Option<Instant>),
    End,
}

/// When what waits is to be committed together; `None`: now.
fn commit_due(state: &State) -> Option<Instant> {
    if state.bytes >= COMMIT_BYTES {
        return None;
    }
    let due = |entry: &Entry| entry.since + if entry.is_patient { PATIENT_FOR } else { Duration::ZERO };
    let due = state.entries.iter().map(due).min()?;
    Some(state.stored.map_or(due, |stored| due.max(stored + COMMIT_EVERY)))
}

impl Destination {
    pub(super) async fn run_live(self: Arc<Self>) {
        let settings = &self.settings;
        let mut backoff = Backoff::new(settings.retry_min, settings.retry_max, settings.seed);
        let mut sends: JoinSet<(u64, Outcome)> = JoinSet::new();
        loop {
            match self.decide() {
                Action::Send(order, item) => {
                    let this = self.clone();
                    sends.spawn(async move { (order, this.transport.send(&item, false).await) });
                }
                Action::Abort => {
                    sends.shutdown().await;
                    self.state.lock().entries.iter_mut().for_each(|entry| entry.in_flight = None);
                }
                Action::Store(entries) => self.store_entries(entries).await,
                Action::End => break,
                Action::Wait(until) => {
                    let pause = async {
                        match until {
                            Some(until) => tokio::time::sleep_until(until).await,
                            None => std::future::pending().await,
                        }
                    };
                    tokio::select! {
                        Some(done) = sends.join_next(), if !sends.is_empty() => match done {
                            Ok((order, outcome)) => self.heard(order, outcome, &mut backoff),
                            // It was given up.
                            Err(error) => tracing::debug!("{error}"),
                        },
                        () = self.wake_live.notified() => {}
                        () = pause => {}
                    }
                }
            }
        }
        self.task_ended();
    }

    fn decide(&self) -> Action {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        if state.entries.is_empty() {
            state.is_over_budget = false;
            return if state.stopping { Action::End } else { Action::Wait(None) };
        }
        let now = Instant::now();
        let is_full = state.bytes > self.settings.memory_max || state.is_over_budget;
        let must_store = !state.connected || (self.settings.in_order && state.spooled) || is_full || state.stopping;
        let oldest_flight = state.entries.iter().filter_map(|entry| entry.in_flight).min();
        if must_store {
            if let Some(blocked) = state.store_at.filter(|at| *at > now) {
                return Action::Wait(Some(blocked));
            }
            if let Some(until) = state.unknown_until.filter(|until| *until > now && !is_full && !state.stopping) {
                return Action::Wait(Some(until));
            }
            if !is_full
                && !state.stopping
                && let Some(due) = commit_due(state).filter(|due| *due > now)
            {
                return Action::Wait(Some(due));
            }
            let Some(began) = oldest_flight else {
                state.stored = Some(now);
                return Action::Store(self.take_all(state));
            };
            let patience = if state.bytes > 2 * self.settings.memory_max { Duration::ZERO } else { IN_FLIGHT_PATIENCE };
            return match state.connected && state.failing_since.is_none() && !state.stopping {
                true if now < began + patience => Action::Wait(Some(began + patience)),
                _ => Action::Abort,
            };
        }
        if let Some(at) = state.retry_at.filter(|at| *at > now) {
            return Action::Wait(Some(at));
        }
        let in_flight = state.entries.iter().filter(|entry| entry.in_flight.is_some()).count();
        // After a failure one is enough to find out.
        let most = if state.failing_since.is_some() { 1 } else { IN_FLIGHT_MAX };
        if in_flight >= most {
            return Action::Wait(None);
        }
        let State { entries, lanes, spooled_lanes, .. } = state;
        let mut busy: Vec<Arc<str>> = Vec::new();
        for entry in entries {
            if entry.in_flight.is_none() && !busy.contains(&entry.key) {
                if !entry.is_placed {
                    lanes.place(Arc::make_mut(&mut entry.item), true, spooled_lanes);
                    entry.is_placed = true;
                }
                entry.in_flight = Some(now);
                return Action::Send(entry.order, entry.item.clone());
            }
            busy.push(entry.key.clone());
        }
        Action::Wait(None)
    }

    fn take_all(&self, state: &mut State) -> Vec<Entry> {
        let State { entries, lanes, spooled_lanes, bytes, is_over_budget, .. } = state;
        let mut taken: Vec<Entry> = entries.drain(..).collect();
        for entry in taken.iter_mut().filter(|entry| !entry.is_placed) {
            lanes.place(Arc::make_mut(&mut entry.item), false, spooled_lanes);
            entry.is_placed = true;
        }
        (*bytes, *is_over_budget) = (0, false);
        taken
    }

    /// Puts entries on disk and settles them.
    async fn store_entries(&self, entries: Vec<Entry>) {
        let items: Vec<Arc<Item>> = entries.iter().map(|entry| entry.item.clone()).collect();
        // Before it is true: who reads the mark never believes that nothing is there when something is.
        self.state.lock().spooled = true;
        match self.store.append(items, self.clock.wall_ms()).await {
            Ok(held) => {
                self.stored(&held);
                entries.into_iter().filter_map(|entry| entry.settle).for_each(|settle| settle(Settled::Spooled));
                self.wake_drain.notify_one();
            }
            Err(error) => self.not_stored(entries, &error),
        }
    }

    /// Keeps in memory what nobody else would hand over again, as far as there is room.
    fn not_stored(&self, entries: Vec<Entry>, error: &str) {
        let name = &self.settings.name;
        tracing::warn!(destination = name, "cannot put batches on disk: {error}");
        let mut settles = Vec::new();
        let mut state = self.state.lock();
        state.last_error = Some((self.clock.wall_ms(), format!("queue on disk: {error}")));
        state.store_at = Some(Instant::now() + STORE_PAUSE);
        for entry in entries.into_iter().rev() {
            let bytes = entry.item.memory_bytes();
            if self.settings.hands_over_again {
                settles.push((entry.settle, Settled::Failed(error.to_owned())));
            } else if state.bytes + bytes <= self.settings.memory_max * 2 && !state.stopping {
                state.bytes += bytes;
                state.entries.push_front(entry);
            } else {
                self.metrics.dropped(entry.item.signal, "disk", entry.item.items);
                settles.push((entry.settle, Settled::Dropped));
            }
        }
        drop(state);
        for (settle, settled) in settles {
            if let Some(settle) = settle {
                settle(settled);
            }
        }
    }

    /// Remembers what the spool holds, and counts what it gave up.
    pub(super) fn stored(&self, held: &Held) {
        for signal in Signal::ALL {
            self.metrics.dropped(signal, "queue_full", held.dropped.full[signal as usize]);
            self.metrics.dropped(signal, "expired", held.dropped.expired[signal as usize]);
        }
        self.metrics.dropped(Signal::Metrics, "damaged", held.dropped.damaged);
        self.metrics.disk_bytes.set(held.bytes as i64);
        let mut state = self.state.lock();
        state.spooled_lanes.clone_from(&held.lanes);
        if state.spooled && held.is_empty {
            state.spooled = false;
            drop(state);
            self.wake_live.notify_one();
        } else {
            state.spooled = !held.is_empty;
        }
    }

    /// What became of a live attempt.
    fn heard(&self, order: u64, outcome: Outcome, backoff: &mut Backoff) {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        let Some(index) = state.entries.iter().position(|entry| entry.order == order) else { return };
        let item = state.entries[index].item.clone();
        match outcome {
            Outcome::Taken { .. } | Outcome::Refused(_) | Outcome::TooLarge(_) => {
                let mut entry = state.entries.remove(index);
                state.bytes = state.bytes.saturating_sub(item.memory_bytes());
                backoff.succeeded();
                if state.failing_since.is_some() || state.retry_at.is_some() {
                    (state.failing_since, state.retry_at) = (None, None);
                }
                let settle = entry.as_mut().and_then(|entry| entry.settle.take());
                if let Outcome::TooLarge(why) = &outcome
                    && let Some((first, second)) = crate::halves::cut(&item)
                {
                    let key = entry.map_or_else(|| "".into(), |entry| entry.key);
                    self.insert_halves(state, index, order, key, settle, [first, second]);
                    tracing::debug!(destination = self.settings.name, "cut in two: {why}");
                    drop(guard);
                    self.wake_live.notify_one();
                    return;
                }
                drop(guard);
                let settled = self.count(&item, &outcome);
                if let Some(settle) = settle {
                    settle(settled);
                }
            }
            Outcome::Later { after, why } => {
                state.entries[index].in_flight = None;
                self.failed(state, &item, backoff.failed(after), why, after.is_some());
            }
            Outcome::Away(why) => {
                state.entries[index].in_flight = None;
                self.failed(state, &item, backoff.failed(None), why, false);
            }
        }
    }

    fn insert_halves(
        &self,
        state: &mut State,
        index: usize,
        order: u64,
        key: Arc<str>,
        mut settle: Option<super::Settle>,
        halves: [Item; 2],
    ) {
        for (second, item) in halves.into_iter().enumerate().rev() {
            state.bytes += item.memory_bytes();
            // The order of the first half is the item's; nothing else has the second's, which nobody waits for by number
            // before it is sent.
            let order = if second == 1 { u64::MAX - state.next_order } else { order };
            state.next_order += 1;
            let settle = settle.take();
            let item = Arc::new(item);
            let key = key.clone();
            let entry = Entry {
                order,
                key,
                item,
                settle,
                since: Instant::now(),
                is_patient: true,
                _reservation: None,
                in_flight: None,
                is_placed: true,
            };
            state.entries.insert(index.min(state.entries.len()), entry);
        }
    }

    fn failed(&self, state: &mut State, item: &Item, pause: Duration, why: String, is_busy: bool) {
        let now = Instant::now();
        self.metrics.retried[item.signal as usize].inc();
        let since = *state.failing_since.get_or_insert(now);
        state.retry_at = Some(now + pause);
        // One that says when to come back is there; it gets twice the patience.
        let patience = self.settings.patience * if is_busy { 2 } else { 1 };
        if now.duration_since(since) >= patience || pause > patience {
            self.change(state, false, Some(why));
        } else {
            let now_ms = self.clock.wall_ms();
            self.metrics.last_error.set(now_ms as f64 / 1000.0);
            state.last_error = Some((now_ms, why));
        }
    }

    /// Counts what was taken or refused, and says what that is to who handed it over.
    pub(super) fn count(&self, item: &Item, outcome: &Outcome) -> Settled {
        let signal = item.signal as usize;
        match outcome {
            Outcome::Taken { rejected, why } => {
                self.metrics.sent_items[signal].inc_by(item.items.saturating_sub(*rejected));
                self.metrics.sent_bytes[signal].inc_by(item.payload.len() as u64);
                self.metrics.rejected[signal].inc_by(*rejected);
                if *rejected > 0 {
                    tracing::debug!(destination = self.settings.name, rejected, "{why}");
                }
                Settled::Sent
            }
            Outcome::TooLarge(why) => {
                self.tell_refusal(item, "too_large", why);
                Settled::Dropped
            }
            Outcome::Refused(why) => {
                self.tell_refusal(item, "refused", why);
                Settled::Dropped
            }
            Outcome::Later { why, .. } | Outcome::Away(why) => Settled::Failed(why.clone()),
        }
    }
}
