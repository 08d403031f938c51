//! `template`, and templates inside `replace`: Go's text templates over the values of a line.

use super::super::chain::{Context, Flow, Stage};
use super::super::compile::Build;
use super::super::config::TemplateConfig;
use super::super::entry::Entry;
use super::super::error::Fault;
use super::super::values::Slot;
use bramble_query_logql::TextTemplate;
use std::sync::Arc;

/// A template, and what it looks at.
pub(super) struct Compiled {
    template: TextTemplate,
    slots: Vec<(String, Slot)>,
}

/// Names that are no values of the line.
const VALUE: &str = "Value";
const ENTRY: &str = "Entry";

impl Compiled {
    pub(super) fn new(field: &'static str, text: &str, build: &mut Build) -> Result<Self, Fault> {
        let template = TextTemplate::new(text).map_err(|e| Fault::of(field, e))?;
        let mut slots: Vec<(String, Slot)> = Vec::new();
        for name in template.names() {
            if name != VALUE && name != ENTRY && slots.iter().all(|(n, _)| n != name) {
                slots.push((name.to_owned(), build.slot(field, name)?));
            }
        }
        Ok(Compiled { template, slots })
    }

    /// The text for an entry and a value.
    pub(super) fn run(&self, entry: &Entry, value: Option<&str>) -> Result<String, String> {
        let line = if self.template.names().any(|n| n == ENTRY) || self.template.looks_at_all() {
            String::from_utf8_lossy(&entry.line)
        } else {
            "".into()
        };
        let mut pairs: Vec<(&str, &str)> = vec![(ENTRY, &line)];
        pairs.extend(value.map(|value| (VALUE, value)));
        if self.template.looks_at_all() {
            for (at, name) in entry.values.names().iter().enumerate() {
                pairs.extend(entry.values.of_index(at).map(|value| (name.as_str(), value)));
            }
        } else {
            pairs.extend(self.slots.iter().filter_map(|(name, slot)| Some((name.as_str(), entry.value(*slot)?))));
        }
        self.template.run(&entry.line, entry.timestamp_ns, &pairs)
    }
}

/// `template`
#[derive(Clone)]
pub(in super::super) struct TemplateStage {
    compiled: Arc<Compiled>,
    source: Slot,
}

impl TemplateStage {
    pub(in super::super) fn new(config: &TemplateConfig, build: &mut Build) -> Result<Self, Fault> {
        let source = build.slot("source", &config.source)?;
        Ok(TemplateStage { compiled: Arc::new(Compiled::new("template", &config.template, build)?), source })
    }
}

impl Stage for TemplateStage {
    fn run(&mut self, entry: &mut Entry, context: &mut Context<'_>) -> Flow {
        match self.compiled.run(entry, entry.value(self.source)) {
            Ok(text) if text.is_empty() => entry.values.remove(self.source),
            Ok(text) => entry.values.set(self.source, &text),
            Err(_) => return context.fail(),
        }
        Flow::On
    }

    fn fork(&self) -> Box<dyn Stage> {
        Box::new(self.clone())
    }
}
