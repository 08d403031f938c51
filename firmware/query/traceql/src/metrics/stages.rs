//! What is done with finished series: filters, and the largest or smallest at each time.

use super::MetricSeries;
use crate::eval::compare;
use crate::eval::value::Value;
use crate::syntax::ast::SeriesStage;
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

/// Applies one stage; series without samples go.
pub(super) fn apply(stage: &SeriesStage, series: &mut Vec<MetricSeries>) {
    match stage {
        SeriesStage::Filter(op, limit) => {
            for s in series.iter_mut() {
                s.samples.retain(|(_, v)| compare(*op, &Value::Float(*v), &Value::Float(*limit)));
            }
        }
        SeriesStage::Top(limit) => ranked(series, *limit, |a, b| b.total_cmp(&a), |a, b| a.cmp(&b)),
        SeriesStage::Bottom(limit) => ranked(series, *limit, |a, b| a.total_cmp(&b), |a, b| b.cmp(&a)),
    }
    series.retain(|s| !s.samples.is_empty());
}

/// Keeps the first `limit` values at each time; of equal ones those whose labels come first, as `ties` orders them.
fn ranked(
    series: &mut [MetricSeries],
    limit: usize,
    order: impl Fn(f64, f64) -> Ordering,
    ties: impl Fn(usize, usize) -> Ordering,
) {
    series.sort_by_cached_key(|s| s.labels.iter().map(|(_, v)| text_of(v)).collect::<Vec<_>>());
    let mut at_time: BTreeMap<i64, Vec<(f64, usize)>> = BTreeMap::new();
    for (number, s) in series.iter().enumerate() {
        for (time, value) in &s.samples {
            at_time.entry(*time).or_default().push((*value, number));
        }
    }
    let mut kept: BTreeSet<(i64, usize)> = BTreeSet::new();
    for (time, mut values) in at_time {
        values.sort_by(|a, b| order(a.0, b.0).then(ties(a.1, b.1)));
        kept.extend(values.iter().take(limit).map(|(_, number)| (time, *number)));
    }
    for (number, s) in series.iter_mut().enumerate() {
        s.samples.retain(|(time, _)| kept.contains(&(*time, number)));
    }
}

/// A value as ranking prints it: what is missing sorts as the word that shows it.
fn text_of(value: &Value<'_>) -> String {
    match value {
        Value::Text(text) => text.clone().into_owned(),
        Value::Nil => "nil".to_owned(),
        other => other.to_string(),
    }
}
