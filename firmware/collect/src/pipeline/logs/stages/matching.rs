//! `match`: stages for entries that a selector accepts.

use super::super::chain::{Chain, Context, Flow, Release, Stage};
use super::super::compile::Build;
use super::super::config::{MatchAction, MatchConfig};
use super::super::entry::Entry;
use super::super::error::Fault;
use bramble_query_logql::EntryTest;
use bramble_query_logql::syntax::parse_log;
use bramble_signal::{LabelsRef, LogEntry, Matcher};
use std::sync::Arc;

struct Compiled {
    matchers: Vec<Matcher>,
    /// What follows the selector, if anything does.
    test: Option<EntryTest>,
    drop: bool,
}

/// See the module.
pub(in super::super) struct Match {
    compiled: Arc<Compiled>,
    chain: Chain,
    labels: Vec<u8>,
}

impl Match {
    pub(in super::super) fn new(config: &MatchConfig, build: &mut Build) -> Result<Self, Fault> {
        let fault = |e: String| Fault::of("selector", format!("{e}: {}", config.selector));
        if config.selector.trim().is_empty() {
            return Err(Fault::of("selector", "is empty"));
        }
        let log = parse_log(&config.selector).map_err(|e| fault(e.to_string()))?;
        let test = EntryTest::new(&log).map_err(|e| fault(e.to_string()))?;
        let drop = config.action == MatchAction::Drop;
        match (drop, config.stages.is_empty()) {
            (true, false) => return Err(Fault::of("stages", "not with action: drop")),
            (false, true) => return Err(Fault::of("stages", "needed with action: keep")),
            _ => {}
        }
        let chain = build.nested(&config.stages)?;
        let test = test.looks_at_entries().then_some(test);
        Ok(Match { compiled: Arc::new(Compiled { matchers: log.matchers, test, drop }), chain, labels: Vec::new() })
    }

    fn accepts(&mut self, entry: &Entry) -> bool {
        let compiled = &*self.compiled;
        if !compiled.matchers.iter().all(|m| m.matches(entry.labels.get(&m.name).unwrap_or(""))) {
            return false;
        }
        let Some(test) = &compiled.test else { return true };
        self.labels.clear();
        entry.labels.encode(&mut self.labels);
        let line = LogEntry { timestamp_ns: entry.timestamp_ns, line: &entry.line, metadata: LabelsRef::EMPTY };
        test.accepts(LabelsRef::from_encoded(&self.labels), &line)
    }
}

impl Stage for Match {
    fn run(&mut self, entry: &mut Entry, context: &mut Context<'_>) -> Flow {
        if !self.accepts(entry) {
            return Flow::On;
        }
        if self.compiled.drop {
            return Flow::Dropped;
        }
        match self.chain.run(entry, context) {
            Flow::Dropped => Flow::Gone,
            other => other,
        }
    }

    fn fork(&self) -> Box<dyn Stage> {
        Box::new(Match { compiled: self.compiled.clone(), chain: self.chain.fork(), labels: Vec::new() })
    }

    fn release(&mut self, how: Release, entry: &mut Entry, context: &mut Context<'_>) -> bool {
        self.chain.release(how, entry, context)
    }

    fn held(&self) -> Option<u64> {
        self.chain.held()
    }

    fn nested(&mut self) -> Option<&mut Chain> {
        Some(&mut self.chain)
    }
}
