//! The tree of a query.

use bramble_signal::Matcher;

/// A query.
#[derive(Clone, Debug)]
pub enum Expr {
    /// Lines.
    Log(LogExpr),
    /// Numbers.
    Sample(Sample),
}

/// A selector and what is done to its lines.
#[derive(Clone, Debug)]
pub struct LogExpr {
    /// Matchers of the selector.
    pub matchers: Vec<Matcher>,
    /// Stages in order.
    pub stages: Vec<Stage>,
}

/// One stage of a pipeline.
#[derive(Clone, Debug)]
pub enum Stage {
    /// `|= "a" or "b"` and its relatives.
    Line(LineFilter),
    /// `| json`, or with expressions: (label, path).
    Json(Vec<(String, String)>),
    /// `| logfmt`, or with expressions.
    Logfmt {
        /// `--strict`
        strict: bool,
        /// `--keep-empty`
        keep_empty: bool,
        /// (label, key)
        fields: Vec<(String, String)>,
    },
    /// `| regexp`
    Regexp(String),
    /// `| pattern`
    Pattern(String),
    /// `| unpack`
    Unpack,
    /// A test on labels.
    Label(LabelTest),
    /// `| line_format`
    LineFormat(String),
    /// `| label_format`: (target, source).
    LabelFormat(Vec<(String, FormatSource)>),
    /// `| decolorize`
    Decolorize,
    /// `| drop`: names, or names with a condition on the value.
    Drop(Vec<NameTest>),
    /// `| keep`
    Keep(Vec<NameTest>),
}

/// A name, with a condition on its value if there is one.
#[derive(Clone, Debug)]
pub enum NameTest {
    /// The label of this name.
    Name(String),
    /// The label if it matches.
    Match(Matcher),
}

/// Where `label_format` takes a value from.
#[derive(Clone, Debug)]
pub enum FormatSource {
    /// Another label, which is renamed.
    Label(String),
    /// A template.
    Template(String),
}

/// How a line filter tests.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LineOp {
    /// `|=`
    Contains,
    /// `!=`
    NotContains,
    /// `|~`
    Matches,
    /// `!~`
    NotMatches,
    /// `|>`
    Pattern,
    /// `!>`
    NotPattern,
}

/// One alternative of a line filter.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LineText {
    /// A text, expression or pattern.
    Text(String),
    /// `ip("…")`
    Ip(String),
}

/// A test of lines: passes if any alternative does, or, for a negative test, if none does.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LineFilter {
    /// How.
    pub op: LineOp,
    /// Alternatives, at least one.
    pub texts: Vec<LineText>,
}

/// A comparison.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Comparison {
    /// `=`, `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterEqual,
    /// `<`
    Less,
    /// `<=`
    LessEqual,
}

/// What a label is compared with.
#[derive(Clone, PartialEq, Debug)]
pub enum Operand {
    /// A number.
    Number(f64),
    /// Nanoseconds.
    Duration(i64),
    /// Bytes.
    Bytes(u64),
}

/// A test of labels.
#[derive(Clone, Debug)]
pub enum LabelTest {
    /// A matcher.
    Match(Matcher),
    /// A comparison of a number, duration or size.
    Compare {
        /// The label.
        name: String,
        /// How.
        op: Comparison,
        /// With what.
        with: Operand,
    },
    /// `name = ip("…")`
    Ip {
        /// The label.
        name: String,
        /// `!=`
        negate: bool,
        /// Address, range or prefix.
        text: String,
    },
    /// Both.
    And(Box<LabelTest>, Box<LabelTest>),
    /// Either.
    Or(Box<LabelTest>, Box<LabelTest>),
}

/// How an unwrapped value becomes a number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Conversion {
    /// As it is.
    None,
    /// `duration(…)`, `duration_seconds(…)`: seconds. Whether it was written with `_seconds`.
    Duration(bool),
    /// `bytes(…)`
    Bytes,
}

/// `| unwrap`
#[derive(Clone, Debug)]
pub struct Unwrap {
    /// The label.
    pub label: String,
    /// How it becomes a number.
    pub conversion: Conversion,
    /// Tests after it.
    pub tests: Vec<LabelTest>,
}

