//! Functions of range vectors.

use super::engine::failed;
use super::evaluator::{Evaluator, Outcome, Sink};
use super::native::{self, Element, Noted};
use super::over_time;
use super::quantiles::{bad_quantile, quantile};
use super::rollups;
use super::rows::{ABSENT, Grid, Row, is_float};
use super::window::{RangeSeries, Window};
use super::{rate_rows, rates};
use crate::syntax::{Expr, ExprKind, Extension};

/// Functions whose rows keep the metric's name.
fn keeps_name(name: &str) -> bool {
    matches!(name, "last_over_time" | "first_over_time")
}

fn looks_like_a_counter(name: &str) -> bool {
    name.is_empty() || ["_total", "_sum", "_count", "_bucket"].iter().any(|end| name.ends_with(end))
}

impl Evaluator<'_> {
    /// Evaluates a function one of whose arguments is a range vector.
    pub(crate) fn range_call(&self, name: &'static str, args: &[Expr], grid: Grid, sink: Sink<'_>) -> Outcome<()> {
        let Some(arg) = args.iter().find(|a| a.value_type() == crate::syntax::ValueType::Matrix) else {
            return failed("range vector expected");
        };
        let scalars = args.iter().filter(|a| a.value_type() == crate::syntax::ValueType::Scalar);
        let params = scalars.map(|a| self.scalar(a, grid)).collect::<Outcome<Vec<_>>>()?;
        self.check_params(name, args, &params)?;
        let extension = extension_of(arg);
        check_extension(name, extension)?;
        let mut produce = |sink: Sink<'_>| {
            self.ranges(arg, grid, &mut |series| {
                let mut row = Row::floats(series.labels.clone(), series.drop_name, vec![ABSENT; grid.count]);
                self.tell_function(name, arg.span, &series);
                let mut noted: Vec<Noted> = Vec::new();
                let mut notes = |note: Noted| {
                    if !noted.contains(&note) {
                        noted.push(note);
                    }
                };
                let any = match extension {
                    Some(extension) => super::extended::fill_row(name, extension, &series, &mut row, &mut notes),
                    None if series.histograms.is_empty() && series.starts.is_empty() => {
                        fill_row(name, &series, &params, grid, &mut row.values)
                    }
                    None => self.fill_row_natively(name, &series, &params, grid, &mut row, &mut notes),
                };
                let span = args.first().map_or(arg.span, |first| first.span);
                noted.into_iter().for_each(|note| self.note(note, series.name(), span));
                if !any {
                    return Ok(());
                }
                let floats = row.histograms.is_empty() || row.values.iter().any(|v| is_float(*v));
                if matches!(name, "rate" | "increase") && floats && !looks_like_a_counter(row.name()) {
                    let text = format!(
                        "metric might not be a counter, name does not end in _total/_sum/_count/_bucket: {:?}",
                        row.name()
                    );
                    self.info(arg.span, text);
                }
                sink(row)
            })
        };
        if keeps_name(name) { produce(sink) } else { self.renamed(arg, sink, &mut produce) }
    }

    fn check_params(&self, name: &str, args: &[Expr], params: &[Vec<f64>]) -> Outcome<()> {
        match name {
            "quantile_over_time" => {
                for text in params.iter().flatten().filter_map(|phi| bad_quantile(*phi)) {
                    self.warn(args.first().map(|a| a.span).unwrap_or_default(), text);
                }
            }
            "double_exponential_smoothing" => {
                for (values, what) in params.iter().zip(["smoothing", "trend"]) {
                    if let Some(bad) = values.iter().find(|v| !(0.0..=1.0).contains(*v)) {
                        return failed(format!(
                            "invalid {what} factor. Expected: 0 <= {} <= 1, got: {bad:.6}",
                            if what == "smoothing" { "sf" } else { "tf" }
                        ));
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }
}

fn extension_of(arg: &Expr) -> Option<Extension> {
    match &arg.unparen().kind {
        ExprKind::Range { selector, .. } => selector.extension,
        _ => None,
    }
}

fn check_extension(name: &str, extension: Option<Extension>) -> Outcome<()> {
    let (word, allowed): (_, &[&str]) = match extension {
        None => return Ok(()),
        Some(Extension::Anchored) => ("anchored", &["changes", "delta", "increase", "rate", "resets"]),
        Some(Extension::Smoothed) => ("smoothed", &["delta", "increase", "rate"]),
    };
    if allowed.contains(&name) {
        return Ok(());
    }
    failed(format!("{word} modifier can only be used with: {} - not with {name}", allowed.join(", ")))
}

impl Evaluator<'_> {
    /// As [`fill_row`], of series that hold histograms or know when counts began.
    fn fill_row_natively(
        &self,
        name: &str,
        series: &RangeSeries<'_>,
        params: &[Vec<f64>],
        grid: Grid,
        row: &mut Row,
        notes: &mut dyn FnMut(Noted),
    ) -> bool {
        let mut any = false;
        let newer = self.options.newer_than_3_5;
        let mut function = Function::new(name, params, grid);
        series.windows(|i, w| {
            if w.values.is_empty() {
                return;
            }
            let element = match rollups::value(name, &w) {
                Some(value) => value.map(Element::Float),
                None => native::window(name, &w, newer, notes, &mut |w| function.value(i, w)),
            };
            let marker = match element {
                None => return,
                Some(Element::Float(value)) => value,
                Some(Element::Histogram(histogram)) => row.keep(rollups::scaled(name, &w, histogram)),
            };
            if let Some(slot) = row.values.get_mut(i) {
                *slot = marker;
                any = true;
            }
        });
        any
    }
}

/// Fills a row's values; says whether there are any.
fn fill_row(name: &str, series: &RangeSeries<'_>, params: &[Vec<f64>], grid: Grid, out: &mut [f64]) -> bool {
    if let Some(kind) = rate_rows::kind_of(name)
        && series.rollups.is_empty()
    {
        return rate_rows::fill(series, kind, out);
    }
    let mut any = false;
    let mut function = Function::new(name, params, grid);
    series.windows(|i, w| {
        if w.values.is_empty() {
            return;
        }
        if let (Some(value), Some(slot)) = (function.value(i, &w), out.get_mut(i)) {
            *slot = value;
            any = true;
        }
    });
    any
}

/// A function of windows of numbers.
struct Function<'p> {
    name: &'p str,
    simple: Option<over_time::WindowFunction>,
    params: &'p [Vec<f64>],
    grid: Grid,
    scratch: Vec<f64>,
}

impl<'p> Function<'p> {
    fn new(name: &'p str, params: &'p [Vec<f64>], grid: Grid) -> Self {
        Function { name, simple: over_time::find(name), params, grid, scratch: Vec::new() }
    }

    fn param(&self, which: usize, i: usize) -> f64 {
        self.params.get(which).and_then(|p| p.get(i)).copied().unwrap_or(f64::NAN)
    }

    /// Its value at step `i`.
    fn value(&mut self, i: usize, w: &Window<'_>) -> Option<f64> {
        if let Some(value) = rollups::value(self.name, w) {
            return value;
        }
        match (self.simple, self.name) {
            (Some(function), _) => function(w),
            (None, "quantile_over_time") => {
                self.scratch.clear();
                self.scratch.extend_from_slice(w.values);
                Some(quantile(self.param(0, i), &mut self.scratch))
            }
            (None, "predict_linear") => {
                rates::regression(w, self.grid.at(i)).map(|(slope, now)| slope * self.param(0, i) + now)
            }
            (None, "double_exponential_smoothing") => rates::double_smoothing(w, self.param(0, i), self.param(1, i)),
            (None, name) => by_rate(name, w),
        }
    }
}

fn by_rate(name: &str, w: &Window<'_>) -> Option<f64> {
    match name {
        "rate" => rates::extrapolated(w, true, true),
        "increase" => rates::extrapolated(w, true, false),
        "delta" => rates::extrapolated(w, false, false),
        "irate" => rates::instant(w, true, false),
        "idelta" => rates::instant(w, false, false),
        "deriv" => rates::regression(w, w.timestamps_ms.first().copied()?).map(|(slope, _)| slope),
        _ => None,
    }
}
