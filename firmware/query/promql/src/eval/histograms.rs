//! Functions of histograms: native ones, and classic ones, whose buckets are series that differ in their `le` label.

use super::annotations::for_metric;
use super::buckets::{self, Bucket};
use super::evaluator::{Evaluator, Outcome, Sink};
use super::groups::Groups;
use super::native::{self, Nans, Noted};
use super::quantiles::bad_quantile;
use super::rows::{ABSENT, Grid, Row, is_absent, is_float};
use crate::syntax::{Expr, Span};
use bramble_signal::{Labels, NativeHistogram, is_histogram_marker};

const BUCKET_LABEL: &str = "le";

/// A bound and the counts up to it, one per step.
type Cumulative = (f64, Vec<f64>);

/// A histogram's buckets as they come by, and whether its name goes at the end.
#[derive(Default)]
struct Parts {
    drop_name: bool,
    buckets: Vec<Cumulative>,
}

/// The buckets of one classic histogram, as rows.
struct Classic {
    labels: Labels,
    drop_name: bool,
    /// Ascending by bound.
    buckets: Vec<Cumulative>,
}

/// A vector's rows as histograms.
#[derive(Default)]
struct Histograms {
    natives: Vec<Row>,
    classics: Vec<Classic>,
}

fn without_bound(labels: &Labels) -> impl Iterator<Item = (&str, &str)> + Clone {
    labels.iter().filter(|(name, _)| *name != BUCKET_LABEL)
}

