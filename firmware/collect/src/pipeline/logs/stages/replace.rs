//! `replace`: what an expression's groups match becomes something else, in the line or in a value.

use super::super::chain::{Context, Flow, Stage};
use super::super::compile::{Build, regex};
use super::super::config::ReplaceConfig;
use super::super::entry::Entry;
use super::super::error::Fault;
use super::super::values::Slot;
use super::template::Compiled as Template;
use regex::bytes::Regex;
use std::sync::Arc;

enum With {
    Text(String),
    Template(Template),
}

struct Compiled {
    regex: Regex,
    source: Option<Slot>,
    with: With,
    /// Named groups.
    groups: Vec<(usize, Slot)>,
}

/// See the module.
#[derive(Clone)]
pub(in super::super) struct Replace(Arc<Compiled>);

impl Replace {
    pub(in super::super) fn new(config: &ReplaceConfig, build: &mut Build) -> Result<Self, Fault> {
        let regex = regex("expression", &config.expression)?;
        let mut groups = Vec::new();
        for (group, name) in regex.capture_names().enumerate() {
            if let Some(name) = name {
                groups.push((group, build.slot("expression", name)?));
            }
        }
        let with = match config.replace.contains("{{") {
            true => With::Template(Template::new("replace", &config.replace, build)?),
            false => With::Text(config.replace.clone()),
        };
        let source = build.source(config.source.as_ref())?;
        Ok(Replace(Arc::new(Compiled { regex, source, with, groups })))
    }
}

/// What goes where: start, end, group, text.
type Change = (usize, usize, usize, String);

impl Compiled {
    fn changes(&self, entry: &Entry, text: &[u8]) -> Result<Vec<Change>, String> {
        let mut changes: Vec<Change> = Vec::new();
        for captures in self.regex.captures_iter(text) {
            let whole = usize::from(captures.len() > 1);
            for group in whole..captures.len() {
                let Some(found) = captures.get(group) else { continue };
                // A group inside another one is replaced with it.
                if changes.last().is_some_and(|(_, end, ..)| *end > found.start()) {
                    continue;
                }
                let with = match &self.with {
                    With::Text(text) => text.clone(),
                    With::Template(template) => {
                        template.run(entry, Some(&String::from_utf8_lossy(found.as_bytes())))?
                    }
                };
                changes.push((found.start(), found.end(), group, with));
            }
        }
        Ok(changes)
    }
}

impl Stage for Replace {
    fn run(&mut self, entry: &mut Entry, context: &mut Context<'_>) -> Flow {
        let compiled = &*self.0;
        let text: &[u8] = match compiled.source {
            None => &entry.line,
            Some(slot) => match entry.value(slot) {
                Some(value) => value.as_bytes(),
                None => return context.fail(),
            },
        };
        if !compiled.regex.is_match(text) {
            return Flow::On;
        }
        let Ok(changes) = compiled.changes(entry, text) else { return context.fail() };
        let mut out = Vec::with_capacity(text.len());
        let mut from = 0;
        for (start, end, _, with) in &changes {
            out.extend_from_slice(text.get(from..*start).unwrap_or(&[]));
            out.extend_from_slice(with.as_bytes());
            from = *end;
        }
        out.extend_from_slice(text.get(from..).unwrap_or(&[]));
        match compiled.source {
            Some(slot) => entry.values.set_bytes(slot, &out),
            None => {
                entry.line = out;
                entry.line_changed();
            }
        }
        for (group, slot) in &compiled.groups {
            if let Some((.., with)) = changes.iter().find(|(_, _, g, _)| g == group) {
                entry.values.set(*slot, with);
            }
        }
        Flow::On
    }

    fn fork(&self) -> Box<dyn Stage> {
        Box::new(self.clone())
    }
}
