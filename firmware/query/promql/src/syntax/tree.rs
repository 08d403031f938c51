//! The syntax tree.

use super::duration::DurationExpr;
use super::error::Span;
use super::functions::Function;
use bramble_signal::Matcher;
use std::fmt;

/// An expression and its place in the query.
#[derive(Clone, Debug, PartialEq)]
pub struct Expr {
    /// What it is.
    pub kind: ExprKind,
    /// Where it stands.
    pub span: Span,
}

/// Kinds of expression.
#[derive(Clone, Debug, PartialEq)]
pub enum ExprKind {
    /// A number; `units` when written as a duration (`5m` is 300).
    Number {
        /// The value.
        value: f64,
        /// Written as a duration.
        units: bool,
    },
    /// A text.
    Text(String),
    /// An instant vector selector.
    Selector(Selector),
    /// A range vector selector.
    Range {
        /// The series; its offset and `@` apply to the range.
        selector: Selector,
        /// How far back.
        range: DurationExpr,
    },
    /// A subquery.
    Subquery {
        /// Evaluated at every step inside the range.
        expr: Box<Expr>,
        /// How far back.
        range: DurationExpr,
        /// Resolution; the engine's default when absent.
        step: Option<DurationExpr>,
        /// `offset`.
        offset: Option<DurationExpr>,
        /// `@`.
        at: Option<AtModifier>,
    },
    /// A function call.
    Call {
        /// The function.
        function: &'static Function,
        /// Its arguments.
        args: Vec<Expr>,
    },
    /// An aggregation.
    Aggregate {
        /// Which.
        op: AggregateOp,
        /// What is aggregated.
        expr: Box<Expr>,
        /// `k` of `topk`, `φ` of `quantile`, the label of `count_values`.
        param: Option<Box<Expr>>,
        /// Labels of `by` or `without`.
        grouping: Vec<String>,
        /// `without` rather than `by`.
        without: bool,
    },
    /// A binary operation.
    Binary {
        /// Which.
        op: BinaryOp,
        /// Left side.
        lhs: Box<Expr>,
        /// Right side.
        rhs: Box<Expr>,
        /// How vectors match; absent unless both sides are vectors.
        matching: Option<Matching>,
        /// `bool`
        return_bool: bool,
    },
    /// `-x` or `+x`.
    Unary {
        /// `-` rather than `+`.
        negative: bool,
        /// The operand.
        expr: Box<Expr>,
    },
    /// `(x)`
    Paren(Box<Expr>),
}

/// What selects series.
#[derive(Clone, Debug, PartialEq)]
pub struct Selector {
    /// The name before the braces or as a quoted text inside them.
    pub name: Option<String>,
    /// All matchers, the one for the name included (last when there is a name).
    pub matchers: Vec<Matcher>,
    /// `offset`.
    pub offset: Option<DurationExpr>,
    /// `@`.
    pub at: Option<AtModifier>,
    /// `anchored` or `smoothed`.
    pub extension: Option<Extension>,
}

/// `anchored` and `smoothed`: ranges that reach beyond their edges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extension {
    /// Takes the sample before the range as its first.
    Anchored,
    /// Interpolates at both edges.
    Smoothed,
}

/// The time after `@`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtModifier {
    /// Milliseconds since the epoch.
    Time(i64),
    /// `start()`
    Start,
    /// `end()`
    End,
}

/// Types of values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueType {
    /// A number.
    Scalar,
    /// A text.
    String,
    /// An instant vector.
    Vector,
    /// A range vector.
    Matrix,
}

impl fmt::Display for ValueType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ValueType::Scalar => "scalar",
            ValueType::String => "string",
            ValueType::Vector => "instant vector",
            ValueType::Matrix => "range vector",
        })
    }
}

