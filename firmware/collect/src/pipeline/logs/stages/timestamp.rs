//! `timestamp`: the time of an entry out of a value.

use super::super::chain::{Context, Flow, Stage};
use super::super::compile::Build;
use super::super::config::{OnFailure, TimestampConfig};
use super::super::entry::Entry;
use super::super::error::Fault;
use super::super::time::{TimeFormat, location};
use super::super::values::Slot;
use super::held::key;
use std::sync::Arc;

/// Streams whose last time is remembered per instance.
const STREAMS_MAX: usize = 256;

/// See the module.
pub(in super::super) struct Timestamp {
    compiled: Arc<Compiled>,
    /// Key of a stream, last time.
    last: Vec<(u64, i64)>,
}

struct Compiled {
    source: Slot,
    formats: Vec<TimeFormat>,
    on_failure: OnFailure,
}

impl Timestamp {
    pub(in super::super) fn new(config: &TimestampConfig, build: &mut Build) -> Result<Self, Fault> {
        let source = build.slot("source", &config.source)?;
        let zone = config.location.as_deref().map(location).transpose().map_err(|e| Fault::of("location", e))?;
        let mut formats = Vec::new();
        let given = std::iter::once(("format", &config.format));
        for (field, format) in given.chain(config.fallback_formats.iter().map(|f| ("fallback_formats", f))) {
            formats.push(TimeFormat::new(format, zone.clone()).map_err(|e| Fault::of(field, e))?);
        }
        let compiled = Compiled { source, formats, on_failure: config.action_on_failure };
        Ok(Timestamp { compiled: Arc::new(compiled), last: Vec::new() })
    }

    fn remember(&mut self, stream: u64, time_ns: i64) {
        match self.last.iter_mut().find(|(key, _)| *key == stream) {
            Some(last) => last.1 = time_ns,
            None => {
                if self.last.len() >= STREAMS_MAX {
                    self.last.remove(0);
                }
                self.last.push((stream, time_ns));
            }
        }
    }
}

impl Stage for Timestamp {
    fn run(&mut self, entry: &mut Entry, context: &mut Context<'_>) -> Flow {
        let compiled = self.compiled.clone();
        let text = entry.value(compiled.source);
        let found = text.and_then(|text| compiled.formats.iter().find_map(|f| f.parse(text, context.now_ns)));
        match (found, compiled.on_failure) {
            (Some(time_ns), OnFailure::Skip) => entry.timestamp_ns = time_ns,
            (Some(time_ns), OnFailure::Fudge) => {
                entry.timestamp_ns = time_ns;
                self.remember(key(entry), time_ns);
            }
            (None, OnFailure::Skip) => return context.fail(),
            (None, OnFailure::Fudge) => {
                let stream = key(entry);
                if let Some((_, last)) = self.last.iter().find(|(key, _)| *key == stream) {
                    entry.timestamp_ns = last.saturating_add(1);
                    self.remember(stream, entry.timestamp_ns);
                }
                return context.fail();
            }
        }
        Flow::On
    }

    fn fork(&self) -> Box<dyn Stage> {
        Box::new(Timestamp { compiled: self.compiled.clone(), last: Vec::new() })
    }
}
