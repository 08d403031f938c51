//! Pipelines over log entries.

use super::attributes::Actions;
use super::compiled::{Compiled, Outcome, Pipeline, Step};
use super::config::Place;
use super::fields::Fields;
use super::logs::{LogBuilder, LogPipeline, RawLine, Redactor};
use super::run_metrics::{Relabelled, relabelled};
use crate::relabel::RelabelConfig;
use bramble_runtime::Budget;
use bramble_signal::labels::encode_sorted;
use bramble_signal::{LabelsRef, LogBatch, LogStream, Signal};
use bramble_storage::WriteError;
use parking_lot::Mutex;

impl Compiled {
    /// Runs a batch through all pipelines for logs.
    ///
    /// # Errors
    /// [`WriteError::OverBudget`] when a limiter says so.
    pub(super) fn logs(&self, batch: &mut LogBatch, receive: &Budget, now_ns: i64) -> Result<Outcome, WriteError> {
        let mut total = Outcome::default();
        for pipeline in self.of(Signal::Logs) {
            pipeline.check_limits(Signal::Logs, receive, batch.memory_bytes(), true)?;
            let one = run(pipeline, batch, now_ns);
            total.items += one.items;
            total.changed |= one.changed;
        }
        Ok(total)
    }
}

fn run(pipeline: &Pipeline, batch: &mut LogBatch, now_ns: i64) -> Outcome {
    let mut selected: Vec<bool> =
        batch.streams().map(|stream| pipeline.selector.matches_labels(stream.labels())).collect();
    let mut outcome = Outcome::default();
    if !selected.contains(&true) {
        return outcome;
    }
    for step in &pipeline.steps {
        let before = batch.entry_count();
        match step {
            Step::Attributes(actions) => outcome.changed |= change(batch, &selected, actions),
            Step::Filter { filter, keep, counters } => {
                drop_entries(batch, &selected, |stream, at, batch| {
                    filter.meets_entry(stream.labels(), &batch.entry(at)) != *keep
                });
                counters.dropped(Signal::Logs, (before - batch.entry_count()) as u64);
            }
            Step::Relabel(rules, counters) => {
                outcome.changed |= relabel_streams(batch, &selected, rules);
                counters.dropped(Signal::Logs, (before - batch.entry_count()) as u64);
            }
            Step::Stages(stages, counters) => {
                (*batch, selected) = staged(batch, &selected, stages, now_ns);
                outcome.changed = true;
                counters.dropped(Signal::Logs, before.saturating_sub(batch.entry_count()) as u64);
            }
            Step::Limit(..) => {}
        }
        outcome.items += before.saturating_sub(batch.entry_count()) as u64;
    }
    outcome.changed |= outcome.items > 0;
    outcome
}

/// Acts on labels of selected streams and on metadata of their entries; whether anything changed.
fn change(batch: &mut LogBatch, selected: &[bool], actions: &Actions) -> bool {
    let (of_streams, of_entries) = actions.are_for();
    let (mut encoded, mut changed, mut entry) = (Vec::new(), false, 0);
    for (at, is_selected) in selected.iter().enumerate() {
        let entries = batch.stream(at).len();
        let first = entry;
        entry += entries;
        if !is_selected {
            continue;
        }
        if of_streams {
            encoded.clear();
            let mut fields = Fields::of_labels(batch.stream(at).labels());
            actions.change_labels(Place::Resource, &mut fields);
            if fields.changed {
                fields.encode_labels(&mut encoded);
                batch.set_labels(at, LabelsRef::from_encoded(&encoded));
                changed = true;
            }
        }
        for index in (first..first + entries).filter(|_| of_entries) {
            encoded.clear();
            let mut fields = Fields::of_labels(batch.entry(index).metadata);
            actions.change_labels(Place::Item, &mut fields);
            if fields.changed {
                fields.encode_labels(&mut encoded);
                batch.set_metadata(index, LabelsRef::from_encoded(&encoded));
                changed = true;
            }
        }
    }
    changed
}