impl Evaluator<'_> {
    /// Reads a vector's rows as histograms; rows of numbers whose `le` is none are warned of and left out. Where a
    /// native histogram has a classic one beside it, both are left out.
    fn histograms(&self, arg: &Expr, grid: Grid) -> Outcome<Histograms> {
        let rows = self.collect(arg, grid)?;
        let mut groups = Groups::default();
        let mut found = Histograms::default();
        let mut parts: Vec<Parts> = Vec::new();
        for row in rows.take() {
            if !row.histograms.is_empty() {
                let floats = Row::floats(row.labels.clone(), row.drop_name, row.values.clone());
                found.natives.push(row);
                if floats.values.iter().any(|v| is_float(*v)) {
                    self.take_bucket(floats, arg.span, &mut groups, &mut parts);
                }
                continue;
            }
            self.take_bucket(row, arg.span, &mut groups, &mut parts);
        }
        for row in &mut found.natives {
            let Some(at) = groups.find(without_bound(&row.labels)) else { continue };
            let Some(part) = parts.get_mut(at) else { continue };
            if leave_out_both(row, &mut part.buckets) {
                self.note(Noted::ClassicAndNative, row.name(), arg.span);
            }
        }
        found.classics = groups.into_keys().into_iter().zip(parts).map(Classic::new).collect();
        Ok(found)
    }

    fn take_bucket(&self, row: Row, span: Span, groups: &mut Groups, parts: &mut Vec<Parts>) {
        let le = row.labels.get(BUCKET_LABEL).unwrap_or_default();
        let Some(bound) = parse_bound(le) else {
            let name = for_metric(row.name());
            self.warn(span, format!("bucket label \"le\" is missing or has a malformed value of {le:?}{name}"));
            return;
        };
        let at = groups.place(without_bound(&row.labels));
        if at == parts.len() {
            parts.push(Parts { drop_name: row.drop_name, ..Parts::default() });
        }
        if let Some(part) = parts.get_mut(at) {
            part.buckets.push((bound, row.values));
        }
    }

    pub(crate) fn histogram_quantile(&self, args: &[Expr], grid: Grid, sink: Sink<'_>) -> Outcome<()> {
        let [phi, vector] = args else { return Ok(()) };
        let phis = self.scalar(phi, grid)?;
        let found = self.histograms(vector, grid)?;
        self.warn_quantiles(&phis, phi.span);
        self.renamed(vector, sink, &mut |sink| {
            for row in &found.natives {
                let values = self.native_quantiles(row, &phis, vector.span);
                give(row.labels.clone(), row.drop_name, values, sink)?;
            }
            for classic in &found.classics {
                let values = self.classic_quantiles(classic, &phis, vector.span);
                give(classic.labels.clone(), classic.drop_name, values, sink)?;
            }
            Ok(())
        })
    }

    pub(crate) fn histogram_quantiles(&self, args: &[Expr], grid: Grid, sink: Sink<'_>) -> Outcome<()> {
        let [vector, label, phis @ ..] = args else { return Ok(()) };
        let label = self.text(label)?;
        let found = self.histograms(vector, grid)?;
        let lists = phis.iter().map(|p| self.scalar(p, grid)).collect::<Outcome<Vec<_>>>()?;
        for (phis, arg) in lists.iter().zip(phis) {
            self.warn_quantiles(phis, arg.span);
        }
        let labelled = |labels: &Labels, phis: &[f64]| {
            let mut labels = labels.to_builder();
            labels.set(&label, &quantile_label(phis.first().copied().unwrap_or(f64::NAN)));
            labels.build()
        };
        self.renamed(vector, sink, &mut |sink| {
            for phis in &lists {
                for row in &found.natives {
                    let values = self.native_quantiles(row, phis, vector.span);
                    give(labelled(&row.labels, phis), row.drop_name, values, sink)?;
                }
                for classic in &found.classics {
                    let values = self.classic_quantiles(classic, phis, vector.span);
                    give(labelled(&classic.labels, phis), classic.drop_name, values, sink)?;
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

    fn native_quantiles(&self, row: &Row, phis: &[f64], span: Span) -> Vec<f64> {
        let mut nans = [false; 2];
        let values = each_histogram(row, |i, histogram| {
            let (value, effect) = native::quantile(phis.get(i).copied().unwrap_or(f64::NAN), histogram);
            nans[0] |= effect == Nans::Result;
            nans[1] |= effect == Nans::Skew;
            value
        });
        for (there, effect) in nans.into_iter().zip(["result is NaN", "result is skewed higher"]) {
            if there {
                let name = for_metric(row.name());
                self.info(span, format!("input to histogram_quantile has NaN observations, {effect}{name}"));
            }
        }
        values
    }

    fn classic_quantiles(&self, classic: &Classic, phis: &[f64], span: Span) -> Vec<f64> {
        let mut forced = false;
        let values = classic.each_step(phis.len(), |i, counts| {
            let (value, was_forced) = buckets::quantile(phis.get(i).copied().unwrap_or(f64::NAN), counts);
            forced |= was_forced;
            value
        });
        if forced {
            let text = format!(
                "input to histogram_quantile needed to be fixed for monotonicity (see \
                 https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile){}",
                for_metric(classic.labels.get(bramble_signal::METRIC_NAME).unwrap_or_default())
            );
            self.info(span, text);
        }
        values
    }

    pub(crate) fn histogram_fraction(&self, args: &[Expr], grid: Grid, sink: Sink<'_>) -> Outcome<()> {
        let [lower, upper, vector] = args else { return Ok(()) };
        let (lower, upper) = (self.scalar(lower, grid)?, self.scalar(upper, grid)?);
        let found = self.histograms(vector, grid)?;
        let bound = |bounds: &[f64], i: usize| bounds.get(i).copied().unwrap_or(f64::NAN);
        let newer = self.options.newer_than_3_5;
        self.renamed(vector, sink, &mut |sink| {
            for row in &found.natives {
                let mut nans = false;
                let values = each_histogram(row, |i, histogram| {
                    nans |= histogram.sum.is_nan() && histogram.count != 0.0;
                    native::fraction(bound(&lower, i), bound(&upper, i), histogram, newer)
                });
                if nans {
                    let name = for_metric(row.name());
                    self.info(
                        vector.span,
                        format!(
                            "input to histogram_fraction has NaN observations, which are excluded from all \
                             fractions{name}"
                        ),
                    );
                }
                give(row.labels.clone(), row.drop_name, values, sink)?;
            }
            for classic in &found.classics {
                let share =
                    |i: usize, b: &mut Vec<Bucket>| buckets::fraction(bound(&lower, i), bound(&upper, i), b, newer);
                let values = classic.each_step(grid.count, share);
                give(classic.labels.clone(), classic.drop_name, values, sink)?;
            }
            Ok(())
        })
    }
}

/// Removes both where there are both; says whether that was anywhere.
fn leave_out_both(row: &mut Row, buckets: &mut [Cumulative]) -> bool {
    let mut met = false;
    for (i, value) in row.values.iter_mut().enumerate().filter(|(_, v)| is_histogram_marker(**v)) {
        let mut there = false;
        for slot in buckets.iter_mut().filter_map(|(_, counts)| counts.get_mut(i)) {
            there |= is_float(*slot);
            *slot = ABSENT;
        }
        if there {
            *value = ABSENT;
            met = true;
        }
    }
    met
}

/// A number of each histogram of a row.
fn each_histogram(row: &Row, mut compute: impl FnMut(usize, &NativeHistogram) -> f64) -> Vec<f64> {
    (0..row.values.len()).map(|i| row.histogram(i).map_or(ABSENT, |h| compute(i, h))).collect()
}

impl Classic {
    fn new((labels, parts): (Labels, Parts)) -> Self {
        let Parts { drop_name, mut buckets } = parts;
        buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        Classic { labels, drop_name, buckets }
    }

    /// Computes a value at each step that has buckets.
    fn each_step(&self, steps: usize, mut compute: impl FnMut(usize, &mut Vec<Bucket>) -> f64) -> Vec<f64> {
        let mut buckets = Vec::with_capacity(self.buckets.len());
        (0..steps)
            .map(|i| {
                buckets.clear();
                for (bound, counts) in &self.buckets {
                    let count = counts.get(i).copied().unwrap_or(ABSENT);
                    if is_float(count) {
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

fn give(labels: Labels, drop_name: bool, values: Vec<f64>, sink: Sink<'_>) -> Outcome<()> {
    match values.iter().all(|v| is_absent(*v)) {
        true => Ok(()),
        false => sink(Row::floats(labels, drop_name, values)),
    }
}

/// A bucket's upper bound as Go's `ParseFloat` reads it.
fn parse_bound(text: &str) -> Option<f64> {
    match text.to_ascii_lowercase().as_str() {
        "+inf" | "inf" => Some(f64::INFINITY),
        "-inf" => Some(f64::NEG_INFINITY),
        other => other.parse().ok(),
    }
}
