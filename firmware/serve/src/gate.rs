//! Who may query now: a bounded number of queries at once, shared fairly among clients.
//!
//! Waiting queries stand in *lanes*, one per [`Client`]. A slot that comes free goes to the lane with the fewest running
//! queries, and among equals to the one served longest ago, so that a dashboard with fifty panels and an alert
//! rule that asks one question each get their turn. Waiting is bounded in time by the caller and in number here.

use parking_lot::Mutex;
use prometheus::{IntCounterVec, IntGauge, Opts, Registry};
use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::oneshot;

/// Queries that may wait at once, over all clients; more are refused at once.
const WAITING_MAX: usize = 1024;

/// Who asks: what fairness is among.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Client {
    /// Not known.
    #[default]
    Unknown,
    /// A part of this process, such as rules.
    Internal(&'static str),
    /// Somebody at a door.
    Remote {
        /// Where the connection comes from.
        address: IpAddr,
        /// What it asks for, if it says: a dashboard, an alert rule.
        purpose: String,
    },
}

/// Why no slot was given.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Refused {
    /// Too many wait already.
    Full,
    /// None came free in time.
    Late,
}

struct Lane {
    client: Client,
    running: usize,
    waiters: VecDeque<oneshot::Sender<Slot>>,
}

struct Inner {
    free: usize,
    waiting: usize,
    /// The one served longest ago first. A lane exists while it runs or waits.
    lanes: VecDeque<Lane>,
}

/// The gate. Clones share it.
#[derive(Clone)]
pub struct QueryGate {
    inner: Arc<Mutex<Inner>>,
    /// Slots in all.
    slots: usize,
    running: IntGauge,
    waiting: IntGauge,
    pub(crate) outcomes: IntCounterVec,
}

/// A right to run one query, until dropped.
pub(crate) struct Slot {
    gate: QueryGate,
    client: Client,
}

impl QueryGate {
    /// A gate for `slots` queries at once; its counters go into `registry`.
    ///
    /// # Errors
    /// When a counter of that name is registered already.
    pub fn new(slots: usize, registry: &Registry) -> Result<Self, prometheus::Error> {
        let slots = slots.max(1);
        let gate = QueryGate {
            inner: Arc::new(Mutex::new(Inner { free: slots, waiting: 0, lanes: VecDeque::new() })),
            slots,
            running: IntGauge::new("bramble_queries_running", "Queries that run now.")?,
            waiting: IntGauge::new("bramble_queries_waiting", "Queries that wait for their turn.")?,
            outcomes: IntCounterVec::new(
                Opts::new(
                    "bramble_queries_total",
                    "Queries by how they ended: answered, abandoned by the client, refused for want of a turn.",
                ),
                &["outcome"],
            )?,
        };
        for outcome in ["answered", "abandoned", "refused"] {
            gate.outcomes.with_label_values(&[outcome]);
        }
        registry.register(Box::new(gate.running.clone()))?;
        registry.register(Box::new(gate.waiting.clone()))?;
        registry.register(Box::new(gate.outcomes.clone()))?;
        Ok(gate)
    }

    /// Queries that may run at once.
    pub fn slots(&self) -> usize {
        self.slots
    }

    /// Waits for a turn until `deadline`.
    pub(crate) async fn enter(&self, client: Client, deadline: Instant) -> Result<Slot, Refused> {
        let turn = {
            let mut inner = self.inner.lock();
            if inner.free > 0 && inner.waiting == 0 {
                inner.free -= 1;
                inner.lane(&client).running += 1;
                self.show(&inner);
                return Ok(Slot { gate: self.clone(), client });
            }
            if inner.waiting >= WAITING_MAX {
                inner.forget_gone();
            }
            if inner.waiting >= WAITING_MAX {
                return Err(Refused::Full);
            }
            let (give, turn) = oneshot::channel();
            inner.lane(&client).waiters.push_back(give);
            inner.waiting += 1;
            self.show(&inner);
            turn
        };
        // Somebody may have left between two steps; nobody is left waiting beside a free slot.
        self.dispatch();
        match tokio::time::timeout_at(deadline.into(), turn).await {
            Ok(Ok(slot)) => Ok(slot),
            _ => {
                let mut inner = self.inner.lock();
                inner.forget_gone();
                self.show(&inner);
                Err(Refused::Late)
            }
        }
    }

    /// Gives free slots to those who wait.
    fn dispatch(&self) {
        loop {
            let (give, client) = {
                let mut inner = self.inner.lock();
                let next = if inner.free > 0 { inner.next() } else { None };
                self.show(&inner);
                let Some(next) = next else { return };
                next
            };
            // One who left in this moment drops the slot, which gives it back.
            let _ = give.send(Slot { gate: self.clone(), client });
        }
    }

