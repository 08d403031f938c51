//! The drain lane, and what is measured beside it.

use super::Destination;
use crate::backoff::Backoff;
use crate::item::Item;
use crate::send::Outcome;
use crate::spool::Waiting;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How often what waits is measured.
const MEASURE_EVERY: Duration = Duration::from_secs(5);
/// The rate that a forecast rests on is an average over about this long.
const RATE_SECONDS: f64 = 60.0;
/// What the ring takes per byte of payload, until it is known: 0.13 to 0.19 of a busy Pi's, on sectors and on pages of 4 KiB.
pub(crate) const SHRINKAGE: f64 = 0.2;

impl Destination {
    pub(super) async fn run_drain(self: Arc<Self>) {
        let settings = &self.settings;
        let mut backoff = Backoff::new(settings.retry_min, settings.retry_max, settings.seed ^ 0x5d);
        let mut settled: Option<Waiting> = None;
        while !self.is_stopping() {
            let spooled = self.state.lock().spooled;
            if !spooled && settled.is_none() {
                self.wait(None).await;
                continue;
            }
            match self.store.next(settled.take(), self.clock.wall_ms()).await {
                Ok((next, held)) => {
                    self.stored(&held);
                    let Some(waiting) = next else {
                        self.wait(Some(Duration::from_secs(30))).await;
                        continue;
                    };
                    if !self.drain_one(&waiting.item, &mut backoff).await {
                        break;
                    }
                    settled = Some(waiting);
                }
                Err(error) => {
                    tracing::warn!(destination = settings.name, "cannot read the queue on disk: {error}");
                    self.wait(Some(Duration::from_secs(5))).await;
                }
            }
        }
        if let Some(settled) = settled {
            // What is read beside it is read again at the next start.
            _ = self.store.next(Some(settled), self.clock.wall_ms()).await;
        }
        self.task_ended();
    }

    /// Sends an item of the spool, in pieces if need be, however long it takes. False: it is stopping.
    async fn drain_one(&self, item: &Item, backoff: &mut Backoff) -> bool {
        let mut pieces = VecDeque::from([item.clone()]);
        while let Some(piece) = pieces.front() {
            if self.is_stopping() {
                return false;
            }
            if self.settings.is_watched && !self.state.lock().connected {
                self.wait(None).await;
                continue;
            }
            let mut stop = self.stop.subscribe();
            let outcome = tokio::select! {
                outcome = self.transport.send(piece, true) => outcome,
                _ = stop.wait_for(|stop| *stop) => return false,
            };
            let pause = match outcome {
                Outcome::TooLarge(_) if let Some((first, second)) = crate::halves::cut(piece) => {
                    pieces.pop_front();
                    pieces.push_front(second);
                    pieces.push_front(first);
                    continue;
                }
                Outcome::Later { after, why } => {
                    let pause = backoff.failed(after);
                    if !self.settings.is_watched {
                        self.set_connected(false, Some(why));
                    }
                    pause
                }
                Outcome::Away(why) => {
                    let pause = backoff.failed(None);
                    self.set_connected(false, Some(why));
                    pause
                }
                outcome => {
                    backoff.succeeded();
                    self.count(piece, &outcome);
                    if !self.settings.is_watched && !self.state.lock().connected {
                        self.set_connected(true, None);
                    }
                    pieces.pop_front();
                    continue;
                }
            };
            self.metrics.retried[item.signal as usize].inc();
            self.wait_for(pause).await;
        }
        true
    }

    async fn wait(&self, at_most: Option<Duration>) {
        match at_most {
            Some(at_most) => _ = tokio::time::timeout(at_most, self.wake_drain.notified()).await,
            None => self.wake_drain.notified().await,
        }
    }

    /// A pause that only stopping ends early.
    async fn wait_for(&self, pause: Duration) {
        let until = Instant::now() + pause;
        while !self.is_stopping() && tokio::time::timeout_at(until, self.wake_drain.notified()).await.is_ok() {}
    }

    /// Keeps gauges and the forecast current until it stops.
    pub(super) async fn run_measure(self: Arc<Self>) {
        let (mut rate, mut before) = (0.0, self.state.lock().raw_bytes);
        let mut rounds = 0u64;
        // What is on disk from the last time is looked at at once, since sources wait for what it says of them.
        if self.store.may_hold_items()
            && let Ok((_, held)) = self.store.look(self.clock.wall_ms()).await
        {
            self.stored(&held);
        }
        while !self.is_stopping() {
            rounds += 1;
            if rounds.is_multiple_of(12)
                && let Some(held) = self.store.expire(self.clock.wall_ms()).await
            {
                self.stored(&held);
            }
            let status = self.status();
            let held = self.store.held();
            let (raw_bytes, mut items) = {
                let state = self.state.lock();
                let mut items = held.items;
                state.entries.iter().for_each(|entry| items[entry.item.signal as usize] += entry.item.items);
                (state.raw_bytes, items)
            };
            let now_rate = (raw_bytes - before) as f64 / MEASURE_EVERY.as_secs_f64();
            before = raw_bytes;
            let weight = 1.0 - (-MEASURE_EVERY.as_secs_f64() / RATE_SECONDS).exp();
            rate += (now_rate - rate) * if rounds < 12 { 1.0 / rounds as f64 } else { weight };
            let on_disk = rate * held.shrinkage.unwrap_or(SHRINKAGE);
            let left = self.settings.spool.bytes_max.saturating_sub(held.bytes) as f64;
            self.metrics.forecast_seconds.set(if on_disk > 0.0 { left / on_disk } else { 0.0 });
            self.metrics.memory_bytes.set(status.memory_bytes as i64);
            self.metrics.disk_bytes.set(status.disk_bytes as i64);
            let age_ms = status.oldest_ms.map_or(0, |oldest| self.clock.wall_ms() - oldest);
            self.metrics.oldest_seconds.set(age_ms.max(0) as f64 / 1000.0);
            for (gauge, items) in self.metrics.queue_items.iter().zip(&mut items) {
                gauge.set(*items as i64);
            }
            let mut stopping = self.ended.subscribe();
            // The other lanes end first; this one notices within the pause at the latest.
            _ = tokio::time::timeout(MEASURE_EVERY, stopping.wait_for(|ended| *ended > 0)).await;
        }
        self.task_ended();
    }
}
