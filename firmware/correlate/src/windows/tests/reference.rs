//! The same, written plainly: all items are kept, grouped by trace, put in order, and cut where a window ends.

use super::super::testing::{Is, Made};
use crate::correlation::Correlation;
use crate::item::Level;
use std::collections::{BTreeMap, BTreeSet};

/// What both must agree on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Brief {
    pub(super) trace: u8,
    pub(super) start_ns: i64,
    pub(super) end_ns: i64,
    pub(super) logs: u64,
    pub(super) levels: [u64; 6],
    pub(super) spans: u64,
    pub(super) failed_spans: u64,
    pub(super) inferred_logs: u64,
    pub(super) ambiguous: bool,
    pub(super) ids: Vec<String>,
    /// By service: entries, spans, failures.
    pub(super) services: BTreeMap<String, (u64, u64, u64)>,
    pub(super) first_error_ns: Option<i64>,
    pub(super) is_single: bool,
}

fn sort_key(made: &Made) -> (i64, String) {
    (made.time_ns, format!("{made:?}"))
}

fn end_ns(made: &Made) -> i64 {
    match made.is {
        Is::Span { duration_ns, .. } => made.time_ns + duration_ns as i64,
        _ => made.time_ns,
    }
}

fn failed(made: &Made) -> bool {
    match &made.is {
        Is::Span { failed, .. } => *failed,
        Is::Log { level, .. } => *level >= Level::Error,
        Is::Exemplar { .. } => false,
    }
}

/// All windows of all items; entries of trace 0 name none.
pub(super) fn windows(items: &[Made], window_ns: i64, request_traces_max: usize) -> Vec<Brief> {
    let mut traces: BTreeMap<u8, Vec<&Made>> = BTreeMap::new();
    items.iter().for_each(|item| traces.entry(item.trace).or_default().push(item));
    let loose = traces.remove(&0).unwrap_or_default();
    let naming = |request: &str| traces.values().filter(|of| of.iter().any(|item| item.request == request)).count();
    let mut found = Vec::new();
    for (trace, mut items) in traces.clone() {
        items.sort_by_key(|item| sort_key(item));
        items.dedup();
        let mut before_ns = i64::MIN;
        while let Some(first) = items.first() {
            let until_ns = first.time_ns + window_ns;
            let (window, rest): (Vec<&Made>, Vec<&Made>) = items.iter().partition(|item| item.time_ns < until_ns);
            let requests: BTreeSet<&str> =
                window.iter().map(|item| &*item.request).filter(|id| !id.is_empty()).collect();
            let from_ns = before_ns.max(first.time_ns - 5_000_000_000);
            let mut joined: Vec<(i64, String)> = loose
                .iter()
                .filter(|item| (from_ns..until_ns).contains(&item.time_ns))
                .filter(|item| requests.contains(&*item.request) && naming(&item.request) <= request_traces_max)
                .map(|item| sort_key(item))
                .collect();
            joined.sort();
            joined.dedup();
            let ambiguous = requests.iter().any(|request| naming(request) > request_traces_max);
            found.push(brief(trace, &window, joined.len() as u64, ambiguous));
            (before_ns, items) = (until_ns, rest);
        }
    }
    found
}

fn brief(trace: u8, window: &[&Made], inferred_logs: u64, ambiguous: bool) -> Brief {
    let mut brief = Brief {
        trace,
        start_ns: window[0].time_ns,
        end_ns: window.iter().map(|item| end_ns(item)).max().unwrap(),
        logs: 0,
        levels: [0; 6],
        spans: 0,
        failed_spans: 0,
        inferred_logs,
        ambiguous,
        ids: Vec::new(),
        services: BTreeMap::new(),
        first_error_ns: window.iter().filter(|item| failed(item)).map(|item| end_ns(item)).min(),
        is_single: false,
    };
    let mut ids = BTreeSet::new();
    for item in window {
        let of = brief.services.entry(item.service.to_owned()).or_default();
        of.2 += u64::from(failed(item));
        match &item.is {
            Is::Log { level, .. } => {
                (brief.logs, of.0) = (brief.logs + 1, of.0 + 1);
                brief.levels[*level as usize] += 1;
            }
            Is::Span { failed, .. } => {
                (brief.spans, of.1) = (brief.spans + 1, of.1 + 1);
                brief.failed_spans += u64::from(*failed);
            }
            Is::Exemplar { .. } => {}
        }
        ids.extend([&item.request, &item.circuit].into_iter().filter(|id| !id.is_empty()).cloned());
    }
    brief.ids = ids.into_iter().collect();
    let signals = [brief.spans > 0, brief.logs + inferred_logs > 0];
    brief.is_single = signals.into_iter().filter(|is_there| *is_there).count() <= 1 && brief.services.len() == 1;
    brief
}

/// The same of what was told.
pub(super) fn told(c: &Correlation) -> Brief {
    let mut ids: Vec<String> = c.ids.iter().map(|(_, id)| id.clone()).collect();
    ids.sort();
    let participants = c.participants.iter().map(|p| (p.service.clone(), (p.logs, p.spans, p.errors)));
    let services: BTreeMap<_, _> = participants.collect();
    let signals = [c.spans > 0, c.logs + c.inferred_logs > 0];
    Brief {
        trace: c.id.trace_id.0[0],
        start_ns: c.start_ns,
        end_ns: c.end_ns,
        logs: c.logs,
        levels: c.levels,
        spans: c.spans,
        failed_spans: c.failed_spans,
        inferred_logs: c.inferred_logs,
        ambiguous: c.marks.ambiguous_request,
        ids,
        is_single: signals.into_iter().filter(|is_there| *is_there).count() <= 1 && services.len() == 1,
        services,
        first_error_ns: c.first_error.as_ref().map(|error| error.time_ns),
    }
}
