//! New correlations on their way to whoever listens.
//!
//! A ring of the newest, numbered from 1 on, bounded in bytes, from which each listener reads at its own pace:
//! one that is too slow finds that what it was to read next is gone, and hears how many it missed. Nobody waits for
//! anybody, and a listener costs nothing but its place.

use bramble_correlate::Correlation;
use bramble_runtime::{Budget, Reservation};
use parking_lot::Mutex;
use prometheus::{IntCounter, IntGauge, Registry};
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::sync::watch;

/// What the ring may hold: some minutes at 60 traces/s would need far more, so a listener has seconds, which is plenty
/// for one that reads at all.
const BYTES_MAX: usize = 256 << 10;

/// The newest correlations; clones share them.
#[derive(Clone)]
pub struct CorrelationFeed(Arc<Inner>);

struct Inner {
    ring: Mutex<Ring>,
    /// Number of the next publication, and whether there will be none.
    news: watch::Sender<(u64, bool)>,
    budget: Budget,
    listeners: IntGauge,
    listeners_max: usize,
    missed: IntCounter,
}

struct Ring {
    /// With their sizes, oldest first; the last one is number `next - 1`.
    kept: VecDeque<(Arc<Correlation>, usize)>,
    bytes: usize,
    next: u64,
    listeners: usize,
    /// Room for all that the ring may hold, from the first publication on.
    room: Option<Reservation>,
}

impl CorrelationFeed {
    /// A feed for `listeners_max` at once; what it keeps is counted against `budget`, what happens into `registry`.
    ///
    /// # Errors
    /// When a counter of that name is registered already.
    pub fn new(listeners_max: usize, budget: &Budget, registry: &Registry) -> Result<Self, prometheus::Error> {
        let name = "bramble_correlation_listeners";
        let listeners = IntGauge::new(name, "Clients that listen for new correlations now.")?;
        let name = "bramble_correlation_listeners_missed_total";
        let missed =
            IntCounter::new(name, "Correlations that listeners did not hear of because they read too slowly.")?;
        registry.register(Box::new(listeners.clone()))?;
        registry.register(Box::new(missed.clone()))?;
        let ring = Ring { kept: VecDeque::new(), bytes: 0, next: 1, listeners: 0, room: None };
        Ok(CorrelationFeed(Arc::new(Inner {
            ring: Mutex::new(ring),
            news: watch::Sender::new((1, false)),
            budget: budget.clone(),
            listeners,
            listeners_max,
            missed,
        })))
    }

    /// Tells listeners of correlations, in this order. Never waits; one that does not fit is missed by all.
    pub fn publish<'a>(&self, correlations: impl IntoIterator<Item = &'a Arc<Correlation>>) {
        let mut correlations = correlations.into_iter().peekable();
        if correlations.peek().is_none() {
            return;
        }
        let mut ring = self.0.ring.lock();
        if ring.room.is_none() {
            ring.room = self.0.budget.reserve(BYTES_MAX).ok();
        }
        for correlation in correlations {
            ring.push(correlation);
        }
        let next = ring.next;
        drop(ring);
        self.0.news.send_modify(|news| news.0 = next);
    }

    /// Ends all streams: the process stops.
    pub fn close(&self) {
        self.0.news.send_modify(|news| news.1 = true);
    }

    /// A listener that hears what is published from now on, or from number `from` on as far as it is still kept;
    /// `None` when there are too many.
    pub(super) fn listen(&self, from: Option<u64>) -> Option<Listener> {
        let mut ring = self.0.ring.lock();
        if ring.listeners >= self.0.listeners_max {
            return None;
        }
        ring.listeners += 1;
        self.0.listeners.set(ring.listeners as i64);
        // A number that was not given out yet is that of another life of this process.
        let next = from.filter(|from| *from <= ring.next).unwrap_or(ring.next);
        Some(Listener { feed: self.clone(), news: self.0.news.subscribe(), next })
    }

    /// How many may listen at once.
    pub(super) fn listeners_max(&self) -> usize {
        self.0.listeners_max
    }
}

impl Ring {
    fn push(&mut self, correlation: &Arc<Correlation>) {
        self.next += 1;
        let size = bytes_of(correlation);
        // What lies before one that is not kept cannot be told from it any more: it would be read as missed anyway.
        if self.room.is_none() || size > BYTES_MAX {
            self.kept.clear();
            self.bytes = 0;
            return;
        }
        while self.bytes + size > BYTES_MAX {
            let Some((_, freed)) = self.kept.pop_front() else { break };
            self.bytes -= freed;
        }
        self.bytes += size;
        self.kept.push_back((correlation.clone(), size));
    }

    /// Number of the oldest that is kept.
    fn first(&self) -> u64 {
        self.next - self.kept.len() as u64
    }
}

