//! `/api/traces`: search by service, operation, tags and duration, or by ids.

use super::answer::{self, ApiError};
use super::tags::{has_tag, predicate};
use crate::params::Params;
use crate::run::run_holding;
use crate::state::ApiState;
use axum::extract::State;
use axum::response::Response;
use bramble_signal::{SpanBatch, SpanEntry, TraceId};
use bramble_storage::{QueryContext, ReadError, SpanFields, SpanPredicate, SpanScan, ValueTest};
use std::sync::Arc;

pub(super) const LIMIT_DEFAULT: usize = 100;
pub(super) const LOOKBACK_DEFAULT_US: u64 = 2 * 86_400_000_000;

/// What is looked for.
pub(super) struct Search {
    pub(super) ids: Vec<TraceId>,
    /// On one span, beside its tags.
    pub(super) predicates: Vec<SpanPredicate>,
    /// On the same span.
    pub(super) tags: Vec<(String, String)>,
    /// Nanoseconds, both inclusive.
    pub(super) start_ns: u64,
    pub(super) end_ns: u64,
    /// Most traces.
    pub(super) limit: usize,
}

fn micros(params: &Params, name: &str) -> Result<Option<u64>, ApiError> {
    let parse = |text: &str| {
        text.parse::<u64>().map_err(|_| {
            ApiError::bad(format!("unable to parse param '{name}': {text:?} is not a number of microseconds"))
        })
    };
    params.get(name).map(parse).transpose()
}

/// Refuses `start` and `end` that are not numbers.
pub(super) fn check_times(params: &Params) -> Result<(), ApiError> {
    micros(params, "start").and(micros(params, "end")).map(|_| ())
}

/// Nanoseconds of Go's duration form: `1.5s`, `300ms`, `2h45m`.
pub(super) fn go_duration_ns(text: &str) -> Option<u64> {
    const UNITS: [(&str, f64); 7] =
        [("ns", 1.0), ("us", 1e3), ("µs", 1e3), ("ms", 1e6), ("s", 1e9), ("m", 60e9), ("h", 3600e9)];
    let (mut rest, mut sum) = (text, 0.0);
    if text == "0" {
        return Some(0);
    }
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(|b| b.is_ascii_digit() || *b == b'.').count();
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let unit_len = rest.bytes().take_while(|b| !b.is_ascii_digit() && *b != b'.').count();
        let (_, factor) = UNITS.iter().find(|(unit, _)| *unit == &rest[..unit_len])?;
        sum += number * factor;
        rest = &rest[unit_len..];
    }
    (!text.is_empty()).then_some(sum.round() as u64)
}

fn duration(params: &Params, name: &str) -> Result<Option<u64>, ApiError> {
    let parse = |text: &str| {
        go_duration_ns(text).ok_or_else(|| {
            ApiError::bad(format!("unable to parse param '{name}': time: missing unit in duration {text:?}"))
        })
    };
    params.get(name).map(parse).transpose()
}

pub(super) fn tags_of(params: &Params) -> Result<Vec<(String, String)>, ApiError> {
    let mut tags = Vec::new();
    for tag in params.all(&["tag"]) {
        let (key, value) = tag
            .split_once(':')
            .ok_or_else(|| ApiError::bad(format!("malformed 'tag' parameter, expecting key:value, received: {tag}")))?;
        tags.push((key.to_owned(), value.to_owned()));
    }
    for text in params.all(&["tags"]).filter(|t| !t.is_empty()) {
        let map: std::collections::BTreeMap<String, String> = serde_json::from_str(text)
            .map_err(|e| ApiError::bad(format!("malformed 'tags' parameter, cannot unmarshal JSON: {e}")))?;
        tags.extend(map);
    }
    Ok(tags)
}

fn search_of(params: &Params, now_us: u64) -> Result<Search, ApiError> {
    let mut ids = Vec::new();
    for text in params.all(&["traceID"]) {
        ids.push(
            TraceId::parse(text)
                .ok_or_else(|| ApiError::bad(format!("trace id {text:?} is not 1 to 32 hex digits")))?,
        );
    }
    let mut predicates = Vec::new();
    match params.get("service") {
        Some(service) => predicates.push(SpanPredicate::Service(ValueTest::is(service))),
        None if ids.is_empty() => return Err(ApiError::bad("parameter 'service' is required")),
        None => {}
    }
    predicates.extend(params.get("operation").map(|o| SpanPredicate::Name(ValueTest::is(o))));
    let (min_ns, max_ns) = (duration(params, "minDuration")?, duration(params, "maxDuration")?);
    if let (Some(min), Some(max)) = (min_ns, max_ns)
        && max < min
    {
        return Err(ApiError::bad("'maxDuration' should be greater than 'minDuration'"));
    }
    predicates.extend(min_ns.map(SpanPredicate::DurationAtLeast));
    predicates.extend(max_ns.map(SpanPredicate::DurationAtMost));
    let limit = match params.get("limit") {
        None => LIMIT_DEFAULT,
        Some(text) => text
            .parse()
            .map_err(|_| ApiError::bad(format!("unable to parse param 'limit': {text:?} is not a number")))?,
    };
    let end_us = micros(params, "end")?.unwrap_or(now_us);
    let start_us = micros(params, "start")?.unwrap_or(end_us.saturating_sub(LOOKBACK_DEFAULT_US));
    let (start_ns, end_ns) = (start_us.saturating_mul(1000), end_us.saturating_mul(1000).saturating_add(999));
    Ok(Search { ids, predicates, tags: tags_of(params)?, start_ns, end_ns, limit })
}

