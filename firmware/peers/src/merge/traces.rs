//! Traces of all hubs.

use super::span_scan::SpanMerge;
use super::trace_scan::TraceMerge;
use super::union;
use crate::asked::Asked;
use crate::frame::SPANS;
use crate::lists::{self, Key, Operation, Value};
use crate::peer::Peers;
use crate::request::{Fields, KnownTrace, Question, Scope};
use crate::spans::{self, Identity, identity};
use bramble_runtime::Clock;
use bramble_signal::{SpanBatch, SpanKind, TraceId};
use bramble_storage::{
    AttributeScope, FoundValue, QueryContext, ReadError, SpanCursor, SpanFields, SpanScan, TraceSource,
};
use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

/// Traces of this hub and of others. Spans that were made up are in it: [`bramble_storage::VisibleSpans`] goes around it.
pub struct MergedTraces {
    local: Arc<dyn TraceSource>,
    peers: Arc<Peers>,
    clock: Arc<dyn Clock>,
}

impl MergedTraces {
    /// What `local` and the hubs have.
    pub fn new(local: Arc<dyn TraceSource>, peers: Arc<Peers>, clock: Arc<dyn Clock>) -> Self {
        MergedTraces { local, peers, clock }
    }
}

/// What is known here of a trace, for hubs that have the same.
pub(super) fn known(id: TraceId, batch: &SpanBatch) -> KnownTrace {
    let of_trace = || batch.spans.iter().filter(|span| span.trace_id == id);
    KnownTrace { id, spans: of_trace().count() as u64, digest: spans::digest(of_trace()) }
}

/// Adds to `out` the spans of an answer that are not there yet.
pub(super) fn add_spans(
    asked: &mut Asked,
    out: &mut SpanBatch,
    have: &mut HashSet<Identity>,
    context: &QueryContext,
) -> Result<(), ReadError> {
    while let Some((kind, payload)) = asked.next(context)? {
        match spans::read(&payload) {
            Ok(batch) if kind == SPANS => {
                for span in &batch.spans {
                    if have.insert(identity(span)) {
                        out.push_from(&batch, span);
                    }
                }
            }
            Ok(_) => asked.lose("it sent what was not asked for", context),
            Err(why) => asked.lose(&why, context),
        }
    }
    Ok(())
}

impl TraceSource for MergedTraces {
    fn trace(&self, id: TraceId, context: &QueryContext) -> Result<SpanBatch, ReadError> {
        // What is known here is not said, so that both hubs look at the same time.
        let unknown = KnownTrace { id, spans: 0, digest: 0 };
        let question = Question::Traces { traces: vec![unknown], fields: Fields::of(&SpanFields::ALL) };
        let mut asked = self.peers.ask(&question, context);
        let mut found = self.local.trace(id, context)?;
        if !asked.is_empty() {
            let mut have: HashSet<Identity> = found.spans.iter().map(identity).collect();
            let before = found.memory_bytes();
            for peer in &mut asked {
                add_spans(peer, &mut found, &mut have, context)?;
            }
            context.reserve(found.memory_bytes().saturating_sub(before))?;
            found.spans.sort_by_key(|span| span.start_ns);
        }
        Ok(found)
    }

    fn scan<'a>(
        &'a self,
        scan: &SpanScan<'_>,
        context: &'a QueryContext,
    ) -> Result<Box<dyn SpanCursor + 'a>, ReadError> {
        if self.peers.all_gone(context) {
            return self.local.scan(scan, context);
        }
        let sources = (&*self.local, &*self.peers);
        Ok(match scan.whole_traces {
            true => Box::new(TraceMerge::open(sources, scan, context)?),
            false => Box::new(SpanMerge::new(sources, scan, self.clock.wall_ns(), context)),
        })
    }

    fn services(&self, start_ns: u64, end_ns: u64, context: &QueryContext) -> Result<Vec<String>, ReadError> {
        let mut asked = self.peers.ask(&Question::Services { start_ns, end_ns }, context);
        let mut lists = vec![self.local.services(start_ns, end_ns, context)?];
        for peer in &mut asked {
            lists.push(peer.list(context)?);
        }
        Ok(union(lists))
    }

    fn operations(
        &self,
        service: &str,
        start_ns: u64,
        end_ns: u64,
        context: &QueryContext,
    ) -> Result<Vec<(String, SpanKind)>, ReadError> {
        let question = Question::Operations { service: service.to_owned(), start_ns, end_ns };
        let mut asked = self.peers.ask(&question, context);
        let local = self.local.operations(service, start_ns, end_ns, context)?;
        let mut found: BTreeSet<Operation> = local.into_iter().map(|(name, kind)| (name, kind as u8)).collect();
        for peer in &mut asked {
            found.extend(peer.list::<Operation>(context)?);
        }
        Ok(found.into_iter().map(lists::kind_of).collect())
    }

    fn attribute_names(
        &self,
        scope: AttributeScope,
        range_ns: (u64, u64),
        limit: usize,
        context: &QueryContext,
    ) -> Result<(Vec<(AttributeScope, String)>, bool), ReadError> {
        let (start_ns, end_ns) = range_ns;
        let question = Question::AttributeNames { scope: Scope(scope), start_ns, end_ns, limit };
        let mut asked = self.peers.ask(&question, context);
        let (names, mut more) = self.local.attribute_names(scope, range_ns, limit, context)?;
        let mut lists = vec![names];
        for peer in &mut asked {
            lists.push(peer.list(context)?.into_iter().map(|Key { scope, key }| (scope, key)).collect());
            more |= peer.more;
        }
        let mut names = union(lists);
        more |= names.len() > limit;
        names.truncate(limit);
        Ok((names, more))
    }

    fn attribute_values(
        &self,
        scope: AttributeScope,
        key: &str,
        range_ns: (u64, u64),
        limit: usize,
        context: &QueryContext,
    ) -> Result<(Vec<FoundValue>, bool), ReadError> {
        let (start_ns, end_ns) = range_ns;
        let question = Question::AttributeValues { scope: Scope(scope), key: key.to_owned(), start_ns, end_ns, limit };
        let mut asked = self.peers.ask(&question, context);
        let (values, mut more) = self.local.attribute_values(scope, key, range_ns, limit, context)?;
        let mut lists = vec![values];
        for peer in &mut asked {
            lists.push(peer.list(context)?.into_iter().map(|value: Value| value.into()).collect());
            more |= peer.more;
        }
        let mut values = union(lists);
        more |= values.len() > limit;
        values.truncate(limit);
        Ok((values, more))
    }
}
