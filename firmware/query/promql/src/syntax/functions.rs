//! The functions' signatures.

use super::tree::ValueType::{self, Matrix, Scalar, String, Vector};

/// How many arguments may be left out or added at the end of the declared ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variadic {
    /// Exactly the declared ones.
    No,
    /// The last declared one may be left out, or come up to this many times.
    UpTo(usize),
    /// The last declared one may be left out or come any number of times.
    Any,
}

/// A function's signature.
#[derive(Debug, PartialEq, Eq)]
pub struct Function {
    /// Its name.
    pub name: &'static str,
    /// Types of the arguments.
    pub args: &'static [ValueType],
    /// Type of the result.
    pub returns: ValueType,
    /// Optional arguments.
    pub variadic: Variadic,
    /// Needs `experimental_functions`.
    pub experimental: bool,
}

/// The function of this name.
pub fn find(name: &str) -> Option<&'static Function> {
    FUNCTIONS.binary_search_by(|f| f.name.cmp(name)).ok().and_then(|at| FUNCTIONS.get(at))
}

const fn function(
    name: &'static str,
    args: &'static [ValueType],
    returns: ValueType,
    variadic: Variadic,
    experimental: bool,
) -> Function {
    Function { name, args, returns, variadic, experimental }
}

use Variadic::{Any, No, UpTo};

/// Ascending by name.
#[rustfmt::skip]
static FUNCTIONS: &[Function] = &[
    function("abs", &[Vector], Vector, No, false),
    function("absent", &[Vector], Vector, No, false),
    function("absent_over_time", &[Matrix], Vector, No, false),
    function("acos", &[Vector], Vector, No, false),
    function("acosh", &[Vector], Vector, No, false),
    function("asin", &[Vector], Vector, No, false),
    function("asinh", &[Vector], Vector, No, false),
    function("atan", &[Vector], Vector, No, false),
    function("atanh", &[Vector], Vector, No, false),
    function("avg_over_time", &[Matrix], Vector, No, false),
    function("ceil", &[Vector], Vector, No, false),
    function("changes", &[Matrix], Vector, No, false),
    function("clamp", &[Vector, Scalar, Scalar], Vector, No, false),
    function("clamp_max", &[Vector, Scalar], Vector, No, false),
    function("clamp_min", &[Vector, Scalar], Vector, No, false),
    function("cos", &[Vector], Vector, No, false),
    function("cosh", &[Vector], Vector, No, false),
    function("count_over_time", &[Matrix], Vector, No, false),
    function("day_of_month", &[Vector], Vector, UpTo(1), false),
    function("day_of_week", &[Vector], Vector, UpTo(1), false),
    function("day_of_year", &[Vector], Vector, UpTo(1), false),
    function("days_in_month", &[Vector], Vector, UpTo(1), false),
    function("deg", &[Vector], Vector, No, false),
    function("delta", &[Matrix], Vector, No, false),
    function("deriv", &[Matrix], Vector, No, false),
    function("double_exponential_smoothing", &[Matrix, Scalar, Scalar], Vector, No, true),
    function("end", &[], Scalar, No, true),
    function("exp", &[Vector], Vector, No, false),
    function("first_over_time", &[Matrix], Vector, No, true),
    function("floor", &[Vector], Vector, No, false),
    function("histogram_avg", &[Vector], Vector, No, false),
    function("histogram_count", &[Vector], Vector, No, false),
    function("histogram_fraction", &[Scalar, Scalar, Vector], Vector, No, false),
    function("histogram_quantile", &[Scalar, Vector], Vector, No, false),
    function("histogram_quantiles", &[Vector, String, Scalar, Scalar], Vector, UpTo(9), true),
    function("histogram_stddev", &[Vector], Vector, No, false),
    function("histogram_stdvar", &[Vector], Vector, No, false),
    function("histogram_sum", &[Vector], Vector, No, false),
    function("hour", &[Vector], Vector, UpTo(1), false),
    function("idelta", &[Matrix], Vector, No, false),
    function("increase", &[Matrix], Vector, No, false),
    function("info", &[Vector, Vector], Vector, UpTo(1), true),
    function("irate", &[Matrix], Vector, No, false),
    function("label_join", &[Vector, String, String, String], Vector, Any, false),
    function("label_replace", &[Vector, String, String, String, String], Vector, No, false),
    function("last_over_time", &[Matrix], Vector, No, false),
    function("ln", &[Vector], Vector, No, false),
    function("log10", &[Vector], Vector, No, false),
    function("log2", &[Vector], Vector, No, false),
    function("mad_over_time", &[Matrix], Vector, No, true),
    function("max_of", &[Scalar, Scalar], Scalar, No, true),
    function("max_over_time", &[Matrix], Vector, No, false),
    function("min_of", &[Scalar, Scalar], Scalar, No, true),
    function("min_over_time", &[Matrix], Vector, No, false),
    function("minute", &[Vector], Vector, UpTo(1), false),
    function("month", &[Vector], Vector, UpTo(1), false),
    function("pi", &[], Scalar, No, false),
    function("predict_linear", &[Matrix, Scalar], Vector, No, false),
    function("present_over_time", &[Matrix], Vector, No, false),
    function("quantile_over_time", &[Scalar, Matrix], Vector, No, false),
    function("rad", &[Vector], Vector, No, false),
    function("range", &[], Scalar, No, true),
    function("rate", &[Matrix], Vector, No, false),
    function("resets", &[Matrix], Vector, No, false),
    function("round", &[Vector, Scalar], Vector, UpTo(1), false),
    function("scalar", &[Vector], Scalar, No, false),
    function("sgn", &[Vector], Vector, No, false),
    function("sin", &[Vector], Vector, No, false),
    function("sinh", &[Vector], Vector, No, false),
    function("sort", &[Vector], Vector, No, false),
    function("sort_by_label", &[Vector, String], Vector, Any, true),
    function("sort_by_label_desc", &[Vector, String], Vector, Any, true),
    function("sort_desc", &[Vector], Vector, No, false),
    function("sqrt", &[Vector], Vector, No, false),
    function("start", &[], Scalar, No, true),
    function("start_timestamp", &[Vector], Vector, No, true),
    function("stddev_over_time", &[Matrix], Vector, No, false),
    function("stdvar_over_time", &[Matrix], Vector, No, false),
    function("step", &[], Scalar, No, true),
    function("sum_over_time", &[Matrix], Vector, No, false),
    function("tan", &[Vector], Vector, No, false),
    function("tanh", &[Vector], Vector, No, false),
    function("time", &[], Scalar, No, false),
    function("timestamp", &[Vector], Vector, No, false),
    function("ts_of_first_over_time", &[Matrix], Vector, No, true),
    function("ts_of_last_over_time", &[Matrix], Vector, No, true),
    function("ts_of_max_over_time", &[Matrix], Vector, No, true),
    function("ts_of_min_over_time", &[Matrix], Vector, No, true),
    function("vector", &[Scalar], Vector, No, false),
    function("year", &[Vector], Vector, UpTo(1), false),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted() {
        assert!(FUNCTIONS.is_sorted_by(|a, b| a.name < b.name));
        assert!(find("rate").is_some() && find("holt_winters").is_none());
    }
}
