//! Function calls: which way each function goes, and the element-wise ones.

use super::engine::failed;
use super::evaluator::{Evaluator, Outcome, Sink};
use super::rows::{ABSENT, Grid, Row, is_absent, is_float};
use super::select::Newest;
use super::{dates, native};
use crate::syntax::{Expr, ExprKind, Function, ValueType};
use bramble_signal::{Labels, NativeHistogram, histogram_at};
use std::f64::consts::LN_2;

/// Beyond this, the square in asinh and acosh is all that counts (and may overflow).
const LARGE: f64 = (1u64 << 28) as f64;

/// The logarithm. Below the normal range the answer is that of Go's assembly on amd64, which reads a subnormal
/// number's fraction as a normal one's: clients compare with Prometheus, and nobody measures there.
fn ln(value: f64) -> f64 {
    match value.is_subnormal() && value > 0.0 {
        true => f64::from_bits(value.to_bits() | 1 << 52).ln() - LN_2,
        false => value.ln(),
    }
}

/// A function of one number.
fn of_number(name: &str) -> Option<fn(f64) -> f64> {
    Some(match name {
        "abs" => f64::abs,
        "acos" => f64::acos,
        "acosh" => |v| if v > LARGE { ln(v) + LN_2 } else { v.acosh() },
        "asin" => f64::asin,
        "asinh" => |v| if v.abs() > LARGE { (ln(v.abs()) + LN_2).copysign(v) } else { v.asinh() },
        "atan" => f64::atan,
        "atanh" => f64::atanh,
        "ceil" => f64::ceil,
        "cos" => f64::cos,
        "cosh" => f64::cosh,
        "deg" => |v| v * 180.0 / std::f64::consts::PI,
        "exp" => f64::exp,
        "floor" => f64::floor,
        "ln" => ln,
        "log10" => |v| if v.is_subnormal() { ln(v) / std::f64::consts::LN_10 } else { v.log10() },
        "log2" => f64::log2,
        "rad" => |v| v * std::f64::consts::PI / 180.0,
        "sgn" => |v| {
            if v < 0.0 {
                -1.0
            } else if v > 0.0 {
                1.0
            } else {
                v
            }
        },
        "sin" => f64::sin,
        "sinh" => f64::sinh,
        "sqrt" => f64::sqrt,
        "tan" => f64::tan,
        "tanh" => f64::tanh,
        _ => return None,
    })
}

/// `round(v, nearest)`: halves go up; the inverse keeps `round(x, 0.1)` exact.
fn round_to(value: f64, nearest: f64) -> f64 {
    let inverse = 1.0 / nearest;
    (value * inverse + 0.5).floor() / inverse
}

