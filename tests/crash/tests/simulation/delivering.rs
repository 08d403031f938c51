//! A source whose batches are numbered: what is durable of it is told by the journal alone.

use bramble_ingest::WritePath;
use bramble_runtime::Reservation;
use bramble_storage::{Delivery, Done, Urgency, Writer};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Name of the source.
const SOURCE: &str = "node/live";

/// What was sent and what was acknowledged.
#[derive(Default)]
pub(crate) struct Delivering {
    sent: u64,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    acknowledged: AtomicU64,
    under_way: AtomicBool,
}

impl Delivering {
    /// The power went: nobody hears of what was under way.
    pub(crate) fn cut(&mut self) {
        let acknowledged = self.state.acknowledged.load(Ordering::Relaxed);
        self.state = Arc::new(State { acknowledged: acknowledged.into(), ..State::default() });
    }

    /// Whether another delivery may be sent.
    pub(crate) fn is_free(&self) -> bool {
        !self.state.under_way.load(Ordering::Relaxed)
    }

    /// Sends a batch as the next delivery.
    pub(crate) fn send(&mut self, path: &WritePath, batch: bramble_storage::Batch, held: Reservation, done: Done) {
        self.sent += 1;
        let sequence = self.sent;
        let positions =
            vec![("at".to_owned(), sequence.to_string()), (format!("file {}", sequence % 7), "1".to_owned())];
        let state = self.state.clone();
        state.under_way.store(true, Ordering::Relaxed);
        let done: Done = Box::new(move |outcome| {
            if outcome.is_ok() {
                state.acknowledged.fetch_max(sequence, Ordering::Relaxed);
            }
            state.under_way.store(false, Ordering::Relaxed);
            done(outcome);
        });
        path.deliver(Delivery { source: SOURCE.into(), sequence, positions }, batch, held, Urgency::SenderWaits, done);
    }

    /// Holds what a start found against what was acknowledged.
    pub(crate) fn check(&self, path: &WritePath) -> Result<(), String> {
        let found = path.delivered(SOURCE).ok_or("nobody knows what was delivered")?;
        let acknowledged = self.state.acknowledged.load(Ordering::Relaxed);
        if !(acknowledged..=self.sent).contains(&found.sequence) {
            return Err(format!("deliveries: {acknowledged} acknowledged, {} sent, found {found:?}", self.sent));
        }
        let at = found.positions.get("at").map_or("0", String::as_str);
        if at != found.sequence.to_string() {
            return Err(format!("deliveries: the position is not that of the sequence: {found:?}"));
        }
        Ok(())
    }
}
