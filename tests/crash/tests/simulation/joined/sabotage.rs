//! Correlators that are not what they should be: the simulation must notice.

use bramble_correlate::Correlator;
use bramble_correlate::row::is_own_stream;
use bramble_signal::Signal;
use bramble_storage::{Durable, Observer, Sequence};
use std::sync::Arc;

/// How well is correlated.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Joining {
    /// As in production.
    Sound,
    /// Does not see what it published before.
    Forgetful,
    /// Lets the journal go while windows are open.
    Careless,
}

impl Joining {
    /// What the write path shows items to.
    pub(crate) fn observer(self, correlator: Arc<Correlator>) -> Arc<dyn Observer> {
        match self {
            Joining::Sound => correlator,
            Joining::Forgetful | Joining::Careless => Arc::new(Sabotaged { how: self, correlator }),
        }
    }
}

struct Sabotaged {
    how: Joining,
    correlator: Arc<Correlator>,
}

impl Observer for Sabotaged {
    fn wants(&self, signal: Signal) -> bool {
        self.correlator.wants(signal)
    }

    fn observe(&self, batch: Durable<'_>, sequence: Sequence) {
        if let (Joining::Forgetful, Durable::Logs(logs)) = (self.how, batch)
            && logs.streams().any(|stream| is_own_stream(stream.labels()))
        {
            return;
        }
        self.correlator.observe(batch, sequence);
    }

    fn counted_through(&self) -> Sequence {
        self.correlator.counted_through()
    }

    fn durable_through(&self) -> Sequence {
        match self.how {
            Joining::Careless => Sequence::MAX,
            _ => self.correlator.durable_through(),
        }
    }
}
