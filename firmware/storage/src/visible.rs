//! Streams that Bramble writes for itself: which they are, how long they are kept, and that who does not ask for them by
//! their label ([`OWN_STREAM_LABEL`]) does not see them.

use crate::{
    LogCursor, LogSelect, LogSource, MetadataWanted, OWN_STREAM_LABEL, QueryContext, ReadError, RetentionClass,
    StreamSteps, StreamTotals, TallyVisitor, TemplateCounts,
};
use bramble_signal::{Labels, LabelsRef, MatchOp, Matcher};
use std::borrow::Cow;
use std::sync::Arc;

/// How long entries of a stream are kept.
pub fn class_of_stream(labels: LabelsRef<'_>) -> RetentionClass {
    if labels.get(OWN_STREAM_LABEL).is_some() { RetentionClass::Cold } else { RetentionClass::Warm }
}

/// Whether entries of this class may match. Own streams are the only ones of the cold class, and are of no other.
pub fn may_be_of_class(matchers: &[Matcher], class: RetentionClass) -> bool {
    let mut by_label = matchers.iter().filter(|matcher| matcher.name == OWN_STREAM_LABEL);
    if class == RetentionClass::Cold {
        by_label.all(|matcher| matcher.op != MatchOp::Equal || !matcher.value.is_empty())
    } else {
        by_label.all(Matcher::matches_absent)
    }
}

/// The matchers, and one that leaves own streams out where none of them names their label.
pub fn hiding_own(matchers: &[Matcher]) -> Cow<'_, [Matcher]> {
    if matchers.iter().any(|matcher| matcher.name == OWN_STREAM_LABEL) {
        return Cow::Borrowed(matchers);
    }
    let hiding = Matcher::equal(OWN_STREAM_LABEL, "");
    Cow::Owned(matchers.iter().cloned().chain([hiding]).collect())
}

/// A source as people see it: without own streams, unless a matcher names their label.
pub struct Visible<S: ?Sized>(Arc<S>);

impl<S: LogSource + ?Sized> Visible<S> {
    /// What is to be seen of `source`.
    pub fn new(source: Arc<S>) -> Self {
        Visible(source)
    }
}

