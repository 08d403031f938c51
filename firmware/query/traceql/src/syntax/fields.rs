//! The grammar inside braces: values computed for a span; and the measuring end.

use super::ParseError;
use super::ast::*;
use super::parse::Parser;
use super::token::Token;
use bramble_signal::{SpanKind, StatusCode};
use regex::RegexBuilder;

/// Largest compiled regular expression, bytes.
const REGEX_MAX_BYTES: usize = 1 << 20;

/// Most quantiles in one query.
const QUANTILES_MAX: usize = 32;

impl Parser {
    pub(super) fn expr(&mut self) -> Result<Expr, ParseError> {
        self.expr_above(0)
    }

    fn expr_above(&mut self, above: u8) -> Result<Expr, ParseError> {
        let mut left = self.nested(Self::operand)?;
        loop {
            let Token::Sign(sign) = *self.peek() else { return Ok(left) };
            if sign == "=~" || sign == "!~" {
                if above >= BinaryOp::Eq.strength() {
                    return Ok(left);
                }
                self.advance();
                left = self.regex_of(left, sign == "!~")?;
                continue;
            }
            let Some(op) = BinaryOp::parse(sign).filter(|op| op.strength() > above) else { return Ok(left) };
            self.advance();
            // A test for nothing ends at once: what follows operates on its outcome.
            let right = if matches!(self.peek(), Token::Word(w) if w == "nil") && op.is_comparison() {
                self.advance();
                Expr::Literal(Literal::Nil)
            } else {
                self.nested(|p| p.expr_above(if op == BinaryOp::Pow { op.strength() - 1 } else { op.strength() }))?
            };
            left = Expr::Binary(op, Box::new(left), Box::new(right));
        }
    }

    fn regex_of(&mut self, value: Expr, negative: bool) -> Result<Expr, ParseError> {
        let Token::Text(pattern) = self.peek() else { return Err(self.unexpected(", expecting STRING")) };
        let pattern = pattern.clone();
        self.advance();
        let regex = RegexBuilder::new(&format!("^(?s:{pattern})$"))
            .size_limit(REGEX_MAX_BYTES)
            .build()
            .map_err(|_| ParseError(format!("invalid regex: `{pattern}`")))?;
        Ok(Expr::Match { value: Box::new(value), regex, pattern, negative })
    }

    fn operand(&mut self) -> Result<Expr, ParseError> {
        if self.take("(") {
            let inner = self.expr()?;
            self.expect(")", "")?;
            return Ok(inner);
        }
        if self.take("!") {
            return Ok(Expr::Not(Box::new(self.nested(|p| p.expr_above(BinaryOp::Add.strength()))?)));
        }
        if self.take("-") {
            return Ok(Expr::Negate(Box::new(self.nested(|p| p.expr_above(BinaryOp::Add.strength()))?)));
        }
        let literal = match self.peek() {
            Token::Int(i) => Literal::Int(*i),
            Token::Float(d) => Literal::Float(*d),
            Token::Duration(ns) => Literal::Duration(*ns),
            Token::Text(text) => Literal::Text(text.clone()),
            Token::Word(word) => match keyword(word) {
                Some(literal) => literal,
                None => return Ok(Expr::Field(self.field()?)),
            },
            _ => return Ok(Expr::Field(self.field()?)),
        };
        self.advance();
        Ok(Expr::Literal(literal))
    }

    pub(super) fn field(&mut self) -> Result<Field, ParseError> {
        let field = match self.peek() {
            Token::Attribute(scope, name) => Field::Attribute(*scope, name.clone()),
            Token::ParentAttribute => return Err(ParseError("parent not yet supported".to_owned())),
            Token::Word(word) if word == "parent" => return Err(ParseError("parent not yet supported".to_owned())),
            // Numbers of children are known only under their long name.
            Token::Word(word) => match Intrinsic::parse(word) {
                Some(intrinsic) => Field::Intrinsic(intrinsic),
                None if is_known_word(word) => return Err(self.unexpected("")),
                None => return Err(self.unknown(word)),
            },
            Token::Scoped(scope, name) => match Intrinsic::parse(&format!("{scope}:{name}")) {
                Some(intrinsic) => Field::Intrinsic(intrinsic),
                None => return Err(self.unknown(&format!("{scope}:{name}"))),
            },
            _ => return Err(self.unexpected("")),
        };
        self.advance();
        Ok(field)
    }

