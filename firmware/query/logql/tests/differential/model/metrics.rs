//! Numbers: every step looks at all rows again.

use super::rows::{Row, number, run};
use crate::data::Entry;
use crate::generate::{Grouping, Range, Sample};
use std::collections::BTreeMap;

type Labels = BTreeMap<String, String>;
/// Values by series and time.
type Vectors = BTreeMap<Labels, BTreeMap<i64, f64>>;

const SECOND: i64 = 1_000_000_000;

fn grouped(labels: &Labels, grouping: Option<&Grouping>) -> Labels {
    let kept = |name: &str| grouping.is_none_or(|g| g.names.contains(&name) != g.without);
    labels.iter().filter(|(n, v)| kept(n) && !v.is_empty()).map(|(n, v)| (n.clone(), v.clone())).collect()
}

/// Rows with their values; `Err` where an error is left.
fn values(range: &Range, rows: &[Row]) -> Result<Vec<(Row, f64)>, ()> {
    let mut out = Vec::new();
    for row in rows {
        let (mut row, mut value) = (row.clone(), row.line.len() as f64);
        if let Some((label, kind, test)) = &range.unwrap {
            if row.get(label).is_empty() {
                continue;
            }
            match number(row.get(label), *kind) {
                Some(n) => value = n,
                None => {
                    drop(row.labels.insert(
                        "__error__".to_owned(),
                        ("SampleExtractionErr".to_owned(), super::rows::Origin::Parsed),
                    ))
                }
            }
            if test.as_ref().is_some_and(|t| !row.passes(t)) {
                continue;
            }
            if !row.failed() {
                row.labels.remove(*label);
            }
        }
        if row.failed() {
            return Err(());
        }
        out.push((row, value));
    }
    Ok(out)
}

fn variance(values: &[f64]) -> f64 {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / values.len() as f64
}

fn reduce(op: &str, values: &[f64], seconds: f64) -> f64 {
    let (sum, count) = (values.iter().sum::<f64>(), values.len() as f64);
    match op {
        "count_over_time" | "count" => count,
        "sum_over_time" | "bytes_over_time" | "sum" => sum,
        "rate" | "bytes_rate" => sum / seconds,
        "avg_over_time" | "avg" => sum / count,
        "min_over_time" | "min" => values.iter().copied().fold(f64::INFINITY, f64::min),
        "max_over_time" | "max" => values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        "stdvar_over_time" | "stdvar" => variance(values),
        "stddev_over_time" | "stddev" => variance(values).sqrt(),
        "first_over_time" => values[0],
        "last_over_time" => values[values.len() - 1],
        "quantile_over_time" => {
            let mut sorted = values.to_vec();
            sorted.sort_by(f64::total_cmp);
            let rank = 0.7 * (count - 1.0);
            let (low, high) = (sorted[rank.floor() as usize], sorted[rank.ceil() as usize]);
            low + (high - low) * (rank - rank.floor())
        }
        other => panic!("{other}"),
    }
}

fn range(range: &Range, entries: &[Entry], times: &[i64]) -> Result<Vectors, ()> {
    let rows = run(&range.log, entries);
    let mut out = Vectors::new();
    for time in times {
        let end = time - range.offset * SECOND;
        let inside: Vec<Row> =
            rows.iter().filter(|r| r.time > end - range.seconds * SECOND && r.time <= end).cloned().collect();
        let found = values(range, &inside)?;
        if range.op == "absent_over_time" {
            if found.is_empty() {
                let api = range.log.selector.contains("app=\"api\"");
                let labels = api.then(|| ("app".to_owned(), "api".to_owned())).into_iter().collect();
                out.entry(labels).or_default().insert(*time, 1.0);
            }
            continue;
        }
        let mut groups: BTreeMap<Labels, Vec<f64>> = BTreeMap::new();
        for (row, value) in found {
            let value = if range.op == "rate" && range.unwrap.is_none() { 1.0 } else { value };
            groups.entry(grouped(&row.shown(), range.grouping.as_ref())).or_default().push(value);
        }
        for (labels, values) in groups {
            out.entry(labels).or_default().insert(*time, reduce(range.op, &values, range.seconds as f64));
        }
    }
    Ok(out)
}

fn aggregate(op: &str, grouping: Option<&Grouping>, inner: &Vectors) -> Vectors {
    let nothing = Grouping { without: false, names: Vec::new() };
    let mut groups: BTreeMap<(Labels, i64), Vec<f64>> = BTreeMap::new();
    for (labels, points) in inner {
        for (time, value) in points {
            groups.entry((grouped(labels, grouping.or(Some(&nothing))), *time)).or_default().push(*value);
        }
    }
    let mut out = Vectors::new();
    for ((labels, time), values) in groups {
        out.entry(labels).or_default().insert(time, reduce(op, &values, 1.0));
    }
    out
}

/// `None`: no value.
fn operate(op: &str, a: f64, b: f64) -> Option<f64> {
    let keep = |holds: bool| holds.then_some(a);
    let flag = |holds: bool| Some(if holds { 1.0 } else { 0.0 });
    match op {
        "+" => Some(a + b),
        "-" => Some(a - b),
        "*" => Some(a * b),
        "/" => Some(if b == 0.0 { f64::NAN } else { a / b }),
        "%" => Some(if b == 0.0 { f64::NAN } else { a % b }),
        ">" => keep(a > b),
        "<=" => keep(a <= b),
        "> bool" => flag(a > b),
        "== bool" => flag(a == b),
        other => panic!("{other}"),
    }
}

fn between(op: &str, left: &Vectors, right: &Vectors) -> Vectors {
    let mut out = Vectors::new();
    let has = |side: &Vectors, labels: &Labels, time: i64| side.get(labels).and_then(|p| p.get(&time)).copied();
    for (labels, points) in left {
        for (time, a) in points {
            let value = match (op, has(right, labels, *time)) {
                ("or", _) | ("and", Some(_)) | ("unless", None) => Some(*a),
                ("and" | "unless", _) | (_, None) => None,
                (op, Some(b)) => operate(op, *a, b),
            };
            value.map(|v| out.entry(labels.clone()).or_default().insert(*time, v));
        }
    }
    if op == "or" {
        for (labels, points) in right {
            for (time, b) in points {
                out.entry(labels.clone()).or_default().entry(*time).or_insert(*b);
            }
        }
    }
    out
}

/// All values at `times`; `Err` where the pipeline leaves an error.
pub(crate) fn sample(sample: &Sample, entries: &[Entry], times: &[i64]) -> Result<Vectors, ()> {
    Ok(match sample {
        Sample::Range(r) => range(r, entries, times)?,
        Sample::Aggregate(op, grouping, inner) => {
            aggregate(op, grouping.as_ref(), &self::sample(inner, entries, times)?)
        }
        Sample::Number(op, inner, number) => {
            let mut out = Vectors::new();
            for (labels, points) in self::sample(inner, entries, times)? {
                for (time, value) in points {
                    if let Some(value) = operate(op, value, *number) {
                        out.entry(labels.clone()).or_default().insert(time, value);
                    }
                }
            }
            out
        }
        Sample::Between(op, a, b) => between(op, &self::sample(a, entries, times)?, &self::sample(b, entries, times)?),
    })
}