impl Search {
    fn accepts(&self, batch: &SpanBatch, span: &SpanEntry) -> bool {
        (self.start_ns..=self.end_ns).contains(&span.start_ns)
            && self.predicates.iter().all(|p| p.accepts(batch, span))
            && self.tags.iter().all(|(key, text)| has_tag(batch, span, key, text))
    }

    /// Shows `each` the wanted traces, newest first to the precision of a block, with `fields` of their spans.
    pub(super) fn each_trace(
        &self,
        state: &ApiState,
        fields: SpanFields,
        context: &QueryContext,
        mut each: impl FnMut(&SpanBatch, &[SpanEntry]) -> Result<(), ReadError>,
    ) -> Result<(), ReadError> {
        for id in &self.ids {
            let trace = state.traces.trace(*id, context)?;
            if !trace.is_empty() {
                each(&trace, &trace.spans)?;
            }
        }
        if !self.ids.is_empty() {
            return Ok(());
        }
        let mut predicates = self.predicates.clone();
        predicates.extend(self.tags.iter().filter_map(|(key, text)| predicate(key, text)));
        // Tags are judged on everything that a span has.
        let fields = if self.tags.is_empty() { fields } else { SpanFields::ALL };
        let scan = SpanScan { fields, ..SpanScan::whole(self.start_ns, self.end_ns, &predicates) };
        let (mut cursor, mut batch, mut traces) = (state.traces.scan(&scan, context)?, SpanBatch::new(), 0);
        while traces < self.limit && cursor.next(&mut batch)? {
            context.check()?;
            for spans in batch.spans.chunk_by(|a, b| a.trace_id == b.trace_id) {
                if traces < self.limit && spans.iter().any(|s| self.accepts(&batch, s)) {
                    each(&batch, spans)?;
                    traces += 1;
                }
            }
        }
        Ok(())
    }

    /// All spans of the wanted traces.
    pub(super) fn find(&self, state: &ApiState, context: &QueryContext) -> Result<SpanBatch, ReadError> {
        let mut found = SpanBatch::new();
        self.each_trace(state, SpanFields::ALL, context, |batch, spans| {
            let before = found.memory_bytes();
            spans.iter().for_each(|s| found.push_from(batch, s));
            Ok(context.reserve(found.memory_bytes() - before)?)
        })?;
        Ok(found)
    }
}

/// `/api/traces`.
pub(super) async fn traces(State(state): State<Arc<ApiState>>, params: Params) -> Result<Response, ApiError> {
    let search = search_of(&params, (state.clock.wall_ns() / 1000) as u64)?;
    let work = move |state: &Arc<ApiState>, context: &QueryContext| search.find(state, context);
    let (found, held) = run_holding(&state, None, work).await?;
    Ok(answer::traces(found?, held))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn go_durations() {
        assert_eq!(go_duration_ns("1.5s"), Some(1_500_000_000));
        assert_eq!(go_duration_ns("2h45m"), Some(9_900_000_000_000));
        assert_eq!(go_duration_ns("4500ns"), Some(4500));
        assert_eq!((go_duration_ns("20"), go_duration_ns(""), go_duration_ns("5x")), (None, None, None));
    }

    #[test]
    fn bad_parameters_are_named() {
        for (query, word) in [
            ("", "service"),
            ("service=s&start=x", "start"),
            ("service=s&limit=x", "limit"),
            ("service=s&minDuration=20", "minDuration"),
            ("service=s&tag=k", "tag"),
            ("service=s&tags=%7B%22x%22:123%7D", "tags"),
            ("service=s&minDuration=25s&maxDuration=1s", "maxDuration"),
        ] {
            let error = search_of(&Params::parse(query), 0).err().unwrap();
            assert!(error.message.contains(word), "{query}: {}", error.message);
        }
    }
}
