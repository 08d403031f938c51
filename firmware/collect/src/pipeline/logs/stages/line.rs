//! `output`, `pack`, `decolorize`: another line.

use super::super::chain::{Context, Flow, Stage};
use super::super::compile::Build;
use super::super::config::{OutputConfig, PackConfig};
use super::super::entry::Entry;
use super::super::error::Fault;
use super::super::values::Slot;
use std::sync::Arc;

/// `output`
#[derive(Clone)]
pub(in super::super) struct Output(Slot);

impl Output {
    pub(in super::super) fn new(config: &OutputConfig, build: &mut Build) -> Result<Self, Fault> {
        Ok(Output(build.slot("source", &config.source)?))
    }
}

impl Stage for Output {
    fn run(&mut self, entry: &mut Entry, context: &mut Context<'_>) -> Flow {
        if entry.value_to_line(self.0) { Flow::On } else { context.fail() }
    }

    fn fork(&self) -> Box<dyn Stage> {
        Box::new(self.clone())
    }
}

/// The key of the line in a packed one.
const LINE: &str = "_entry";

/// `pack`
#[derive(Clone)]
pub(in super::super) struct Pack {
    /// Ascending by name; among them the line, without a slot.
    names: Arc<[(String, Option<Slot>)]>,
    now: bool,
}

impl Pack {
    pub(in super::super) fn new(config: &PackConfig, build: &mut Build) -> Result<Self, Fault> {
        let mut names = vec![(LINE.to_owned(), None)];
        for name in &config.labels {
            if name == LINE {
                return Err(Fault::of("labels", "_entry is the line's"));
            }
            names.push((name.clone(), Some(build.slot("labels", name)?)));
        }
        names.sort_by(|a, b| a.0.cmp(&b.0));
        names.dedup_by(|a, b| a.0 == b.0);
        Ok(Pack { names: names.into(), now: config.ingest_timestamp.unwrap_or(true) })
    }
}

impl Stage for Pack {
    fn run(&mut self, entry: &mut Entry, context: &mut Context<'_>) -> Flow {
        let Entry { line, spare, labels, values, .. } = entry;
        spare.clear();
        for (name, slot) in self.names.iter() {
            let lossy;
            let value = match slot {
                None => {
                    lossy = String::from_utf8_lossy(line);
                    Some(&*lossy)
                }
                Some(slot) => labels.get(name).or_else(|| values.of_line(*slot)),
            };
            let Some(value) = value else { continue };
            spare.push(if spare.is_empty() { b'{' } else { b',' });
            put_json(name, spare);
            spare.push(b':');
            put_json(value, spare);
        }
        spare.push(b'}');
        self.names.iter().filter(|(_, slot)| slot.is_some()).for_each(|(name, _)| labels.remove(name));
        entry.take_spare();
        if self.now {
            entry.timestamp_ns = context.now_ns;
        }
        Flow::On
    }

    fn fork(&self) -> Box<dyn Stage> {
        Box::new(self.clone())
    }
}

/// Appends a JSON string.
pub(super) fn put_json(text: &str, out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.push(b'"');
    for &byte in text.as_bytes() {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0..0x20 => {
                let digit = |n: u8| DIGITS.get(usize::from(n)).copied().unwrap_or(b'0');
                out.extend_from_slice(&[b'\\', b'u', b'0', b'0', digit(byte >> 4), digit(byte & 15)]);
            }
            _ => out.push(byte),
        }
    }
    out.push(b'"');
}

/// `decolorize`
#[derive(Clone, Copy)]
pub(in super::super) struct Decolorize;

impl Stage for Decolorize {
    fn run(&mut self, entry: &mut Entry, _: &mut Context<'_>) -> Flow {
        if let Some(plain) = bramble_line::decolorize::decolorize(&entry.line) {
            entry.line = plain;
            entry.line_changed();
        }
        Flow::On
    }

    fn fork(&self) -> Box<dyn Stage> {
        Box::new(*self)
    }
}
