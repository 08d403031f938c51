//! `logfmt`, `regex`, `pattern`: values out of lines that are no JSON.

use super::super::chain::{Context, Flow, Stage};
use super::super::compile::{Build, regex};
use super::super::config::{LogfmtConfig, PatternConfig, RegexConfig};
use super::super::entry::Entry;
use super::super::error::Fault;
use super::super::values::{Slot, Values};
use bramble_line::logfmt;
use bramble_line::name::is_plain;
use bramble_line::pattern::Pattern;
use regex::bytes::{CaptureLocations, Regex};
use std::sync::Arc;

/// Copies a source's value into `text`; `false` when there is none.
fn copy(entry: &Entry, slot: Slot, text: &mut String) -> bool {
    text.clear();
    let Some(value) = entry.value(slot) else { return false };
    text.push_str(value);
    true
}

/// Keys with their slots, and the source.
type Keys = (Vec<(String, Slot)>, Option<Slot>);

/// `logfmt`
pub(in super::super) struct Logfmt {
    compiled: Arc<Keys>,
    text: String,
}

impl Logfmt {
    pub(in super::super) fn new(config: &LogfmtConfig, build: &mut Build) -> Result<Self, Fault> {
        if config.mapping.is_empty() {
            return Err(Fault::of("mapping", "at least one is needed"));
        }
        let mut keys = Vec::new();
        for (name, key) in &config.mapping {
            let slot = build.slot("mapping", name)?;
            keys.push((key.clone().filter(|k| !k.is_empty()).unwrap_or_else(|| name.clone()), slot));
        }
        Ok(Logfmt { compiled: Arc::new((keys, build.source(config.source.as_ref())?)), text: String::new() })
    }
}

impl Stage for Logfmt {
    fn run(&mut self, entry: &mut Entry, context: &mut Context<'_>) -> Flow {
        let (keys, source) = &*self.compiled;
        let read = |text: &str, values: &mut Values| {
            logfmt::pairs(text, false, |key, value| {
                for (wanted, slot) in keys {
                    if wanted == key {
                        values.set(*slot, &value);
                    }
                }
                true
            })
        };
        let outcome = match source {
            Some(slot) if !copy(entry, *slot, &mut self.text) => return context.fail(),
            Some(_) => read(&self.text, &mut entry.values),
            None => match entry.text_and_values() {
                (Some(text), values) => read(text, values),
                (None, _) => return context.fail(),
            },
        };
        if outcome.is_err() { context.fail() } else { Flow::On }
    }

    fn fork(&self) -> Box<dyn Stage> {
        Box::new(Logfmt { compiled: self.compiled.clone(), text: String::new() })
    }
}

/// `regex`
pub(in super::super) struct RegexStage {
    compiled: Arc<CompiledRegex>,
    locations: CaptureLocations,
    text: String,
}

struct CompiledRegex {
    regex: Regex,
    /// Group, slot, name.
    groups: Vec<(usize, Slot, String)>,
    source: Option<Slot>,
    labels: bool,
}

impl RegexStage {
    pub(in super::super) fn new(config: &RegexConfig, build: &mut Build) -> Result<Self, Fault> {
        let regex = regex("expression", &config.expression)?;
        let mut groups = Vec::new();
        for (group, name) in regex.capture_names().enumerate() {
            if let Some(name) = name {
                groups.push((group, build.slot("expression", name)?, name.to_owned()));
            }
        }
        if groups.is_empty() {
            return Err(Fault::of("expression", format!("needs a named group, (?P<name>…): {}", config.expression)));
        }
        let (source, locations) = (build.source(config.source.as_ref())?, regex.capture_locations());
        let compiled = CompiledRegex { regex, groups, source, labels: config.labels_from_groups };
        Ok(RegexStage { compiled: Arc::new(compiled), locations, text: String::new() })
    }
}

impl Stage for RegexStage {
    fn run(&mut self, entry: &mut Entry, context: &mut Context<'_>) -> Flow {
        let compiled = &*self.compiled;
        let Entry { line, values, labels, .. } = entry;
        let text = match compiled.source {
            None => line.as_slice(),
            Some(slot) => {
                self.text.clear();
                let Some(value) = values.get(slot, labels) else { return context.fail() };
                self.text.push_str(value);
                self.text.as_bytes()
            }
        };
        if compiled.regex.captures_read(&mut self.locations, text).is_none() {
            return context.fail();
        }
        for (group, slot, name) in &compiled.groups {
            // A group that took no part gives an empty value, as Go's do.
            let value = self.locations.get(*group).and_then(|(start, end)| text.get(start..end)).unwrap_or(b"");
            values.set_bytes(*slot, value);
            if compiled.labels {
                labels.set(name, values.of_line(*slot).unwrap_or(""));
            }
        }
        Flow::On
    }

    fn fork(&self) -> Box<dyn Stage> {
        let locations = self.compiled.regex.capture_locations();
        Box::new(RegexStage { compiled: self.compiled.clone(), locations, text: String::new() })
    }
}

/// `pattern`
pub(in super::super) struct PatternStage {
    compiled: Arc<CompiledPattern>,
    text: String,
}

struct CompiledPattern {
    pattern: Pattern,
    slots: Vec<(String, Slot)>,
    source: Option<Slot>,
    labels: bool,
}

impl PatternStage {
    pub(in super::super) fn new(config: &PatternConfig, build: &mut Build) -> Result<Self, Fault> {
        let fault = |reason| Fault::of("pattern", format!("{reason}: {}", config.pattern));
        let pattern = Pattern::new(&config.pattern).and_then(Pattern::for_parser).map_err(fault)?;
        let mut slots = Vec::new();
        for part in config.pattern.split('<').skip(1) {
            let Some((name, _)) = part.split_once('>') else { continue };
            if is_plain(name) && name != "_" {
                slots.push((name.to_owned(), build.slot("pattern", name)?));
            }
        }
        let source = build.source(config.source.as_ref())?;
        let compiled = CompiledPattern { pattern, slots, source, labels: config.labels_from_groups };
        Ok(PatternStage { compiled: Arc::new(compiled), text: String::new() })
    }
}

impl Stage for PatternStage {
    fn run(&mut self, entry: &mut Entry, context: &mut Context<'_>) -> Flow {
        let compiled = &*self.compiled;
        if let Some(slot) = compiled.source
            && !copy(entry, slot, &mut self.text)
        {
            return context.fail();
        }
        let Entry { line, values, labels, .. } = entry;
        let text = if compiled.source.is_some() { self.text.as_bytes() } else { line.as_slice() };
        let mut any = false;
        compiled.pattern.captures(text, |name, value| {
            if let Some((_, slot)) = compiled.slots.iter().find(|(n, _)| n == name) {
                any = true;
                values.set_bytes(*slot, value);
                if compiled.labels {
                    labels.set(name, values.of_line(*slot).unwrap_or(""));
                }
            }
        });
        if any { Flow::On } else { context.fail() }
    }

    fn fork(&self) -> Box<dyn Stage> {
        Box::new(PatternStage { compiled: self.compiled.clone(), text: String::new() })
    }
}
