//! `drop`: entries go when all that is asked applies to them.

use super::super::chain::{Context, Flow, Stage};
use super::super::compile::{Build, bytes, duration, regex};
use super::super::config::{DropConfig, names};
use super::super::entry::Entry;
use super::super::error::Fault;
use super::super::values::Slot;
use regex::bytes::Regex;
use std::sync::Arc;

struct Compiled {
    sources: Vec<Slot>,
    separator: String,
    value: Option<String>,
    expression: Option<Regex>,
    older_than_ns: Option<i64>,
    longer_than: Option<usize>,
}

/// See the module.
pub(in super::super) struct Drop {
    compiled: Arc<Compiled>,
    /// Values joined.
    text: String,
}

impl Drop {
    pub(in super::super) fn new(config: &DropConfig, build: &mut Build) -> Result<Self, Fault> {
        let mut sources = Vec::new();
        for name in names(config.source.as_ref()).iter().filter(|n| !n.is_empty()) {
            sources.push(build.slot("source", name)?);
        }
        if config.value.is_some() && config.expression.is_some() {
            return Err(Fault::of("expression", "not beside value: give one of them"));
        }
        if config.value.is_some() && sources.is_empty() {
            return Err(Fault::of("value", "needs a source to compare with"));
        }
        let compiled = Compiled {
            sources,
            separator: config.separator.clone().unwrap_or_else(|| ";".to_owned()),
            value: config.value.clone(),
            expression: config.expression.as_deref().map(|text| regex("expression", text)).transpose()?,
            older_than_ns: config.older_than.as_deref().map(|text| duration("older_than", text)).transpose()?,
            longer_than: config.longer_than.as_deref().map(|text| bytes("longer_than", text)).transpose()?,
        };
        let nothing = compiled.sources.is_empty()
            && compiled.expression.is_none()
            && compiled.older_than_ns.is_none()
            && compiled.longer_than.is_none();
        if nothing {
            return Err(Fault::whole("one of source, expression, older_than and longer_than is needed"));
        }
        Ok(Drop { compiled: Arc::new(compiled), text: String::new() })
    }
}

impl Stage for Drop {
    fn run(&mut self, entry: &mut Entry, context: &mut Context<'_>) -> Flow {
        let compiled = &*self.compiled;
        if compiled.longer_than.is_some_and(|most| entry.line.len() <= most) {
            return Flow::On;
        }
        if compiled.older_than_ns.is_some_and(|age| context.now_ns.saturating_sub(entry.timestamp_ns) <= age) {
            return Flow::On;
        }
        let text = if compiled.sources.is_empty() {
            entry.line.as_slice()
        } else {
            self.text.clear();
            for (at, slot) in compiled.sources.iter().enumerate() {
                // All of them must be there.
                let Some(value) = entry.value(*slot) else { return Flow::On };
                if at > 0 {
                    self.text.push_str(&compiled.separator);
                }
                self.text.push_str(value);
            }
            self.text.as_bytes()
        };
        let differs = compiled.value.as_ref().is_some_and(|value| value.as_bytes() != text)
            || compiled.expression.as_ref().is_some_and(|expression| !expression.is_match(text));
        if differs { Flow::On } else { Flow::Dropped }
    }

    fn fork(&self) -> Box<dyn Stage> {
        Box::new(Drop { compiled: self.compiled.clone(), text: String::new() })
    }
}
