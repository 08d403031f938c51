//! A query as a tree. How it prints is in `print`.

pub use super::field::{Field, INTRINSICS, Intrinsic, Scope};
pub use super::print::duration_text;
use bramble_signal::{SpanKind, StatusCode};
use regex::Regex;

/// A constant.
#[derive(Clone, PartialEq, Debug)]
pub enum Literal {
    /// Nothing.
    Nil,
    /// Truth value.
    Bool(bool),
    /// Whole number.
    Int(i64),
    /// Number.
    Float(f64),
    /// Nanoseconds.
    Duration(i64),
    /// Text.
    Text(String),
    /// Outcome.
    Status(StatusCode),
    /// Role.
    Kind(SpanKind),
}

/// An operator between two values.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "each is its sign, below")]
pub enum BinaryOp {
    And,
    Or,
    Eq,
    Neq,
    Less,
    LessEq,
    Greater,
    GreaterEq,
    Add,
    Sub,
    Mul,
    Div,
    Mod,
    Pow,
}

impl BinaryOp {
    /// The sign.
    pub fn as_str(self) -> &'static str {
        match self {
            BinaryOp::And => "&&",
            BinaryOp::Or => "||",
            BinaryOp::Eq => "=",
            BinaryOp::Neq => "!=",
            BinaryOp::Less => "<",
            BinaryOp::LessEq => "<=",
            BinaryOp::Greater => ">",
            BinaryOp::GreaterEq => ">=",
            BinaryOp::Add => "+",
            BinaryOp::Sub => "-",
            BinaryOp::Mul => "*",
            BinaryOp::Div => "/",
            BinaryOp::Mod => "%",
            BinaryOp::Pow => "^",
        }
    }

    pub(super) fn parse(sign: &str) -> Option<Self> {
        use BinaryOp::*;
        [And, Or, Eq, Neq, Less, LessEq, Greater, GreaterEq, Add, Sub, Mul, Div, Mod, Pow]
            .into_iter()
            .find(|op| op.as_str() == sign)
    }

    /// Whether it compares.
    pub fn is_comparison(self) -> bool {
        use BinaryOp::*;
        matches!(self, Eq | Neq | Less | LessEq | Greater | GreaterEq)
    }

    /// How tightly it binds.
    pub(super) fn strength(self) -> u8 {
        use BinaryOp::*;
        match self {
            And | Or => 1,
            Eq | Neq | Less | LessEq | Greater | GreaterEq => 2,
            Add | Sub => 3,
            Mul | Div | Mod => 4,
            Pow => 5,
        }
    }
}

/// A value computed for a span.
#[derive(Clone, Debug)]
pub enum Expr {
    /// A constant.
    Literal(Literal),
    /// What the span has.
    Field(Field),
    /// `!x`.
    Not(Box<Expr>),
    /// `-x`.
    Negate(Box<Expr>),
    /// Two values and an operator.
    Binary(BinaryOp, Box<Expr>, Box<Expr>),
    /// `x =~ "…"`, or `!~` when negative; matches the whole text.
    Match {
        /// What is matched.
        value: Box<Expr>,
        /// Compiled, anchored.
        regex: Regex,
        /// As written.
        pattern: String,
        /// `!~`.
        negative: bool,
    },
}

/// How spans of the right side lie to spans of the left.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "the words say it")]
pub enum Relation {
    And,
    Or,
    Child,
    Descendant,
    Parent,
    Ancestor,
    Sibling,
}

impl Relation {
    /// The sign, without `!` or `&` before it.
    pub fn as_str(self) -> &'static str {
        match self {
            Relation::And => "&&",
            Relation::Or => "||",
            Relation::Child => ">",
            Relation::Descendant => ">>",
            Relation::Parent => "<",
            Relation::Ancestor => "<<",
            Relation::Sibling => "~",
        }
    }
}

