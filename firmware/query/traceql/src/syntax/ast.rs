//! A query as a tree, and how it prints in errors and as names of results.

use bramble_signal::{SpanKind, StatusCode};
use regex::Regex;
use std::fmt;

/// Where an attribute is looked up.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Scope {
    /// `.x`: the span, then its resource, then its instrumentation scope.
    Any,
    /// `span.x`.
    Span,
    /// `resource.x`.
    Resource,
    /// `instrumentation.x`.
    Instrumentation,
    /// `event.x`: of any event.
    Event,
    /// `link.x`: of any link.
    Link,
}

impl Scope {
    /// The scope of a word; `None` for others.
    pub fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "span" => Scope::Span,
            "resource" => Scope::Resource,
            "instrumentation" => Scope::Instrumentation,
            "event" => Scope::Event,
            "link" => Scope::Link,
            _ => return None,
        })
    }

    /// The word before the point; empty for any scope.
    pub fn as_str(self) -> &'static str {
        match self {
            Scope::Any => "",
            Scope::Span => "span",
            Scope::Resource => "resource",
            Scope::Instrumentation => "instrumentation",
            Scope::Event => "event",
            Scope::Link => "link",
        }
    }
}

/// A fixed field of spans and traces.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Intrinsic {
    /// Duration of the span.
    Duration,
    /// Operation.
    Name,
    /// Outcome.
    Status,
    /// Text of the outcome.
    StatusMessage,
    /// Role.
    Kind,
    /// Number of children.
    ChildCount,
    /// Id of the span.
    SpanId,
    /// Id of its parent.
    ParentId,
    /// From the first start to the last end in the trace.
    TraceDuration,
    /// Operation of the root.
    RootName,
    /// Service of the root.
    RootService,
    /// Id of the trace.
    TraceId,
    /// Number of the span when entering it, depth first.
    NestedSetLeft,
    /// Number of the span when leaving it.
    NestedSetRight,
    /// `NestedSetLeft` of the parent, -1 for a root.
    NestedSetParent,
    /// Name of any event.
    EventName,
    /// Time of any event since the span's start.
    EventTimeSinceStart,
    /// Trace of any link.
    LinkTraceId,
    /// Span of any link.
    LinkSpanId,
    /// Name of the instrumentation scope.
    InstrumentationName,
    /// Version of the instrumentation scope.
    InstrumentationVersion,
}

/// Every spelling, the one that results show first.
pub const INTRINSICS: [(Intrinsic, &[&str]); 21] = [
    (Intrinsic::Duration, &["duration", "span:duration"]),
    (Intrinsic::Name, &["name", "span:name"]),
    (Intrinsic::Status, &["status", "span:status"]),
    (Intrinsic::StatusMessage, &["statusMessage", "span:statusMessage"]),
    (Intrinsic::Kind, &["kind", "span:kind"]),
    (Intrinsic::ChildCount, &["span:childCount"]),
    (Intrinsic::SpanId, &["span:id"]),
    (Intrinsic::ParentId, &["span:parentID"]),
    (Intrinsic::TraceDuration, &["traceDuration", "trace:duration"]),
    (Intrinsic::RootName, &["rootName", "trace:rootName"]),
    (Intrinsic::RootService, &["rootServiceName", "trace:rootService"]),
    (Intrinsic::TraceId, &["trace:id"]),
    (Intrinsic::NestedSetLeft, &["nestedSetLeft"]),
    (Intrinsic::NestedSetRight, &["nestedSetRight"]),
    (Intrinsic::NestedSetParent, &["nestedSetParent"]),
    (Intrinsic::EventName, &["event:name"]),
    (Intrinsic::EventTimeSinceStart, &["event:timeSinceStart"]),
    (Intrinsic::LinkTraceId, &["link:traceID"]),
    (Intrinsic::LinkSpanId, &["link:spanID"]),
    (Intrinsic::InstrumentationName, &["instrumentation:name"]),
    (Intrinsic::InstrumentationVersion, &["instrumentation:version"]),
];