macro_rules! named {
    ($(#[$meta:meta])* $name:ident { $($(#[$each:meta])* $variant:ident = $text:literal),* $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name { $($(#[$each])* #[doc = concat!("`", $text, "`")] $variant),* }

        impl $name {
            /// The name in queries.
            pub fn as_str(self) -> &'static str {
                match self { $($name::$variant => $text),* }
            }

            /// The one of this name, in lower case.
            pub fn from_name(name: &str) -> Option<Self> {
                match name { $($text => Some($name::$variant),)* _ => None }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

named! {
    /// Aggregations.
    AggregateOp {
        Sum = "sum", Avg = "avg", Count = "count", Min = "min", Max = "max", Group = "group", Stddev = "stddev",
        Stdvar = "stdvar", Topk = "topk", Bottomk = "bottomk", CountValues = "count_values", Quantile = "quantile",
        Limitk = "limitk", LimitRatio = "limit_ratio",
    }
}

named! {
    /// Binary operators.
    BinaryOp {
        Add = "+", Sub = "-", Mul = "*", Div = "/", Mod = "%", Pow = "^", Atan2 = "atan2", Equal = "==",
        NotEqual = "!=", Less = "<", LessEqual = "<=", Greater = ">", GreaterEqual = ">=", And = "and", Or = "or",
        Unless = "unless", TrimUpper = "</", TrimLower = ">/",
    }
}

impl AggregateOp {
    /// Whether a parameter comes before the vector.
    pub fn has_param(self) -> bool {
        use AggregateOp::*;
        matches!(self, Topk | Bottomk | CountValues | Quantile | Limitk | LimitRatio)
    }
}

impl BinaryOp {
    /// `== != < <= > >=`
    pub fn is_comparison(self) -> bool {
        use BinaryOp::*;
        matches!(self, Equal | NotEqual | Less | LessEqual | Greater | GreaterEqual)
    }

    /// `</ >/`
    pub fn is_trim(self) -> bool {
        matches!(self, BinaryOp::TrimUpper | BinaryOp::TrimLower)
    }

    /// `and or unless`
    pub fn is_set(self) -> bool {
        matches!(self, BinaryOp::And | BinaryOp::Or | BinaryOp::Unless)
    }

    /// Binding strength: 1 (`or`) to 6 (`^`).
    pub fn precedence(self) -> u8 {
        use BinaryOp::*;
        match self {
            Or => 1,
            And | Unless => 2,
            Equal | NotEqual | Less | LessEqual | Greater | GreaterEqual | TrimUpper | TrimLower => 3,
            Add | Sub => 4,
            Mul | Div | Mod | Atan2 => 5,
            Pow => 6,
        }
    }
}

/// How many elements of one side may meet one of the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cardinality {
    /// One to one.
    OneToOne,
    /// `group_left`
    ManyToOne,
    /// `group_right`
    OneToMany,
    /// Set operators.
    ManyToMany,
}

/// Values for elements without a partner (`fill`).
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct Fill {
    /// For a missing left side.
    pub left: Option<f64>,
    /// For a missing right side.
    pub right: Option<f64>,
}

/// How the elements of two vectors find each other.
#[derive(Clone, Debug, PartialEq)]
pub struct Matching {
    /// Cardinality.
    pub cardinality: Cardinality,
    /// `on` rather than `ignoring`.
    pub on: bool,
    /// Labels of `on` or `ignoring`.
    pub labels: Vec<String>,
    /// Labels of `group_left` or `group_right`.
    pub include: Vec<String>,
    /// `fill` modifiers.
    pub fill: Fill,
}

impl Expr {
    /// The type of its value.
    pub fn value_type(&self) -> ValueType {
        match &self.kind {
            ExprKind::Number { .. } => ValueType::Scalar,
            ExprKind::Text(_) => ValueType::String,
            ExprKind::Selector(_) | ExprKind::Aggregate { .. } => ValueType::Vector,
            ExprKind::Range { .. } | ExprKind::Subquery { .. } => ValueType::Matrix,
            ExprKind::Call { function, .. } => function.returns,
            ExprKind::Binary { lhs, rhs, .. } => match (lhs.value_type(), rhs.value_type()) {
                (ValueType::Scalar, ValueType::Scalar) => ValueType::Scalar,
                _ => ValueType::Vector,
            },
            ExprKind::Unary { expr, .. } | ExprKind::Paren(expr) => expr.value_type(),
        }
    }

    /// The expression without the parentheses around it.
    pub fn unparen(&self) -> &Expr {
        let mut expr = self;
        while let ExprKind::Paren(inner) = &expr.kind {
            expr = inner;
        }
        expr
    }
}
