//! `multiline`: lines up to the next first line are one entry.

use super::super::chain::{Context, Flow, Release, Stage};
use super::super::compile::{duration, regex};
use super::super::config::MultilineConfig;
use super::super::entry::Entry;
use super::super::error::Fault;
use super::held::{Waiting, key};
use regex::bytes::Regex;
use std::sync::Arc;

const WAIT_NS: i64 = 3_000_000_000;
const LINES_MAX: usize = 128;
/// Bytes of an entry: what comes after is passed on as another one.
const BYTES_MAX: usize = 1 << 20;

struct Compiled {
    first: Regex,
    wait_ns: i64,
    lines_max: usize,
}

/// See the module.
pub(in super::super) struct Multiline {
    compiled: Arc<Compiled>,
    waiting: Waiting,
}

impl Multiline {
    pub(in super::super) fn new(config: &MultilineConfig) -> Result<Self, Fault> {
        let first = regex("firstline", &config.firstline)?;
        let wait_ns = config.max_wait_time.as_deref().map_or(Ok(WAIT_NS), |text| duration("max_wait_time", text))?;
        let lines_max = config.max_lines.filter(|n| *n > 0).unwrap_or(LINES_MAX);
        Ok(Multiline { compiled: Arc::new(Compiled { first, wait_ns, lines_max }), waiting: Waiting::default() })
    }
}

impl Stage for Multiline {
    fn run(&mut self, entry: &mut Entry, context: &mut Context<'_>) -> Flow {
        let stream = key(entry);
        let is_first = self.compiled.first.is_match(&entry.line);
        let Some(held) = self.waiting.get(stream) else {
            // Before the first first line, lines pass.
            if !is_first {
                return Flow::On;
            }
            let other = self.waiting.put(stream, entry, context.now_ns);
            return if other { Flow::On } else { Flow::Held };
        };
        if is_first {
            self.waiting.swap(stream, entry, context.now_ns);
            return Flow::On;
        }
        held.entry.line.push(b'\n');
        held.entry.line.extend_from_slice(&entry.line);
        held.entry.line_changed();
        held.lines += 1;
        held.last_ns = context.now_ns;
        if held.lines >= self.compiled.lines_max || held.entry.line.len() >= BYTES_MAX {
            self.waiting.take(stream, entry);
            return Flow::On;
        }
        Flow::Held
    }

    fn fork(&self) -> Box<dyn Stage> {
        Box::new(Multiline { compiled: self.compiled.clone(), waiting: Waiting::default() })
    }

    fn release(&mut self, how: Release, entry: &mut Entry, _: &mut Context<'_>) -> bool {
        let until_ns = match how {
            Release::Due(now_ns) => now_ns.saturating_sub(self.compiled.wait_ns),
            Release::All => i64::MAX,
        };
        self.waiting.take_due(until_ns, entry)
    }

    fn held(&self) -> Option<u64> {
        self.waiting.oldest()
    }
}