    /// The measuring end after a bar, if there is one here.
    pub(super) fn measure(&mut self) -> Result<Option<Metrics>, ParseError> {
        let Token::Word(word) = self.peek() else { return Ok(None) };
        let word = word.clone();
        if !(word == "rate" || word.ends_with("_over_time")) {
            return Ok(None);
        }
        self.advance();
        self.expect("(", ", expecting (")?;
        if word == "rate" || word == "count_over_time" {
            self.expect(")", ", expecting )")?;
            let measure = if word == "rate" { Measure::Rate } else { Measure::Count };
            return self.measured(measure).map(Some);
        }
        let field = self.field()?;
        let measure = match word.as_str() {
            "min_over_time" => Measure::Min(field),
            "max_over_time" => Measure::Max(field),
            "avg_over_time" => Measure::Avg(field),
            "sum_over_time" => Measure::Sum(field),
            "histogram_over_time" => Measure::Histogram(field),
            "quantile_over_time" => Measure::Quantile(field, self.quantiles()?),
            _ => return Err(self.unknown(&word)),
        };
        self.expect(")", ", expecting )")?;
        self.measured(measure).map(Some)
    }

    fn number(&mut self) -> Result<f64, ParseError> {
        let sign = if self.take("-") { -1.0 } else { 1.0 };
        let number = match self.peek() {
            Token::Int(i) => *i as f64,
            Token::Float(d) => *d,
            Token::Duration(ns) => *ns as f64 / 1e9,
            _ => return Err(self.unexpected("")),
        };
        self.advance();
        Ok(sign * number)
    }

    fn quantiles(&mut self) -> Result<Vec<f64>, ParseError> {
        self.expect(",", ", expecting ,")?;
        let mut quantiles = vec![self.number()?];
        while self.take(",") {
            quantiles.push(self.number()?);
        }
        match quantiles.iter().find(|q| !(0.0..=1.0).contains(*q)) {
            Some(q) => Err(ParseError(format!("compiling query: quantile must be between 0 and 1: {q}"))),
            None if quantiles.len() > QUANTILES_MAX => Err(ParseError(format!("more than {QUANTILES_MAX} quantiles"))),
            None => Ok(quantiles),
        }
    }

    fn measured(&mut self, measure: Measure) -> Result<Metrics, ParseError> {
        let mut metrics = Metrics { measure, by: Vec::new(), stages: Vec::new() };
        if matches!(self.peek(), Token::Word(w) if w == "by") {
            self.advance();
            self.expect("(", ", expecting (")?;
            metrics.by = self.fields()?;
        }
        loop {
            if let Token::Sign(sign) = *self.peek()
                && let Some(op) = BinaryOp::parse(sign).filter(|op| op.is_comparison())
            {
                self.advance();
                metrics.stages.push(SeriesStage::Filter(op, self.number()?));
            } else if self.take("|") {
                metrics.stages.push(self.topk()?);
            } else {
                return Ok(metrics);
            }
        }
    }

    fn topk(&mut self) -> Result<SeriesStage, ParseError> {
        let top = match self.peek() {
            Token::Word(w) if w == "topk" => true,
            Token::Word(w) if w == "bottomk" => false,
            _ => return Err(self.unexpected("")),
        };
        self.advance();
        self.expect("(", ", expecting (")?;
        let Token::Int(limit) = *self.peek() else { return Err(self.unexpected(", expecting INTEGER")) };
        self.advance();
        self.expect(")", ", expecting )")?;
        match usize::try_from(limit) {
            Ok(limit) if limit > 0 => Ok(if top { SeriesStage::Top(limit) } else { SeriesStage::Bottom(limit) }),
            _ => Err(ParseError("compiling query: limit must be greater than 0".to_owned())),
        }
    }
}

/// Words of the language that are no fields: their misuse is an error of syntax, not an unknown name.
fn is_known_word(word: &str) -> bool {
    [
        "childCount",
        "by",
        "select",
        "coalesce",
        "count",
        "avg",
        "min",
        "max",
        "sum",
        "rate",
        "with",
        "topk",
        "bottomk",
        "compare",
    ]
    .contains(&word)
        || word.ends_with("_over_time")
}

fn keyword(word: &str) -> Option<Literal> {
    Some(match word {
        "true" => Literal::Bool(true),
        "false" => Literal::Bool(false),
        "nil" => Literal::Nil,
        "error" => Literal::Status(StatusCode::Error),
        "ok" => Literal::Status(StatusCode::Ok),
        "unset" => Literal::Status(StatusCode::Unset),
        "unspecified" => Literal::Kind(SpanKind::Unspecified),
        "internal" => Literal::Kind(SpanKind::Internal),
        "server" => Literal::Kind(SpanKind::Server),
        "client" => Literal::Kind(SpanKind::Client),
        "producer" => Literal::Kind(SpanKind::Producer),
        "consumer" => Literal::Kind(SpanKind::Consumer),
        _ => return None,
    })
}