/// Takes entries out of selected streams.
fn drop_entries(batch: &mut LogBatch, selected: &[bool], is_gone: impl Fn(&LogStream<'_>, usize, &LogBatch) -> bool) {
    let (mut gone, mut entry) = (Vec::with_capacity(batch.entry_count()), 0);
    for (stream, is_selected) in batch.streams().zip(selected) {
        for _ in 0..stream.len() {
            gone.push(*is_selected && is_gone(&stream, entry, batch));
            entry += 1;
        }
    }
    if gone.contains(&true) {
        batch.retain_entries(|at| !gone.get(at).copied().unwrap_or(false));
    }
}

fn relabel_streams(batch: &mut LogBatch, selected: &[bool], rules: &[RelabelConfig]) -> bool {
    let (mut encoded, mut changed, mut dropped) = (Vec::new(), false, Vec::new());
    for (at, is_selected) in selected.iter().enumerate() {
        let mut is_dropped = false;
        if *is_selected {
            match relabelled(batch.stream(at).labels(), rules, &mut encoded) {
                Relabelled::Same => {}
                Relabelled::Other => {
                    batch.set_labels(at, LabelsRef::from_encoded(&encoded));
                    changed = true;
                }
                Relabelled::Dropped => is_dropped = true,
            }
        }
        dropped.extend(std::iter::repeat_n(is_dropped, batch.stream(at).len()));
    }
    if dropped.contains(&true) {
        batch.retain_entries(|at| !dropped.get(at).copied().unwrap_or(false));
        changed = true;
    }
    changed
}

/// Streams that are selected, run through stages, behind those that are not, as they are.
fn staged(batch: &LogBatch, selected: &[bool], stages: &Mutex<LogPipeline>, now_ns: i64) -> (LogBatch, Vec<bool>) {
    let mut builder = LogBuilder::new();
    for (stream, _) in batch.streams().zip(selected).filter(|(_, selected)| **selected) {
        let mut stages = stages.lock().fork();
        for entry in stream.entries() {
            let line = RawLine {
                now_ns,
                metadata: entry.metadata,
                ..RawLine::new(entry.timestamp_ns, stream.labels(), entry.line)
            };
            // A limit that asks to wait cannot make a sender wait for a line; the line was taken.
            _ = stages.push(line, &mut builder);
        }
        // The next batch may be of another sender: nothing is held for it.
        stages.flush(now_ns, &mut builder);
    }
    let staged = builder.finish();
    let mut out = LogBatch::with_capacity(batch.arena().len());
    let mut copy = |stream: LogStream<'_>| {
        out.start_stream_encoded(stream.labels());
        for entry in stream.entries() {
            out.push_entry_encoded(entry.timestamp_ns, entry.line, entry.metadata);
        }
    };
    if !selected.contains(&false) {
        let count = staged.stream_count();
        return (staged, vec![true; count]);
    }
    batch.streams().zip(selected).filter(|(_, selected)| !**selected).for_each(|(stream, _)| copy(stream));
    staged.streams().for_each(copy);
    let others = selected.iter().filter(|selected| !**selected).count();
    let selected = (0..out.stream_count()).map(|at| at >= others).collect();
    (out, selected)
}

/// Takes secrets out of lines and metadata; says how many.
pub(super) fn redact_logs(redactor: &Redactor, batch: &mut LogBatch) -> u64 {
    let (mut clean, mut encoded, mut hits) = (Vec::new(), Vec::new(), 0);
    for at in 0..batch.entry_count() {
        if let Some(count) = redactor.redact(batch.entry(at).line, &mut clean) {
            batch.set_line(at, &clean);
            hits += u64::from(count.get());
        }
        let count = redact_labels(redactor, batch.entry(at).metadata, &mut encoded);
        if count > 0 {
            batch.set_metadata(at, LabelsRef::from_encoded(&encoded));
            hits += count;
        }
    }
    hits
}

/// Takes secrets out of the values of a set; `out` holds it again when there were any.
fn redact_labels(redactor: &Redactor, labels: LabelsRef<'_>, out: &mut Vec<u8>) -> u64 {
    let (mut clean, mut hits) = (Vec::new(), 0);
    let mut changed: Vec<(&str, String)> = Vec::new();
    for (name, value) in labels.iter() {
        if let Some(count) = redactor.redact_field(name, value.as_bytes(), &mut clean) {
            changed.push((name, String::from_utf8_lossy(&clean).into_owned()));
            hits += u64::from(count.get());
        }
    }
    if hits > 0 {
        out.clear();
        let value = |name: &str, old: &'_ str| {
            changed.iter().find(|(known, _)| *known == name).map_or_else(|| old.to_owned(), |(_, new)| new.clone())
        };
        let pairs: Vec<(&str, String)> = labels.iter().map(|(name, old)| (name, value(name, old))).collect();
        encode_sorted(pairs.iter().map(|(name, value)| (*name, value.as_str())), out);
    }
    hits
}