/// `by (…)` or `without (…)`
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Grouping {
    /// `without`
    pub without: bool,
    /// Names.
    pub names: Vec<String>,
}

/// Functions over ranges of lines.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "LogQL's own names")]
pub enum RangeOp {
    Count,
    Rate,
    RateCounter,
    Bytes,
    BytesRate,
    Avg,
    Sum,
    Min,
    Max,
    Stddev,
    Stdvar,
    Quantile,
    First,
    Last,
    Absent,
}

/// A function over ranges of lines.
#[derive(Clone, Debug)]
pub struct RangeExpr {
    /// Which.
    pub op: RangeOp,
    /// The quantile.
    pub param: Option<f64>,
    /// The lines.
    pub log: LogExpr,
    /// The value, if it is not a count.
    pub unwrap: Option<Unwrap>,
    /// Length of the range, nanoseconds, positive.
    pub range_ns: i64,
    /// How far back.
    pub offset_ns: i64,
    /// Grouping of the function itself.
    pub grouping: Option<Grouping>,
}

/// Functions over vectors.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "LogQL's own names")]
pub enum VectorOp {
    Sum,
    Avg,
    Max,
    Min,
    Count,
    Stddev,
    Stdvar,
    Topk,
    Bottomk,
    ApproxTopk,
    Sort,
    SortDesc,
}

/// Operators between numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "the operators' own names")]
pub enum BinaryOp {
    Or,
    And,
    Unless,
    Add,
    Sub,
    Mul,
    Div,
    Mod,
    Pow,
    Compare(Comparison),
}

impl BinaryOp {
    /// `and`, `or`, `unless`.
    pub fn is_set(self) -> bool {
        matches!(self, BinaryOp::Or | BinaryOp::And | BinaryOp::Unless)
    }
}

/// Which series of two sides belong together.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Matching {
    /// `on` rather than `ignoring`.
    pub on: bool,
    /// Names after `on` or `ignoring`.
    pub names: Vec<String>,
    /// `group_left` or `group_right` with the labels to take over from the one side.
    pub group: Option<(Side, Vec<String>)>,
}

/// A side of an operator.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "sides")]
pub enum Side {
    Left,
    Right,
}

/// An expression of numbers.
#[derive(Clone, Debug)]
pub enum Sample {
    /// A number.
    Literal(f64),
    /// `vector(…)`
    Vector(f64),
    /// A function over ranges of lines.
    Range(Box<RangeExpr>),
    /// A function over a vector.
    Aggregate {
        /// Which.
        op: VectorOp,
        /// `k`.
        param: Option<u32>,
        /// Of what.
        inner: Box<Sample>,
        /// Grouping.
        grouping: Option<Grouping>,
    },
    /// An operator.
    Binary {
        /// Which.
        op: BinaryOp,
        /// Left side.
        left: Box<Sample>,
        /// Right side.
        right: Box<Sample>,
        /// `bool`
        as_bool: bool,
        /// Which series belong together; `None` when not written.
        matching: Option<Matching>,
    },
    /// `label_replace(…)`
    LabelReplace {
        /// Of what.
        inner: Box<Sample>,
        /// Label to write.
        target: String,
        /// Replacement with `$1`.
        replacement: String,
        /// Label to read.
        source: String,
        /// Expression, anchored at both ends.
        regex: String,
    },
}

impl Sample {
    /// Makes every `approx_topk` a `topk`, which is what it approximates.
    pub fn make_exact(&mut self) {
        match self {
            Sample::Literal(_) | Sample::Vector(_) | Sample::Range(_) => {}
            Sample::Aggregate { op, inner, .. } => {
                if *op == VectorOp::ApproxTopk {
                    *op = VectorOp::Topk;
                }
                inner.make_exact();
            }
            Sample::LabelReplace { inner, .. } => inner.make_exact(),
            Sample::Binary { left, right, .. } => {
                left.make_exact();
                right.make_exact();
            }
        }
    }
}