    fn show(&self, inner: &Inner) {
        self.running.set((self.slots - inner.free) as i64);
        self.waiting.set(inner.waiting as i64);
    }
}

impl Inner {
    fn lane(&mut self, client: &Client) -> &mut Lane {
        let at = self.lanes.iter().position(|l| l.client == *client).unwrap_or_else(|| {
            self.lanes.push_back(Lane { client: client.clone(), running: 0, waiters: VecDeque::new() });
            self.lanes.len() - 1
        });
        &mut self.lanes[at]
    }

    /// The waiter whose turn it is, with a slot booked for it.
    fn next(&mut self) -> Option<(oneshot::Sender<Slot>, Client)> {
        self.forget_gone();
        let waiting = self.lanes.iter().enumerate().filter(|(_, lane)| !lane.waiters.is_empty());
        let (at, _) = waiting.min_by_key(|(at, lane)| (lane.running, *at))?;
        let mut lane = self.lanes.remove(at)?;
        let give = lane.waiters.pop_front();
        let client = lane.client.clone();
        lane.running += usize::from(give.is_some());
        self.lanes.push_back(lane);
        let give = give?;
        (self.free, self.waiting) = (self.free - 1, self.waiting - 1);
        Some((give, client))
    }

    /// Takes those out who do not wait any more.
    fn forget_gone(&mut self) {
        let mut gone = 0;
        for lane in &mut self.lanes {
            let before = lane.waiters.len();
            lane.waiters.retain(|w| !w.is_closed());
            gone += before - lane.waiters.len();
        }
        self.waiting -= gone;
        self.lanes.retain(|l| l.running > 0 || !l.waiters.is_empty());
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        {
            let mut inner = self.gate.inner.lock();
            inner.free += 1;
            inner.lane(&self.client).running -= 1;
            inner.forget_gone();
            self.gate.show(&inner);
        }
        self.gate.dispatch();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn gate(slots: usize) -> QueryGate {
        QueryGate::new(slots, &Registry::new()).unwrap()
    }

    fn later() -> Instant {
        Instant::now() + Duration::from_secs(600)
    }

    #[tokio::test]
    async fn a_client_with_one_question_does_not_wait_behind_fifty() {
        let gate = gate(1);
        let (many, one) = (Client::Internal("dashboard"), Client::Internal("rule"));
        let held = gate.enter(many.clone(), later()).await.unwrap_or_else(|_| panic!("free"));
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = Vec::new();
        let mut ask = |client: &Client, name: &'static str| {
            let (gate, client, order) = (gate.clone(), client.clone(), order.clone());
            tasks.push(tokio::spawn(async move {
                let slot = gate.enter(client, later()).await;
                order.lock().push(name);
                drop(slot);
            }));
        };
        for _ in 0..50 {
            ask(&many, "panel");
        }
        while gate.waiting.get() < 50 {
            tokio::task::yield_now().await;
        }
        let rule = {
            let (gate, order) = (gate.clone(), order.clone());
            tokio::spawn(async move {
                let slot = gate.enter(one, later()).await;
                order.lock().push("rule");
                drop(slot);
            })
        };
        while gate.waiting.get() < 51 {
            tokio::task::yield_now().await;
        }
        drop(held);
        rule.await.unwrap();
        for task in tasks {
            task.await.unwrap();
        }
        let order = order.lock();
        let place = order.iter().position(|n| *n == "rule").unwrap();
        assert!(place <= 1, "the rule came {place} queries later");
        assert_eq!((gate.running.get(), gate.waiting.get(), gate.inner.lock().lanes.len()), (0, 0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_ends() {
        let gate = gate(2);
        let a = gate.enter(Client::Unknown, later()).await;
        let b = gate.enter(Client::Unknown, later()).await;
        let refused = gate.enter(Client::Unknown, Instant::now() + Duration::from_millis(20)).await;
        assert_eq!(refused.err(), Some(Refused::Late));
        assert_eq!(gate.waiting.get(), 0);
        drop((a, b));
        assert!(gate.enter(Client::Unknown, later()).await.is_ok());
        assert_eq!((gate.running.get(), gate.inner.lock().free), (0, 2));
    }

    #[tokio::test]
    async fn those_who_left_take_no_turn() {
        let gate = gate(1);
        let held = gate.enter(Client::Unknown, later()).await;
        let mut left = Box::pin(gate.enter(Client::Internal("left"), later()));
        assert!(tokio::time::timeout(Duration::from_millis(1), &mut left).await.is_err());
        drop(left);
        let stays = gate.enter(Client::Internal("stays"), later());
        tokio::pin!(stays);
        assert!(tokio::time::timeout(Duration::from_millis(1), &mut stays).await.is_err());
        drop(held);
        assert!(stays.await.is_ok());
        assert_eq!(gate.running.get(), 0);
    }
}
