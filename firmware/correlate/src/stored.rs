//! Reading correlations back from the log store.
//!
//! Rows are read newest first. Those of all revisions of a correlation lie in one millisecond ([`crate::row`]), so that the
//! highest is known as soon as an older millisecond begins, and reading ends with the last one that is asked for.

use crate::correlation::{Correlation, CorrelationId, CorrelationQuery, CorrelationSource};
use crate::row::{HAS_ERROR, ROWS, read_row, search};
use bramble_line::ids::IdKind;
use bramble_signal::{LogEntry, Matcher};
use bramble_storage::{
    Direction, LinePredicate, LogRows, LogSelect, LogSource, OWN_STREAM_LABEL, QueryContext, ReadError,
};
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use std::cmp::Reverse;
use std::sync::Arc;

const NS_PER_MS: i64 = 1_000_000;

/// By how much a revision may start before the correlation was first published.
const EARLIER_NS: i64 = 60_000_000_000;

/// What a correlation takes in memory, about, in bytes.
const CORRELATION_BYTES: usize = 1 << 10;

/// Correlations in a log store.
pub struct StoredCorrelations {
    logs: Arc<dyn LogSource>,
}

impl StoredCorrelations {
    /// Those in `logs`, which must not hide own streams.
    pub fn new(logs: Arc<dyn LogSource>) -> Self {
        StoredCorrelations { logs }
    }

    /// Reads rows of `range`, newest first, until `wanted` have been found that pass `accepts` in their highest revision.
    fn read(
        &self,
        ask: &Ask<'_>,
        wanted: usize,
        accepts: &dyn Fn(&Correlation) -> bool,
        context: &QueryContext,
    ) -> Result<Vec<Correlation>, ReadError> {
        let mut matchers = vec![Matcher::equal(OWN_STREAM_LABEL, ROWS)];
        // What failed stays failed in later revisions. The other way round it is not so.
        if ask.has_error == Some(true) {
            matchers.push(Matcher::equal(HAS_ERROR, "true"));
        }
        let select = LogSelect {
            matchers: &matchers,
            start_ns: ask.range.0,
            end_ns: ask.range.1,
            lines: ask.lines,
            fields: &ask.fields,
            direction: Direction::Backward,
            rows_hint: Some(wanted),
            ..LogSelect::default()
        };
        let (mut cursor, mut rows) = (self.logs.select(&select, context)?, LogRows::default());
        let (mut found, mut moment) = (Vec::new(), Moment::default());
        while cursor.next(&mut rows)? {
            for entry in in_order(&rows) {
                let ms = entry.timestamp_ns.div_euclid(NS_PER_MS);
                if ms != moment.ms {
                    moment.settle(&mut found, accepts, context)?;
                    moment.ms = ms;
                    if found.len() >= wanted {
                        return Ok(found);
                    }
                }
                moment.add(read_row(&entry), context)?;
            }
        }
        moment.settle(&mut found, accepts, context)?;
        Ok(found)
    }
}

/// What the store is asked.
struct Ask<'q> {
    range: (i64, i64),
    has_error: Option<bool>,
    fields: Vec<Matcher>,
    lines: &'q [LinePredicate],
}

/// Correlations of one millisecond.
#[derive(Default)]
struct Moment {
    ms: i64,
    highest: HashMap<CorrelationId, Correlation, FixedState>,
}

impl Moment {
    fn add(&mut self, row: Option<Correlation>, context: &QueryContext) -> Result<(), ReadError> {
        let Some(row) = row else { return Ok(()) };
        match self.highest.get_mut(&row.id) {
            Some(known) if known.revision >= row.revision => {}
            Some(known) => *known = row,
            None => {
                context.reserve(CORRELATION_BYTES)?;
                self.highest.insert(row.id, row);
            }
        }
        Ok(())
    }

    /// Moves what is asked for to `found`.
    fn settle(
        &mut self,
        found: &mut Vec<Correlation>,
        accepts: &dyn Fn(&Correlation) -> bool,
        context: &QueryContext,
    ) -> Result<(), ReadError> {
        let (before, all) = (found.len(), self.highest.len());
        found.extend(self.highest.drain().map(|(_, correlation)| correlation).filter(accepts));
        context.release(CORRELATION_BYTES * (all - (found.len() - before)));
        Ok(())
    }
}