impl Evaluator<'_> {
    /// Evaluates a call that gives a vector.
    pub(crate) fn call(
        &self,
        function: &'static Function,
        args: &[Expr],
        expr: &Expr,
        grid: Grid,
        sink: Sink<'_>,
    ) -> Outcome<()> {
        let name = function.name;
        if name == "absent_over_time" {
            return self.absent_over_time(args, grid, sink);
        }
        if args.iter().any(|a| a.value_type() == ValueType::Matrix) {
            return self.range_call(name, args, grid, sink);
        }
        if let Some(f) = of_number(name) {
            return self.mapped(args, &[], grid, sink, &move |v, _| f(v));
        }
        if let Some(f) = native::number_of(name) {
            return self.of_histograms(name, args, grid, sink, f);
        }
        if dates::is_date_part(name) {
            return self.date_call(name, args, grid, sink);
        }
        let rest = args.get(1..).unwrap_or_default();
        match name {
            "clamp" => self.clamp(args, grid, sink),
            "clamp_min" => self.mapped(args, rest, grid, sink, &|v, p| max_go(p[0], v)),
            "clamp_max" => self.mapped(args, rest, grid, sink, &|v, p| min_go(p[0], v)),
            "round" if rest.is_empty() => self.mapped(args, rest, grid, sink, &|v, _| round_to(v, 1.0)),
            "round" => self.mapped(args, rest, grid, sink, &|v, p| round_to(v, p[0])),
            "vector" => match args.first() {
                Some(arg) => {
                    let values = self.scalar(arg, grid)?;
                    sink(Row::floats(Labels::empty(), false, values))
                }
                None => Ok(()),
            },
            "timestamp" => self.timestamps(args, grid, sink),
            "absent" => self.absent(args, grid, sink),
            "sort" | "sort_desc" => self.sort_by_value(args, expr, name == "sort_desc", grid, sink),
            "sort_by_label" | "sort_by_label_desc" => {
                self.sort_by_label(args, expr, name == "sort_by_label_desc", grid, sink)
            }
            "label_replace" => self.label_replace(args, grid, sink),
            "label_join" => self.label_join(args, grid, sink),
            "histogram_quantile" => self.telling_resets(false, || self.histogram_quantile(args, grid, sink)),
            "histogram_quantiles" => self.telling_resets(false, || self.histogram_quantiles(args, grid, sink)),
            "histogram_fraction" => self.telling_resets(false, || self.histogram_fraction(args, grid, sink)),
            "start_timestamp" => self.start_timestamps(args, grid, sink),
            "info" => super::info::info(self, args, grid, sink),
            other => failed(format!("function {other:?} is not supported")),
        }
    }

    /// A call that gives a scalar.
    pub(crate) fn scalar_call(&self, function: &Function, args: &[Expr], grid: Grid) -> Outcome<Vec<f64>> {
        let same = |v: f64| Ok(vec![v; grid.count]);
        let seconds = |ms: i64| ms as f64 / 1000.0;
        match function.name {
            "pi" => same(std::f64::consts::PI),
            "time" => Ok(grid.times().map(seconds).collect()),
            "start" => same(seconds(self.whole.start_ms)),
            "end" => same(seconds(self.whole.last_ms())),
            "range" => same(seconds(self.whole.last_ms() - self.whole.start_ms)),
            "step" => same(seconds(self.whole.step_ms)),
            "scalar" => self.single(args, grid),
            "min_of" | "max_of" => {
                let [a, b] = args else { return failed("two arguments expected") };
                let (mut values, others) = (self.scalar(a, grid)?, self.scalar(b, grid)?);
                let f = if function.name == "min_of" { min_go } else { max_go };
                values.iter_mut().zip(others).for_each(|(v, other)| *v = f(*v, other));
                Ok(values)
            }
            other => failed(format!("function {other:?} is not supported")),
        }
    }

    /// `scalar(v)`: the only element's value, NaN unless there is exactly one.
    fn single(&self, args: &[Expr], grid: Grid) -> Outcome<Vec<f64>> {
        let mut values = vec![ABSENT; grid.count];
        let mut several = vec![false; grid.count];
        let Some(arg) = args.first() else { return Ok(values) };
        self.each(arg, grid, &mut |row| {
            for ((value, several), new) in values.iter_mut().zip(&mut several).zip(&row.values) {
                if !is_float(*new) {
                    continue;
                }
                *several |= !is_absent(*value);
                *value = *new;
            }
            Ok(())
        })?;
        for (value, several) in values.iter_mut().zip(several) {
            if several || is_absent(*value) {
                *value = f64::NAN;
            }
        }
        Ok(values)
    }

    /// Applies a function of an element and scalars.
    fn mapped(
        &self,
        args: &[Expr],
        scalars: &[Expr],
        grid: Grid,
        sink: Sink<'_>,
        f: &dyn Fn(f64, [f64; 2]) -> f64,
    ) -> Outcome<()> {
        let params = scalars.iter().map(|s| self.scalar(s, grid)).collect::<Outcome<Vec<_>>>()?;
        let param = |which: usize, i: usize| params.get(which).and_then(|p| p.get(i)).copied().unwrap_or(f64::NAN);
        let Some(arg) = args.first() else { return Ok(()) };
        self.renamed(arg, sink, &mut |sink| {
            self.each(arg, grid, &mut |mut row| {
                row.map(|i, v| f(v, [param(0, i), param(1, i)]));
                sink(row)
            })
        })
    }

    fn clamp(&self, args: &[Expr], grid: Grid, sink: Sink<'_>) -> Outcome<()> {
        let rest = args.get(1..).unwrap_or_default();
        // An interval that is empty holds nothing.
        let f = |v: f64, p: [f64; 2]| if p[1] < p[0] { ABSENT } else { max_go(p[0], min_go(p[1], v)) };
        self.mapped(args, rest, grid, &mut |row| if row.is_empty() { Ok(()) } else { sink(row) }, &f)
    }

    fn timestamps(&self, args: &[Expr], grid: Grid, sink: Sink<'_>) -> Outcome<()> {
        let Some(arg) = args.first() else { return Ok(()) };
        self.renamed(arg, sink, &mut |sink| match &arg.unparen().kind {
            ExprKind::Selector(selector) => self.newest(selector, grid, Newest::Time, sink),
            _ => self.each(arg, grid, &mut |mut row| {
                for (i, value) in row.values.iter_mut().enumerate().filter(|(_, v)| !is_absent(**v)) {
                    *value = grid.at(i) as f64 / 1000.0;
                }
                row.histograms.clear();
                sink(row)
            }),
        })
    }

    /// `start_timestamp(v)`: when what the samples of a selector count began. Of what was computed it is not known.
    fn start_timestamps(&self, args: &[Expr], grid: Grid, sink: Sink<'_>) -> Outcome<()> {
        let Some(arg) = args.first() else { return Ok(()) };
        let ExprKind::Selector(selector) = &arg.unparen().kind else { return Ok(()) };
        self.renamed(arg, sink, &mut |sink| self.newest(selector, grid, Newest::Start, sink))
    }

    /// A number of each histogram; numbers go.
    fn of_histograms(
        &self,
        name: &str,
        args: &[Expr],
        grid: Grid,
        sink: Sink<'_>,
        f: fn(&NativeHistogram) -> f64,
    ) -> Outcome<()> {
        let Some(arg) = args.first() else { return Ok(()) };
        // Prometheus leaves buckets out then, and so has to compare while they are there.
        let tells =
            self.options.newer_than_3_5 && matches!(name, "histogram_count" | "histogram_sum" | "histogram_avg");
        self.renamed(arg, sink, &mut |sink| {
            self.telling_resets(tells || self.tells_resets.get(), || {
                self.each(arg, grid, &mut |mut row| {
                    if row.histograms.is_empty() {
                        return Ok(());
                    }
                    let histograms = std::mem::take(&mut row.histograms);
                    for value in &mut row.values {
                        *value = histogram_at(*value, &histograms).map_or(ABSENT, f);
                    }
                    if row.is_empty() { Ok(()) } else { sink(row) }
                })
            })
        })
    }

    fn date_call(&self, name: &str, args: &[Expr], grid: Grid, sink: Sink<'_>) -> Outcome<()> {
        let part = |v: f64| dates::part(name, v);
        match args.first() {
            Some(arg) => self.renamed(arg, sink, &mut |sink| {
                self.each(arg, grid, &mut |mut row| {
                    row.map(|_, v| part(v));
                    sink(row)
                })
            }),
            None => {
                let values = grid.times().map(|t| part(t as f64 / 1000.0)).collect();
                sink(Row::floats(Labels::empty(), false, values))
            }
        }
    }
}

/// Go's `math.Max`: +Inf wins over NaN, which wins over the rest.
fn max_go(a: f64, b: f64) -> f64 {
    match (a == f64::INFINITY || b == f64::INFINITY, a.is_nan() || b.is_nan()) {
        (true, _) => f64::INFINITY,
        (_, true) => f64::NAN,
        _ => a.max(b),
    }
}

/// Go's `math.Min`: -Inf wins over NaN, which wins over the rest.
fn min_go(a: f64, b: f64) -> f64 {
    -max_go(-a, -b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_goes_up_from_the_middle() {
        assert_eq!((round_to(2.5, 1.0), round_to(-2.5, 1.0), round_to(5.15, 0.1)), (3.0, -2.0, 5.2));
    }

    #[test]
    fn sign_keeps_nan_and_zero() {
        let sgn = of_number("sgn").unwrap();
        assert!(sgn(f64::NAN).is_nan());
        assert_eq!((sgn(-3.0), sgn(0.0), sgn(0.5)), (-1.0, 0.0, 1.0));
    }
}