impl Intrinsic {
    pub(super) fn parse(word: &str) -> Option<Self> {
        INTRINSICS.iter().find(|(_, words)| words.contains(&word)).map(|(i, _)| *i)
    }

    /// The name that results show.
    pub fn as_str(self) -> &'static str {
        INTRINSICS.iter().find(|(i, _)| *i == self).and_then(|(_, words)| words.first()).copied().unwrap_or("")
    }
}

/// Something a span has.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Field {
    /// An attribute by scope and key.
    Attribute(Scope, String),
    /// A fixed field.
    Intrinsic(Intrinsic),
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Field::Attribute(scope, name) => write!(f, "{}.{name}", scope.as_str()),
            Field::Intrinsic(intrinsic) => f.write_str(intrinsic.as_str()),
        }
    }
}

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

impl fmt::Display for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Literal::Nil => f.write_str("nil"),
            Literal::Bool(b) => write!(f, "{b}"),
            Literal::Int(i) => write!(f, "{i}"),
            Literal::Float(d) => write!(f, "{d}"),
            Literal::Duration(ns) => f.write_str(&duration_text(*ns)),
            Literal::Text(text) => write!(f, "`{text}`"),
            Literal::Status(status) => f.write_str(status.as_str()),
            Literal::Kind(kind) => f.write_str(kind.as_str()),
        }
    }
}

/// A duration in Go's form: `1.5s`, `2m0.25s`, `300µs`.
pub fn duration_text(ns: i64) -> String {
    let (sign, ns) = (if ns < 0 { "-" } else { "" }, ns.unsigned_abs());
    let decimal = |unit_ns: u64, ns: u64| format!("{}", ns as f64 / unit_ns as f64);
    let text = match ns {
        0 => return "0s".to_owned(),
        1..1_000 => format!("{ns}ns"),
        1_000..1_000_000 => format!("{}µs", decimal(1_000, ns)),
        1_000_000..1_000_000_000 => format!("{}ms", decimal(1_000_000, ns)),
        _ => {
            let (minutes, below) = (ns / 60_000_000_000, ns % 60_000_000_000);
            let seconds = format!("{}s", decimal(1_000_000_000, below));
            match (minutes / 60, minutes % 60) {
                (0, 0) => seconds,
                (0, m) => format!("{m}m{seconds}"),
                (h, m) => format!("{h}h{m}m{seconds}"),
            }
        }
    };
    format!("{sign}{text}")
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

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = |e: &Expr| match e {
            Expr::Binary(..) | Expr::Match { .. } => format!("({e})"),
            _ => e.to_string(),
        };
        match self {
            Expr::Literal(literal) => write!(f, "{literal}"),
            Expr::Field(field) => write!(f, "{field}"),
            Expr::Not(e) => write!(f, "!{}", inner(e)),
            Expr::Negate(e) => write!(f, "-{}", inner(e)),
            Expr::Binary(op, a, b) => write!(f, "{} {} {}", inner(a), op.as_str(), inner(b)),
            Expr::Match { value, pattern, negative, .. } => {
                write!(f, "{} {} `{pattern}`", inner(value), if *negative { "!~" } else { "=~" })
            }
        }
    }
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

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Scalar::Literal(literal) => write!(f, "{literal}"),
            Scalar::Count => f.write_str("count()"),
            Scalar::Aggregate(aggregate, e) => write!(f, "{}({e})", aggregate.as_str()),
            Scalar::Binary(op, a, b) => write!(f, "({a}) {} ({b})", op.as_str()),
        }
    }
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
#[derive(Clone, PartialEq, Debug)]
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
#[derive(Clone, PartialEq, Debug)]
pub struct Metrics {
    /// What.
    pub measure: Measure,
    /// By which fields.
    pub by: Vec<Field>,
    /// What follows.
    pub stages: Vec<SeriesStage>,
}
