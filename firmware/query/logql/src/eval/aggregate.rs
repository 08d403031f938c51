//! Functions over vectors.

use super::over_time::{mean, variance};
use super::sample::GridSeries;
use super::{LabelSet, QueryError};
use crate::syntax::{Grouping, VectorOp};
use bramble_storage::QueryContext;
use std::cmp::Ordering;
use std::collections::BTreeMap;

/// Order with NaN behind everything.
fn by_value(a: f64, b: f64) -> Ordering {
    a.partial_cmp(&b).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()))
}

pub(crate) fn aggregate(
    op: VectorOp,
    k: Option<u32>,
    grouping: Option<&Grouping>,
    mut rows: Vec<GridSeries>,
    context: &QueryContext,
) -> Result<Vec<GridSeries>, QueryError> {
    let first = |r: &GridSeries| r.points.first().map_or(f64::NAN, |p| p.1);
    match op {
        VectorOp::Sort => rows.sort_by(|a, b| by_value(first(a), first(b))),
        VectorOp::SortDesc => rows.sort_by(|a, b| descending(first(a), first(b))),
        VectorOp::ApproxTopk => {
            return Err(QueryError::Execution("approx_topk is not enabled. See -limits.shard_aggregations".to_owned()));
        }
        VectorOp::Topk | VectorOp::Bottomk => return pick(op, k.unwrap_or(0) as usize, grouping, rows, context),
        _ => return fold(op, grouping, &rows, context),
    }
    Ok(rows)
}

fn descending(a: f64, b: f64) -> Ordering {
    if a.is_nan() || b.is_nan() { by_value(a, b) } else { by_value(b, a) }
}

fn groups(grouping: Option<&Grouping>, rows: &[GridSeries]) -> BTreeMap<LabelSet, Vec<usize>> {
    let mut out: BTreeMap<LabelSet, Vec<usize>> = BTreeMap::new();
    for (at, row) in rows.iter().enumerate() {
        let mut labels = LabelSet::default();
        if let Some(g) = grouping {
            labels = row.labels.clone();
            labels.retain(|name| g.names.iter().any(|n| n == name) != g.without);
        }
        out.entry(labels).or_default().push(at);
    }
    out
}

/// The points of the members, (step, value, member), ascending by step and then member.
fn merged(
    rows: &[GridSeries],
    members: &[usize],
    context: &QueryContext,
) -> Result<Vec<(u32, f64, usize)>, QueryError> {
    context.check()?;
    let of = |at: &usize| rows.get(*at).map_or(&[] as &[(u32, f64)], |r| r.points.as_slice());
    let count: usize = members.iter().map(|m| of(m).len()).sum();
    context.reserve(count * size_of::<(u32, f64, usize)>())?;
    let mut out: Vec<_> = members.iter().flat_map(|m| of(m).iter().map(|(step, value)| (*step, *value, *m))).collect();
    out.sort_by_key(|p| (p.0, p.2));
    Ok(out)
}

fn fold(
    op: VectorOp,
    grouping: Option<&Grouping>,
    rows: &[GridSeries],
    context: &QueryContext,
) -> Result<Vec<GridSeries>, QueryError> {
    let mut out = Vec::new();
    for (labels, members) in groups(grouping, rows) {
        let points = merged(rows, &members, context)?;
        let values = |run: &[(u32, f64, usize)]| -> f64 {
            let values = run.iter().map(|p| p.1);
            match op {
                VectorOp::Sum => values.sum(),
                VectorOp::Avg => mean(values),
                VectorOp::Count => run.len() as f64,
                VectorOp::Min => values.fold(f64::NAN, |a, b| if b < a || a.is_nan() { b } else { a }),
                VectorOp::Max => values.fold(f64::NAN, |a, b| if b > a || a.is_nan() { b } else { a }),
                VectorOp::Stdvar => variance(values),
                _ => variance(values).sqrt(),
            }
        };
        let folded = points.chunk_by(|a, b| a.0 == b.0).filter_map(|run| run.first().map(|p| (p.0, values(run))));
        let series = GridSeries { labels, points: folded.collect() };
        context.reserve(series.memory_bytes())?;
        context.release(points.len() * size_of::<(u32, f64, usize)>());
        out.push(series);
    }
    Ok(out)
}

fn pick(
    op: VectorOp,
    k: usize,
    grouping: Option<&Grouping>,
    mut rows: Vec<GridSeries>,
    context: &QueryContext,
) -> Result<Vec<GridSeries>, QueryError> {
    rows.sort_by(|a, b| a.labels.cmp(&b.labels));
    let mut kept: Vec<Vec<(u32, f64)>> = vec![Vec::new(); rows.len()];
    for members in groups(grouping, &rows).into_values() {
        let mut points = merged(&rows, &members, context)?;
        for run in points.chunk_by_mut(|a, b| a.0 == b.0) {
            // Stable, so that of equal values the first by labels stays.
            match op {
                VectorOp::Topk => run.sort_by(|a, b| descending(a.1, b.1)),
                _ => run.sort_by(|a, b| by_value(a.1, b.1)),
            }
            for (step, value, member) in run.iter().take(k) {
                if let Some(points) = kept.get_mut(*member) {
                    points.push((*step, *value));
                }
            }
        }
        context.release(points.len() * size_of::<(u32, f64, usize)>());
    }
    let with = rows.into_iter().zip(kept).map(|(row, points)| GridSeries { labels: row.labels, points });
    let mut out: Vec<GridSeries> = with.filter(|r| !r.points.is_empty()).collect();
    let first = |r: &GridSeries| r.points.first().map_or(f64::NAN, |p| p.1);
    match op {
        VectorOp::Topk => out.sort_by(|a, b| descending(first(a), first(b))),
        _ => out.sort_by(|a, b| by_value(first(a), first(b))),
    }
    Ok(out)
}