/// Memory of one, roughly and not too little.
pub(super) fn bytes_of(c: &Correlation) -> usize {
    /// What an allocation costs beside its bytes.
    const EACH: usize = 48;
    let ids: usize = c.ids.iter().map(|(_, value)| value.len() + EACH).sum();
    let participant = |p: &bramble_correlate::correlation::Participant| {
        p.service.len() + p.node.len() + p.env.len() + size_of_val(p) + EACH
    };
    let participants: usize = c.participants.iter().map(participant).sum();
    let error = c.first_error.as_ref().map_or(0, |e| e.service.len() + e.text.len() + EACH);
    let worst = c.worst_span.as_ref().map_or(0, |w| w.service.len() + w.name.len() + EACH);
    let series: usize = c.exemplar_series.iter().map(|s| s.len() + EACH).sum();
    size_of::<Correlation>() + ids + participants + error + worst + series + c.entry_spans.len() * 8 + EACH
}

/// What a listener hears.
#[derive(Debug)]
pub(super) enum Heard {
    /// A correlation, and its number.
    One(u64, Arc<Correlation>),
    /// So many were dropped before it came to read them.
    Missed(u64),
}

/// Someone who listens, until dropped.
pub(super) struct Listener {
    feed: CorrelationFeed,
    news: watch::Receiver<(u64, bool)>,
    /// Number of what it reads next.
    next: u64,
}

impl Listener {
    /// What comes next; waits for it. `None` when nothing will. Nothing is lost when the future is dropped.
    pub(super) async fn next(&mut self) -> Option<Heard> {
        loop {
            if let Some(heard) = self.read() {
                return Some(heard);
            }
            let next = self.next;
            let closed = self.news.wait_for(|(published, closed)| *closed || *published > next).await.ok()?.1;
            if closed {
                return None;
            }
        }
    }

    fn read(&mut self) -> Option<Heard> {
        let ring = self.feed.0.ring.lock();
        let first = ring.first();
        if self.next < first {
            let missed = first - self.next;
            self.next = first;
            self.feed.0.missed.inc_by(missed);
            return Some(Heard::Missed(missed));
        }
        let (correlation, _) = ring.kept.get((self.next - first) as usize)?;
        self.next += 1;
        Some(Heard::One(self.next - 1, correlation.clone()))
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let mut ring = self.feed.0.ring.lock();
        ring.listeners -= 1;
        self.feed.0.listeners.set(ring.listeners as i64);
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::correlation;
    use super::*;
    use bramble_runtime::BudgetName;

    fn feed(limit_bytes: usize) -> (CorrelationFeed, Budget) {
        let budget = Budget::standalone(BudgetName::Correlate, limit_bytes);
        (CorrelationFeed::new(2, &budget, &Registry::new()).unwrap(), budget)
    }

    async fn opened(listener: &mut Listener) -> Result<i64, u64> {
        match listener.next().await.expect("something") {
            Heard::One(_, c) => Ok(c.id.opened_ms),
            Heard::Missed(n) => Err(n),
        }
    }

    #[tokio::test]
    async fn each_hears_all_that_comes_after_it() {
        let (feed, _) = feed(1 << 20);
        feed.publish(&[Arc::new(correlation(1))]);
        let mut a = feed.listen(None).unwrap();
        feed.publish([2, 3].map(|n| Arc::new(correlation(n))).iter());
        let mut b = feed.listen(None).unwrap();
        assert!(feed.listen(None).is_none(), "two at once");
        feed.publish(&[Arc::new(correlation(4))]);
        for n in 2..=4 {
            assert_eq!(opened(&mut a).await, Ok(n));
        }
        assert_eq!(opened(&mut b).await, Ok(4));
        drop(b);
        let mut again = feed.listen(Some(2)).unwrap();
        assert_eq!(opened(&mut again).await, Ok(2), "number 2 is still kept");
        drop(again);
        assert_eq!(feed.listen(Some(99)).unwrap().next, 5, "a number of another life");
        let waits = tokio::spawn(async move { a.next().await.is_none() });
        tokio::task::yield_now().await;
        feed.close();
        assert!(waits.await.unwrap());
    }

    #[tokio::test]
    async fn memory_is_bounded_and_what_is_missed_is_said() {
        let (feed, budget) = feed(1 << 20);
        let mut slow = feed.listen(None).unwrap();
        let mut long = correlation(0);
        long.exemplar_series = vec!["x".repeat(1000); 8];
        let size = bytes_of(&long);
        for n in 1..=1000 {
            long.id.opened_ms = n;
            feed.publish(&[Arc::new(long.clone())]);
            assert!(feed.0.ring.lock().bytes <= BYTES_MAX);
        }
        assert_eq!(budget.used_bytes(), BYTES_MAX);
        let kept = BYTES_MAX / size;
        assert_eq!(opened(&mut slow).await, Err(1000 - kept as u64));
        assert_eq!(opened(&mut slow).await, Ok(1001 - kept as i64));
        assert_eq!(feed.0.missed.get(), 1000 - kept as u64);
    }

    #[tokio::test]
    async fn without_memory_listeners_hear_of_that_only() {
        let (feed, budget) = feed(BYTES_MAX - 1);
        let mut listener = feed.listen(None).unwrap();
        feed.publish(&[Arc::new(correlation(1)), Arc::new(correlation(2))]);
        assert_eq!((opened(&mut listener).await, budget.used_bytes()), (Err(2), 0));
    }
}
