//! Classic histograms: series that differ in their `le` label are buckets of one distribution.

use super::annotations::for_metric;
use super::buckets::{Bucket, fraction, quantile};
use super::evaluator::{Evaluator, Outcome, Sink};
use super::quantiles::bad_quantile;
use super::rows::{ABSENT, Grid, Row, is_absent};
use crate::syntax::{Expr, Span};
use bramble_signal::{Labels, METRIC_NAME};
use std::collections::HashMap;

const BUCKET_LABEL: &str = "le";

/// The buckets of one histogram, as rows.
struct Group {
    labels: Labels,
    drop_name: bool,
    buckets: Vec<(f64, Vec<f64>)>,
}

impl Evaluator<'_> {
    /// Reads a vector's rows as histograms; rows whose `le` is no number are warned of and left out.
    fn bucket_groups(&self, arg: &Expr, grid: Grid) -> Outcome<Vec<Group>> {
        let rows = self.collect(arg, grid)?;
        let mut places: HashMap<Labels, usize> = HashMap::new();
        let mut groups: Vec<Group> = Vec::new();
        for row in rows.take() {
            let le = row.labels.get(BUCKET_LABEL).unwrap_or_default();
            let Some(bound) = parse_bound(le) else {
                let text = format!(
                    "bucket label \"le\" is missing or has a malformed value of {le:?}{}",
                    for_metric(row.name())
                );
                self.warn(arg.span, text);
                continue;
            };
            let labels = Labels::from_pairs(row.labels.iter().filter(|(n, _)| *n != BUCKET_LABEL));
            let at = *places.entry(labels).or_insert_with_key(|labels| {
                groups.push(Group { labels: labels.clone(), drop_name: row.drop_name, buckets: Vec::new() });
                groups.len() - 1
            });
            if let Some(group) = groups.get_mut(at) {
                group.buckets.push((bound, row.values));
            }
        }
        Ok(groups)
    }

    pub(crate) fn histogram_quantile(&self, args: &[Expr], grid: Grid, sink: Sink<'_>) -> Outcome<()> {
        let [phi, vector] = args else { return Ok(()) };
        let phis = self.scalar(phi, grid)?;
        let groups = self.bucket_groups(vector, grid)?;
        self.warn_quantiles(&phis, phi.span);
        self.renamed(vector, sink, &mut |sink| {
            for group in &groups {
                let values = self.group_quantile(group, &phis, vector.span);
                give(group, values, sink)?;
            }
            Ok(())
        })
    }

    pub(crate) fn histogram_quantiles(&self, args: &[Expr], grid: Grid, sink: Sink<'_>) -> Outcome<()> {
        let [vector, label, phis @ ..] = args else { return Ok(()) };
        let label = self.text(label)?;
        let groups = self.bucket_groups(vector, grid)?;
        let lists = phis.iter().map(|p| self.scalar(p, grid)).collect::<Outcome<Vec<_>>>()?;
        for (phis, arg) in lists.iter().zip(phis) {
            self.warn_quantiles(phis, arg.span);
        }
        self.renamed(vector, sink, &mut |sink| {
            for group in &groups {
                if group.labels.get(&label).is_some() {
                    return super::engine::failed(format!("label {label:?} exists already"));
                }
                for phis in &lists {
                    let phi = phis.first().copied().unwrap_or(f64::NAN);
                    let mut labels = group.labels.to_builder();
                    labels.set(&label, &quantile_label(phi));
                    let row = Row {
                        labels: labels.build(),
                        drop_name: group.drop_name,
                        values: self.group_quantile(group, phis, vector.span),
                    };
                    if !row.is_empty() {
                        sink(row)?;
                    }
                }
            }
            Ok(())
        })
    }

    fn warn_quantiles(&self, phis: &[f64], span: Span) {
        let mut last = None;
        for phi in phis {
            if last != Some(phi.to_bits())
                && let Some(text) = bad_quantile(*phi)
            {
                self.warn(span, text);
            }
            last = Some(phi.to_bits());
        }
    }

    fn group_quantile(&self, group: &Group, phis: &[f64], span: Span) -> Vec<f64> {
        let mut forced = false;
        let values = group.each_step(phis.len(), |i, buckets| {
            let (value, was_forced) = quantile(phis.get(i).copied().unwrap_or(f64::NAN), buckets);
            forced |= was_forced;
            value
        });
        if forced {
            let text = format!(
                "input to histogram_quantile needed to be fixed for monotonicity (see \
                 https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile){}",
                for_metric(group.labels.get(METRIC_NAME).unwrap_or_default())
            );
            self.info(span, text);
        }
        values
    }

    pub(crate) fn histogram_fraction(&self, args: &[Expr], grid: Grid, sink: Sink<'_>) -> Outcome<()> {
        let [lower, upper, vector] = args else { return Ok(()) };
        let (lower, upper) = (self.scalar(lower, grid)?, self.scalar(upper, grid)?);
        let groups = self.bucket_groups(vector, grid)?;
        self.renamed(vector, sink, &mut |sink| {
            for group in &groups {
                let bound = |bounds: &[f64], i: usize| bounds.get(i).copied().unwrap_or(f64::NAN);
                let from_zero = self.options.newer_than_3_5;
                let share = |i: usize, b: &mut Vec<Bucket>| fraction(bound(&lower, i), bound(&upper, i), b, from_zero);
                let values = group.each_step(grid.count, share);
                give(group, values, sink)?;
            }
            Ok(())
        })
    }
}

impl Group {
    /// Computes a value at each step that has buckets.
    fn each_step(&self, steps: usize, mut compute: impl FnMut(usize, &mut Vec<Bucket>) -> f64) -> Vec<f64> {
        let mut buckets = Vec::with_capacity(self.buckets.len());
        (0..steps)
            .map(|i| {
                buckets.clear();
                for (bound, counts) in &self.buckets {
                    let count = counts.get(i).copied().unwrap_or(ABSENT);
                    if !is_absent(count) {
                        buckets.push(Bucket { bound: *bound, count });
                    }
                }
                if buckets.is_empty() { ABSENT } else { compute(i, &mut buckets) }
            })
            .collect()
    }
}

/// A quantile as OpenMetrics writes numbers: always with a point.
fn quantile_label(phi: f64) -> String {
    let text = crate::syntax::format_value(phi);
    if phi.is_finite() && !text.contains('.') { text + ".0" } else { text }
}

fn give(group: &Group, values: Vec<f64>, sink: Sink<'_>) -> Outcome<()> {
    let row = Row { labels: group.labels.clone(), drop_name: group.drop_name, values };
    if row.is_empty() { Ok(()) } else { sink(row) }
}

/// A bucket's upper bound as Go's `ParseFloat` reads it.
fn parse_bound(text: &str) -> Option<f64> {
    match text.to_ascii_lowercase().as_str() {
        "+inf" | "inf" => Some(f64::INFINITY),
        "-inf" => Some(f64::NEG_INFINITY),
        other => other.parse().ok(),
    }
}