/// Spans of a trace.
#[derive(Clone, Debug)]
pub enum SpansetExpr {
    /// `{ … }`; nothing means every span.
    Filter(Option<Expr>),
    /// Two sets and an operator.
    Op {
        /// Which spans of the right side are meant.
        relation: Relation,
        /// `!>`: those that do not lie so.
        negated: bool,
        /// `&>`: with their partners of the left side.
        union: bool,
        /// Left.
        left: Box<SpansetExpr>,
        /// Right.
        right: Box<SpansetExpr>,
    },
    /// `( … | … )`.
    Pipeline(Vec<Stage>),
}

/// What an aggregate does with the values of a set's spans.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "the words say it")]
pub enum Aggregate {
    Avg,
    Min,
    Max,
    Sum,
}

impl Aggregate {
    /// The function's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Aggregate::Avg => "avg",
            Aggregate::Min => "min",
            Aggregate::Max => "max",
            Aggregate::Sum => "sum",
        }
    }
}

/// A value computed for a set.
#[derive(Clone, Debug)]
pub enum Scalar {
    /// A constant.
    Literal(Literal),
    /// Number of spans.
    Count,
    /// An aggregate of a value of each span.
    Aggregate(Aggregate, Expr),
    /// Two values and an operator.
    Binary(BinaryOp, Box<Scalar>, Box<Scalar>),
}

/// A step of a pipeline.
#[derive(Clone, Debug)]
pub enum Stage {
    /// Spans of each set.
    Spanset(SpansetExpr),
    /// Splits each set by a value.
    By(Expr),
    /// Joins all sets.
    Coalesce,
    /// Fields to show.
    Select(Vec<Field>),
    /// Keeps sets whose values compare so.
    Filter(Scalar, BinaryOp, Scalar),
}

/// What is measured over time.
#[derive(Clone, Debug)]
pub enum Measure {
    /// Spans per second.
    Rate,
    /// Spans.
    Count,
    /// Smallest value.
    Min(Field),
    /// Largest value.
    Max(Field),
    /// Mean.
    Avg(Field),
    /// Sum.
    Sum(Field),
    /// Quantiles, each 0 to 1, of values in buckets that double.
    Quantile(Field, Vec<f64>),
    /// Number of values in buckets that double.
    Histogram(Field),
    /// Which values are frequent among selected spans, and which among the others.
    Compare(Box<Compare>),
}

impl Measure {
    /// The function's name, which series without labels bear.
    pub fn name(&self) -> &'static str {
        match self {
            Measure::Rate => "rate",
            Measure::Count => "count_over_time",
            Measure::Min(_) => "min_over_time",
            Measure::Max(_) => "max_over_time",
            Measure::Avg(_) => "avg_over_time",
            Measure::Sum(_) => "sum_over_time",
            Measure::Quantile(..) => "quantile_over_time",
            Measure::Histogram(_) => "histogram_over_time",
            Measure::Compare(_) => "compare",
        }
    }

    /// Whose values are measured.
    pub fn field(&self) -> Option<&Field> {
        match self {
            Measure::Rate | Measure::Count | Measure::Compare(_) => None,
            Measure::Min(f)
            | Measure::Max(f)
            | Measure::Avg(f)
            | Measure::Sum(f)
            | Measure::Quantile(f, _)
            | Measure::Histogram(f) => Some(f),
        }
    }
}

/// `compare({ … }, 10, start, end)`.
#[derive(Clone, Debug)]
pub struct Compare {
    /// Spans that are selected; nothing means every span.
    pub selection: Option<Expr>,
    /// How many values of each field are shown, those with the most spans.
    pub top: usize,
    /// First and last start of spans that are selected, nanoseconds since the epoch, inclusive.
    pub window_ns: Option<(u64, u64)>,
}

/// What is done with the series of a measure.
#[derive(Clone, PartialEq, Debug)]
pub enum SeriesStage {
    /// The largest ones at each time.
    Top(usize),
    /// The smallest ones at each time.
    Bottom(usize),
    /// Values that compare so.
    Filter(BinaryOp, f64),
}

/// The measuring end of a query.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// What.
    pub measure: Measure,
    /// By which fields.
    pub by: Vec<Field>,
    /// What follows.
    pub stages: Vec<SeriesStage>,
}
