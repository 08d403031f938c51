//! Deleting what was stored: which items a deletion means, in the stores' words and in the model's.

use crate::machine::Machine;
use crate::model::{Item, Model};
use bramble_runtime::Rng;
use bramble_signal::{LabelsRef, LogEntry, MatchOp, Matcher};
use bramble_storage::{CancelError, EntryFilter, EntryQuery, LogAdmin, MetricAdmin};
use std::sync::Arc;

const HOUR_MS: i64 = 3_600_000;

/// For how long deletions of logs can be taken back.
pub(crate) const CANCEL_PERIOD_MS: i64 = 2 * HOUR_MS;

struct Contains(String);

impl EntryFilter for Contains {
    fn accepts(&self, _: LabelsRef<'_>, entry: &LogEntry<'_>) -> bool {
        entry.line.windows(self.0.len()).any(|window| window == self.0.as_bytes())
    }
}

/// `service` or `*`, then `|text` where lines must contain it, or `%` where traces must begin with a low digit.
pub(crate) fn read_query(text: &str) -> Result<EntryQuery, String> {
    let end = text.find(['|', '%']).unwrap_or(text.len());
    let (service, rest) = text.split_at(end);
    let mut matchers = vec![Matcher::equal("app", "sim")];
    if service != "*" {
        matchers.push(Matcher::equal("service", service));
    }
    if rest == "%" {
        matchers.push(Matcher::new("trace_id", MatchOp::Regex, LOW_TRACES).map_err(|e| e.to_string())?);
    }
    let filter = rest.strip_prefix('|').map(|text| Arc::new(Contains(text.to_owned())) as Arc<dyn EntryFilter>);
    Ok(EntryQuery { matchers, filter })
}

/// Of 64 bits in 128.
const LOW_TRACES: &str = "0{16}[0-7].*";

/// What an item says of itself, as far as deletions ask.
struct Facts<'a> {
    labels: &'a str,
    /// As in the key: milliseconds of samples, nanoseconds of entries.
    time: i64,
    rest: &'a str,
}

fn facts<'a>(key: &'a str, kind: &str) -> Option<Facts<'a>> {
    let (labels, rest) = key.strip_prefix(kind)?.split_once(" @")?;
    let (time, rest) = rest.split_once(' ').unwrap_or((rest, ""));
    Some(Facts { labels, time: time.parse().ok()?, rest })
}

/// A range of time around the last hours; milliseconds.
fn range(rng: &mut Rng, now_ms: i64) -> (i64, i64) {
    let from_ms = now_ms - rng.below(80 * HOUR_MS as u64) as i64;
    (from_ms, from_ms + rng.below(80 * HOUR_MS as u64) as i64)
}

/// What came of it: `None` for something that may or may not have happened.
type Outcome = Option<()>;

/// Deletes some series' samples; nobody waits for an answer meanwhile.
pub(crate) fn delete_metrics(machine: &Machine, model: &mut Model, rng: &mut Rng, now_ms: i64) -> Outcome {
    let (name, value) = match rng.below(3) {
        0 => ("__name__", format!("metric_{}", rng.below(8))),
        _ => ("instance", format!("host-{}", rng.below(6))),
    };
    let (start_ms, end_ms) = range(rng, now_ms);
    let done = machine.admin.delete_series(&[vec![Matcher::equal(name, &value)]], start_ms, end_ms).ok();
    let wanted = format!("{name}=\"{value}\"");
    let meant = |item: &Item, kind: &str| {
        facts(&item.key, kind).is_some_and(|f| f.labels.contains(&wanted) && (start_ms..=end_ms).contains(&f.time))
    };
    let request = model.new_request();
    model.deleted(request, done.is_some(), |item| meant(item, "sample "));
    // Exemplars of what is deleted may stay or go.
    model.deleted(request, false, |item| meant(item, "exemplar "));
    done
}

/// Deletes some entries; nobody waits for an answer meanwhile.
pub(crate) fn delete_logs(machine: &Machine, model: &mut Model, rng: &mut Rng, now_ms: i64) -> Outcome {
    let service = if rng.chance(0.3) { "*".to_owned() } else { format!("service-{}", rng.below(5)) };
    let text = match rng.below(5) {
        0 | 1 => None,
        2 => Some("level=info"),
        _ => Some("GET /api/1"),
    };
    let low_traces = text.is_none() && rng.chance(0.4);
    let query = match text {
        Some(text) => format!("{service}|{text}"),
        None if low_traces => format!("{service}%"),
        None => service.clone(),
    };
    let (start_ms, end_ms) = range(rng, now_ms);
    let (start_ns, last_ns) = (start_ms * 1_000_000, end_ms * 1_000_000);
    let done = machine.log_deletions.delete(&query, start_ns, last_ns).ok();
    let of_service = format!("service=\"{service}\"");
    let is_low = |rest: &str| {
        let digit = rest.split_once("trace_id=\"0000000000000000").and_then(|(_, tail)| tail.bytes().next());
        digit.is_some_and(|digit| (b'0'..=b'7').contains(&digit))
    };
    let meant = |item: &Item| {
        facts(&item.key, "entry ").is_some_and(|f| {
            (service == "*" || f.labels.contains(&of_service))
                && (start_ns..=last_ns).contains(&f.time)
                && text.is_none_or(|text| f.rest.contains(text))
                && (!low_traces || is_low(f.rest))
        })
    };
    let request = model.new_request();
    if let Some(id) = &done {
        model.name_request(id, request);
    }
    model.deleted(request, done.is_some(), meant);
    done.map(drop)
}

/// Takes a deletion of logs back.
pub(crate) fn take_back(machine: &Machine, model: &mut Model, rng: &mut Rng) -> Outcome {
    let requests = machine.log_deletions.requests();
    if requests.is_empty() {
        return Some(());
    }
    let id = &requests[rng.below(requests.len() as u64) as usize].id;
    let force = rng.chance(0.2);
    match machine.log_deletions.cancel(id, force) {
        Ok(()) => model.taken_back(id, !force),
        Err(CancelError::Store(_)) => {
            model.taken_back(id, false);
            return None;
        }
        Err(_) => {}
    }
    Some(())
}