impl<S: LogSource + ?Sized> LogSource for Visible<S> {
    fn select<'a>(
        &'a self,
        select: &LogSelect<'_>,
        context: &'a QueryContext,
    ) -> Result<Box<dyn LogCursor + 'a>, ReadError> {
        self.0.select(&LogSelect { matchers: &hiding_own(select.matchers), ..select.clone() }, context)
    }

    fn streams(
        &self,
        matchers: &[Matcher],
        start_ns: i64,
        end_ns: i64,
        context: &QueryContext,
    ) -> Result<Vec<Labels>, ReadError> {
        self.0.streams(&hiding_own(matchers), start_ns, end_ns, context)
    }

    fn tally(
        &self,
        select: &LogSelect<'_>,
        metadata: MetadataWanted<'_>,
        line_bytes: bool,
        context: &QueryContext,
        each: &mut TallyVisitor<'_>,
    ) -> Result<(), ReadError> {
        let select = LogSelect { matchers: &hiding_own(select.matchers), ..select.clone() };
        self.0.tally(&select, metadata, line_bytes, context, each)
    }

    fn totals(
        &self,
        matchers: &[Matcher],
        start_ns: i64,
        end_ns: i64,
        context: &QueryContext,
    ) -> Result<Vec<StreamTotals>, ReadError> {
        self.0.totals(&hiding_own(matchers), start_ns, end_ns, context)
    }

    fn totals_by_step(
        &self,
        matchers: &[Matcher],
        start_ns: i64,
        end_ns: i64,
        step_ns: i64,
        context: &QueryContext,
    ) -> Result<Vec<StreamSteps>, ReadError> {
        self.0.totals_by_step(&hiding_own(matchers), start_ns, end_ns, step_ns, context)
    }

    fn templates(
        &self,
        select: &LogSelect<'_>,
        step_ns: i64,
        most: usize,
        context: &QueryContext,
    ) -> Result<Vec<TemplateCounts>, ReadError> {
        let select = LogSelect { matchers: &hiding_own(select.matchers), ..select.clone() };
        self.0.templates(&select, step_ns, most, context)
    }

    fn floating_names(&self) -> Vec<String> {
        self.0.floating_names()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::MemoryLogs;
    use crate::{Direction, LogRows, LogSink};
    use bramble_signal::LogBatch;

    fn source() -> Visible<MemoryLogs> {
        let (logs, mut batch) = (MemoryLogs::new(), LogBatch::new());
        for labels in [("app", "web"), (OWN_STREAM_LABEL, "correlations"), ("app", "db")] {
            batch.start_stream(&mut [labels]).unwrap();
            batch.push_entry(5, b"line", &mut []).unwrap();
        }
        logs.replay(&batch, 1);
        Visible::new(Arc::new(logs))
    }

    fn seen(source: &dyn LogSource, matchers: &[Matcher]) -> Vec<String> {
        let context = QueryContext::unlimited();
        let (mut rows, mut found) = (LogRows::default(), Vec::new());
        let select = LogSelect { matchers, direction: Direction::Backward, ..LogSelect::default() };
        let mut cursor = source.select(&select, &context).unwrap();
        while cursor.next(&mut rows).unwrap() {
            found.extend(rows.batch.streams().map(|stream| stream.labels().to_string()));
        }
        found.sort();
        let listed: Vec<String> = source
            .streams(matchers, 0, 9, &context)
            .unwrap()
            .iter()
            .map(|labels| labels.as_ref().to_string())
            .collect();
        let totals: Vec<String> =
            source.totals(matchers, 0, 9, &context).unwrap().iter().map(|t| t.labels.as_ref().to_string()).collect();
        let steps: Vec<String> = source
            .totals_by_step(matchers, 0, 9, 9, &context)
            .unwrap()
            .iter()
            .map(|t| t.labels.as_ref().to_string())
            .collect();
        let mut tallied = Vec::new();
        let select = LogSelect { matchers, ..LogSelect::default() };
        let mut each = |run: &crate::TallyRun<'_>| {
            tallied.push(run.labels.to_string());
            Ok(())
        };
        source.tally(&select, MetadataWanted::None, false, &context, &mut each).unwrap();
        tallied.sort();
        for other in [listed, totals, steps, tallied] {
            assert_eq!(other, found);
        }
        found
    }

    #[test]
    fn own_streams_are_seen_by_who_names_them() {
        let source = source();
        let own = format!("{{{OWN_STREAM_LABEL}=\"correlations\"}}");
        assert_eq!(seen(&source, &[]), [r#"{app="db"}"#, r#"{app="web"}"#]);
        assert_eq!(seen(&source, &[Matcher::new("app", MatchOp::NotEqual, "db").unwrap()]), [r#"{app="web"}"#]);
        assert_eq!(seen(&source, &[Matcher::new("app", MatchOp::Equal, "").unwrap()]), [""; 0]);
        assert_eq!(seen(&source, &[Matcher::equal(OWN_STREAM_LABEL, "correlations")]), [own.as_str()]);
        assert_eq!(seen(&source, &[Matcher::new(OWN_STREAM_LABEL, MatchOp::Regex, ".*").unwrap()]).len(), 3);
    }

    #[test]
    fn matchers_tell_of_which_class_entries_can_be() {
        let asked = |op, value: &str| {
            let matchers = [Matcher::equal("app", "web"), Matcher::new(OWN_STREAM_LABEL, op, value).unwrap()];
            (may_be_of_class(&matchers, RetentionClass::Warm), may_be_of_class(&matchers, RetentionClass::Cold))
        };
        assert_eq!(asked(MatchOp::Equal, ""), (true, false));
        assert_eq!(asked(MatchOp::Equal, "x"), (false, true));
        assert_eq!(asked(MatchOp::NotEqual, ""), (false, true));
        assert_eq!(asked(MatchOp::NotEqual, "x"), (true, true));
        assert_eq!(asked(MatchOp::Regex, ".*"), (true, true));
        assert!(may_be_of_class(&[], RetentionClass::Cold) && may_be_of_class(&[], RetentionClass::Warm));
    }
}