fn in_order(rows: &LogRows) -> impl Iterator<Item = LogEntry<'_>> {
    let mut starts = Vec::with_capacity(rows.batch.stream_count());
    let mut start = 0;
    for stream in rows.batch.streams() {
        starts.push(start);
        start += stream.len();
    }
    rows.order.iter().map(move |&(stream, entry)| rows.batch.entry(starts[stream as usize] + entry as usize))
}

/// A text as it stands in a line.
fn in_line(text: &str) -> LinePredicate {
    LinePredicate::Contains(serde_json::to_vec(text).unwrap_or_default())
}

/// Whether all that is asked of it is so.
fn fits(query: &CorrelationQuery, correlation: &Correlation) -> bool {
    query.since_ns.is_none_or(|since_ns| correlation.start_ns >= since_ns)
        && query.until_ns.is_none_or(|until_ns| correlation.start_ns < until_ns)
        && query.trace_id.is_none_or(|trace_id| correlation.id.trace_id == trace_id)
        && query.ids.iter().all(|wanted| correlation.ids.contains(wanted))
        && query.service.as_ref().is_none_or(|name| correlation.participants.iter().any(|p| p.service == *name))
        && query.has_error.is_none_or(|has_error| correlation.has_error() == has_error)
}

fn is(kind: IdKind, value: &str) -> Matcher {
    Matcher::equal(kind.as_str(), value)
}

impl CorrelationSource for StoredCorrelations {
    fn find(&self, query: &CorrelationQuery, context: &QueryContext) -> Result<Vec<Correlation>, ReadError> {
        if query.limit == 0 {
            return Ok(Vec::new());
        }
        let start_ns = query.since_ns.map_or(i64::MIN, |ns| ns.div_euclid(NS_PER_MS).saturating_mul(NS_PER_MS));
        let end_ns = query.until_ns.map_or(i64::MAX, |ns| ns.saturating_add(EARLIER_NS));
        let lines: Vec<LinePredicate> = query.service.iter().map(|name| in_line(name)).collect();
        let read = |fields: Vec<Matcher>, lines: &[LinePredicate]| {
            let ask = Ask { range: (start_ns, end_ns), has_error: query.has_error, fields, lines };
            self.read(&ask, query.limit, &|correlation| fits(query, correlation), context)
        };
        let mut found = match (query.trace_id, query.ids.first()) {
            (Some(trace_id), _) => read(vec![is(IdKind::Trace, &trace_id.to_string())], &lines)?,
            (None, None) => read(Vec::new(), &lines)?,
            (None, Some((kind, value))) => {
                // It may be the first of its kind, or not.
                let mut first = read(vec![is(*kind, value)], &lines)?;
                let key: Vec<LinePredicate> =
                    lines.iter().cloned().chain([in_line(&search::key(*kind, value))]).collect();
                first.extend(read(Vec::new(), &key)?);
                first
            }
        };
        found.sort_unstable_by_key(|c| (c.id, Reverse(c.revision)));
        found.dedup_by_key(|c| c.id);
        found.sort_unstable_by_key(|c| Reverse((c.start_ns, c.id)));
        found.truncate(query.limit);
        Ok(found)
    }

