//! A pipeline over entries that come without being asked for: live tails, and tests of single entries.

use super::fields::{Base, Fields, Origin};
use super::pipeline::{Pipeline, Row, Scratch};
use super::{Entry, LabelSet, QueryError};
use crate::syntax::LogExpr;
use bramble_signal::{LabelsRef, LogBatch, LogEntry};
use std::borrow::Cow;

/// A log query's stages, ready to run over batches whose streams were selected already.
pub struct Tail {
    pipeline: Pipeline,
    scratch: Scratch,
    categorize: bool,
}

impl Tail {
    /// Builds the stages; `categorize` keeps labels apart by origin, as in [`LogParams`](super::LogParams).
    ///
    /// # Errors
    /// [`QueryError::Query`] in Loki's words.
    pub fn new(expr: &LogExpr, categorize: bool) -> Result<Self, QueryError> {
        let pipeline = Pipeline::new(expr)?;
        let scratch = pipeline.scratch(Fields::default());
        Ok(Tail { pipeline, scratch, categorize })
    }

    /// Calls `each` with every entry that passes, with its labels: all, or only the stream's own if labels are kept apart
    /// by origin.
    pub fn run(&mut self, batch: &LogBatch, mut each: impl FnMut(LabelSet, Entry)) {
        for stream in batch.streams() {
            let base = Base::new(stream.labels());
            for entry in stream.entries() {
                let Some(row) = pass(&self.pipeline, &mut self.scratch, &base, &entry) else { continue };
                let line = row.line.into_owned();
                let only = self.categorize.then_some(Origin::Stream);
                let fields = &self.scratch.fields;
                let of = |origin| if self.categorize { fields.to_set(Some(origin)) } else { LabelSet::default() };
                let (metadata, parsed) = (of(Origin::Metadata), of(Origin::Parsed));
                each(fields.to_set(only), Entry { timestamp_ns: entry.timestamp_ns, line, metadata, parsed });
            }
        }
    }
}

/// The stages of a log query as a test of stored entries whose stream was selected already.
pub struct EntryTest {
    pipeline: Pipeline,
    looks_at_entries: bool,
}

impl EntryTest {
    /// Builds the stages.
    ///
    /// # Errors
    /// [`QueryError::Query`] in Loki's words.
    pub fn new(expr: &LogExpr) -> Result<Self, QueryError> {
        Ok(EntryTest { pipeline: Pipeline::new(expr)?, looks_at_entries: !expr.stages.is_empty() })
    }

    /// Whether there is anything to test: a bare selector accepts all.
    pub fn looks_at_entries(&self) -> bool {
        self.looks_at_entries
    }

    /// Whether the entry of a stream of these labels passes all stages.
    pub fn accepts(&self, labels: LabelsRef<'_>, entry: &LogEntry<'_>) -> bool {
        if !self.looks_at_entries {
            return true;
        }
        if self.pipeline.is_empty() {
            return self.pipeline.predicates.iter().all(|p| p.accepts(entry.line));
        }
        let mut scratch = self.pipeline.scratch(Fields::default());
        pass(&self.pipeline, &mut scratch, &Base::new(labels), entry).is_some()
    }
}

/// Runs one entry through all stages; its labels are in the scratch then.
fn pass<'a>(pipeline: &Pipeline, scratch: &mut Scratch, base: &Base, entry: &LogEntry<'a>) -> Option<Row<'a>> {
    // What the store tests where there is one.
    if !pipeline.predicates.iter().all(|p| p.accepts(entry.line)) {
        return None;
    }
    let mut row = Row { timestamp_ns: entry.timestamp_ns, line: Cow::Borrowed(entry.line) };
    scratch.fields.start(base, entry.metadata);
    pipeline.run(&mut row, scratch).then_some(row)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Expr, parse};

    fn log(query: &str) -> LogExpr {
        match parse(query) {
            Ok(Expr::Log(log)) => log,
            other => panic!("{other:?}"),
        }
    }

    fn batch() -> LogBatch {
        let mut batch = LogBatch::new();
        batch.start_stream(&mut [("service", "a")]).unwrap();
        batch.push_entry(1, b"level=info took=3ms", &mut [("trace_id", "7")]).unwrap();
        batch.push_entry(2, b"level=error took=90ms", &mut []).unwrap();
        batch
    }

    #[test]
    fn stages_run_over_what_comes() {
        let mut tail =
            Tail::new(&log(r#"{service="a"} |= "level" | logfmt | took > 50ms | line_format "{{.level}}""#), false)
                .unwrap();
        let mut got = Vec::new();
        tail.run(&batch(), |labels, entry| got.push((labels.to_string(), entry)));
        let [(labels, entry)] = got.as_slice() else { panic!("{got:?}") };
        assert_eq!(labels, r#"{level="error", service="a", took="90ms"}"#);
        assert_eq!((entry.timestamp_ns, entry.line.as_slice()), (2, &b"error"[..]));
        let mut tail = Tail::new(&log(r#"{service="a"} | logfmt"#), true).unwrap();
        let mut got = Vec::new();
        tail.run(&batch(), |labels, entry| got.push((labels.to_string(), entry)));
        assert_eq!(got[0].0, r#"{service="a"}"#);
        assert_eq!((got[0].1.metadata.get("trace_id"), got[0].1.parsed.get("level")), (Some("7"), Some("info")));
    }

    #[test]
    fn entries_are_tested_one_by_one() {
        let passing = |query: &str| {
            let test = EntryTest::new(&log(query)).unwrap();
            let batch = batch();
            let stream = batch.stream(0);
            let found: Vec<i64> =
                stream.entries().filter(|e| test.accepts(stream.labels(), e)).map(|e| e.timestamp_ns).collect();
            found
        };
        assert_eq!(passing(r#"{service="a"}"#), [1, 2]);
        assert_eq!(passing(r#"{service="a"} |= "info""#), [1]);
        assert_eq!(passing(r#"{service="a"} | logfmt | level="error""#), [2]);
        assert_eq!(passing(r#"{service="a"} | trace_id="7""#), [1]);
        assert!(!EntryTest::new(&log(r#"{service="a"}"#)).unwrap().looks_at_entries());
    }
}
