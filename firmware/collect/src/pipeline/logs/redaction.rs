//! Which redactor is in force, while the process runs.

use super::redact::{RedactConfig, Redactor};
use parking_lot::RwLock;
use prometheus::{IntCounterVec, Registry};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What takes secrets out now, if anything does. Whoever follows it asks before each line whether it is another.
pub struct Redaction {
    counted: IntCounterVec,
    current: RwLock<Option<Arc<Redactor>>>,
    changes: AtomicU64,
}

impl Redaction {
    /// Registers `bramble_redacted_values_total{kind}`; nothing is redacted yet.
    ///
    /// # Errors
    /// [`prometheus::Error::AlreadyReg`] when called twice with one registry.
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counted = Redactor::counter()?;
        registry.register(Box::new(counted.clone()))?;
        Ok(Redaction { counted, current: RwLock::default(), changes: AtomicU64::new(0) })
    }

    /// A redactor that counts here, to be put into force by [`set`](Self::set).
    ///
    /// # Errors
    /// A kind that is none.
    pub fn compile(&self, config: &RedactConfig) -> Result<Arc<Redactor>, String> {
        Redactor::counting(config, self.counted.clone()).map(Arc::new)
    }

    /// From the next line on, this redactor is in force; `None`: secrets stay.
    pub fn set(&self, redactor: Option<Arc<Redactor>>) {
        *self.current.write() = redactor;
        self.changes.fetch_add(1, Ordering::Release);
    }

    /// The redactor in force.
    pub fn current(&self) -> Option<Arc<Redactor>> {
        self.current.read().clone()
    }

    /// Another number after each change.
    pub(super) fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }
}

/// Somebody who follows a redaction.
#[derive(Clone)]
pub(super) struct Following {
    redaction: Arc<Redaction>,
    seen: u64,
}

impl Following {
    pub(super) fn new(redaction: Arc<Redaction>) -> Following {
        // What is in force is asked for before the first line.
        Following { seen: redaction.changes().wrapping_sub(1), redaction }
    }

    /// Whether what was in force when it was asked for last is so still.
    pub(super) fn is_current(&self) -> bool {
        self.redaction.changes() == self.seen
    }

    /// What is in force.
    pub(super) fn ask(&mut self) -> Option<Arc<Redactor>> {
        self.seen = self.redaction.changes();
        self.redaction.current()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{LogBuilder, LogPipeline, RawLine};
    use super::*;
    use bramble_signal::LabelsRef;

    #[test]
    fn lines_follow_what_is_in_force() {
        let registry = Registry::new();
        let redaction = Arc::new(Redaction::new(&registry).unwrap());
        let mut pipeline = LogPipeline::compile(&[]).unwrap().following(&redaction).fork();
        let mut through = || {
            let mut out = LogBuilder::new();
            pipeline.push(RawLine::new(1, LabelsRef::EMPTY, b"password=hunter2"), &mut out);
            let (batch, is_empty) = (out.finish(), pipeline.is_empty());
            (String::from_utf8_lossy(batch.entry(0).line).into_owned(), is_empty)
        };
        let (plain, clean) = ("password=hunter2".to_owned(), "password=<redacted:password>".to_owned());
        assert_eq!(through(), (plain.clone(), true));
        redaction.set(Some(redaction.compile(&RedactConfig::default()).unwrap()));
        assert_eq!(through(), (clean.clone(), false));
        let not = RedactConfig { not: vec!["password".to_owned()], ..RedactConfig::default() };
        redaction.set(Some(redaction.compile(&not).unwrap()));
        assert_eq!(through().0, plain);
        redaction.set(None);
        assert_eq!(through(), (plain, true));
        redaction.set(Some(redaction.compile(&RedactConfig::default()).unwrap()));
        assert_eq!(through().0, clean);
        let counted: f64 = registry.gather()[0].get_metric().iter().map(|m| m.get_counter().get_value()).sum();
        assert_eq!(counted, 2.0, "all count together");
    }
}