    fn get(&self, id: CorrelationId, context: &QueryContext) -> Result<Option<Correlation>, ReadError> {
        let start_ns = id.opened_ms.saturating_mul(NS_PER_MS);
        let fields = vec![is(IdKind::Trace, &id.trace_id.to_string())];
        let ask = Ask { range: (start_ns, start_ns.saturating_add(NS_PER_MS)), has_error: None, fields, lines: &[] };
        Ok(self.read(&ask, 1, &|correlation| correlation.id == id, context)?.pop())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::{put_row, tests::correlation};
    use bramble_signal::LogBatch;
    use bramble_storage::LogSink;
    use bramble_storage::memory::MemoryLogs;
    use proptest::collection::vec;
    use proptest::prelude::*;

    fn source(all: &[Correlation]) -> StoredCorrelations {
        let (logs, mut batch) = (MemoryLogs::new(), LogBatch::new());
        all.iter().for_each(|correlation| put_row(correlation, &mut batch));
        batch.start_stream(&mut [("service", "a")]).unwrap();
        batch.push_entry(5, b"{\"revision\":1}", &mut [("trace_id", "77")]).unwrap();
        logs.replay(&batch, 1);
        StoredCorrelations::new(Arc::new(logs))
    }

    /// Few traces, in few milliseconds, with few ids, so that queries find some; later revisions know more.
    fn some() -> impl Strategy<Value = Vec<Correlation>> {
        let shaped = (correlation(), 1u8..6, 0i64..4, vec((0usize..2, "[ab]"), 0..3), "[xy]", any::<bool>());
        vec(shaped, 1..30).prop_map(|all| {
            let mut known: std::collections::BTreeMap<CorrelationId, Correlation> = Default::default();
            let mut revisions = Vec::new();
            for (mut correlation, trace, ms, ids, service, failed) in all {
                correlation.id = CorrelationId { trace_id: bramble_signal::TraceId([trace; 16]), opened_ms: 1000 + ms };
                correlation.start_ns = (1000 + ms) * NS_PER_MS + i64::from(trace);
                correlation.ids = ids.into_iter().map(|(kind, value)| (IdKind::BUSINESS[kind], value)).collect();
                correlation.participants.truncate(1);
                correlation.participants.iter_mut().for_each(|p| p.service.clone_from(&service));
                correlation.failed_spans = u64::from(failed);
                (correlation.levels, correlation.revision) = (Default::default(), 1);
                if let Some(before) = known.get(&correlation.id) {
                    correlation.revision = before.revision + 1;
                    correlation.ids.extend(before.ids.clone());
                    correlation.failed_spans |= before.failed_spans;
                    correlation.participants.extend(before.participants.clone());
                }
                correlation.ids.sort();
                correlation.ids.dedup();
                known.insert(correlation.id, correlation.clone());
                revisions.push(crate::row::as_stored(&correlation));
            }
            revisions
        })
    }

    prop_compose! {
        fn query()(
            trace in prop::option::of(1u8..7), ids in vec((0usize..2, "[abc]"), 0..3), service in prop::option::of("[xyz]"),
            has_error in any::<Option<bool>>(), since_ms in prop::option::of(999i64..1004),
            until_ms in prop::option::of(999i64..1006), limit in 0usize..8
        ) -> CorrelationQuery {
            CorrelationQuery {
                since_ns: since_ms.map(|ms| ms * NS_PER_MS + 3), until_ns: until_ms.map(|ms| ms * NS_PER_MS + 3),
                trace_id: trace.map(|trace| bramble_signal::TraceId([trace; 16])),
                ids: ids.into_iter().map(|(kind, value)| (IdKind::BUSINESS[kind], value)).collect(),
                service, has_error, limit,
            }
        }
    }

    proptest! {
        #[test]
        fn what_is_found_is_what_a_scan_finds(all in some(), queries in vec(query(), 1..6)) {
            let (source, context) = (source(&all), QueryContext::unlimited());
            let is_highest = |c: &&Correlation| !all.iter().any(|other| other.id == c.id && other.revision > c.revision);
            for query in queries {
                let mut wanted: Vec<Correlation> = all.iter().filter(is_highest).filter(|c| fits(&query, c)).cloned().collect();
                wanted.sort_by_key(|c| Reverse((c.start_ns, c.id)));
                wanted.truncate(query.limit);
                prop_assert_eq!(source.find(&query, &context).unwrap(), wanted);
            }
            for highest in all.iter().filter(is_highest) {
                let got = source.get(highest.id, &context).unwrap();
                prop_assert_eq!(got.as_ref(), Some(highest));
            }
            let absent = CorrelationId { trace_id: bramble_signal::TraceId([99; 16]), opened_ms: 1000 };
            prop_assert_eq!(source.get(absent, &context).unwrap(), None);
        }
    }

    #[test]
    fn markers_are_found() {
        use crate::row::{Marker, newest_marker, put_marker};
        let (logs, context, mut batch) = (MemoryLogs::new(), QueryContext::unlimited(), LogBatch::new());
        assert_eq!(newest_marker(&logs, &context), Ok(None));
        for (low, written_ns) in [(5, 10), (9, 30), (7, 20)] {
            put_marker(&Marker { low, written_ns }, &mut batch);
        }
        logs.replay(&batch, 1);
        assert_eq!(newest_marker(&logs, &context), Ok(Some(Marker { low: 9, written_ns: 30 })));
    }
}
