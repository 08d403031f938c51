//! The grammar inside braces: values computed for a span. Types are checked where an operator is read, so that an error
//! names its place.

use super::ast::*;
use super::check::{self, Mismatch, Type};
use super::parse::Parser;
use super::token::Token;
use super::{ParseError, Place};
use bramble_signal::{SpanKind, StatusCode};
use regex::RegexBuilder;

/// Largest compiled regular expression, bytes.
const REGEX_MAX_BYTES: usize = 512 << 10;

/// Most regular expressions in one query: with their size, they bound its memory.
const REGEXES_MAX: usize = 64;

/// Deepest tree of a value: each level costs stack when it is evaluated, printed and dropped.
const HEIGHT_MAX: usize = 200;

/// A value, what kind it is of, and how many levels of operators it has.
pub(super) struct Typed {
    pub(super) e: Expr,
    pub(super) kind: Type,
    height: usize,
}

impl Parser {
    pub(super) fn expr(&mut self) -> Result<Typed, ParseError> {
        self.expr_above(0)
    }

    fn expr_above(&mut self, above: u8) -> Result<Typed, ParseError> {
        let mut left = self.nested(Self::operand)?;
        loop {
            let Token::Sign(sign) = *self.peek() else { return Ok(left) };
            let place = self.place();
            if sign == "=~" || sign == "!~" {
                if above >= BinaryOp::Eq.strength() {
                    return Ok(left);
                }
                self.advance();
                left = self.regex_of(left, sign == "!~", place)?;
                continue;
            }
            let Some(op) = BinaryOp::parse(sign).filter(|op| op.strength() > above) else { return Ok(left) };
            if matches!(op, BinaryOp::And | BinaryOp::Or) {
                left = self.chain(op, left)?;
                continue;
            }
            self.advance();
            // A test for nothing ends at once: what follows operates on its outcome.
            let right = if matches!(self.peek(), Token::Word(w) if w == "nil") && op.is_comparison() {
                self.advance();
                leaf(Expr::Literal(Literal::Nil), Type::Nil)
            } else {
                self.nested(|p| p.expr_above(if op == BinaryOp::Pow { op.strength() - 1 } else { op.strength() }))?
            };
            left = join(op, left, right, place)?;
        }
    }

    /// `a && b && c …`, all of one operator: as a balanced tree, since generated queries have hundreds.
    fn chain(&mut self, op: BinaryOp, first: Typed) -> Result<Typed, ParseError> {
        let mut operands = vec![(first, self.place())];
        while self.is(op.as_str()) {
            let place = self.place();
            self.advance();
            operands.push((self.nested(|p| p.expr_above(op.strength()))?, place));
        }
        while operands.len() > 1 {
            let (mut joined, mut rest) = (Vec::new(), operands.into_iter());
            while let Some((a, place)) = rest.next() {
                joined.push(match rest.next() {
                    Some((b, between)) => (join(op, a, b, between)?, place),
                    None => (a, place),
                });
            }
            operands = joined;
        }
        operands.pop().map(|(whole, _)| whole).ok_or_else(|| self.unexpected(""))
    }

    fn regex_of(&mut self, value: Typed, negative: bool, place: Place) -> Result<Typed, ParseError> {
        let Token::Text(pattern) = self.peek() else { return Err(self.unexpected(", expecting STRING")) };
        let pattern = pattern.clone();
        let at_pattern = self.place();
        self.advance();
        self.regexes += 1;
        if self.regexes > REGEXES_MAX {
            return Err(at_pattern.says(format!("more than {REGEXES_MAX} regular expressions in one query")));
        }
        // Matched as a whole; `(?:…)` so that alternatives stay together, checked alone so that brackets must pair up.
        let build = |pattern: &str| RegexBuilder::new(pattern).size_limit(REGEX_MAX_BYTES).build();
        let regex = regex_syntax_ok(&pattern)
            .then(|| build(&format!("^(?s:{pattern})$")).ok())
            .flatten()
            .ok_or_else(|| at_pattern.says(format!("invalid regex: `{pattern}`")))?;
        let e = Expr::Match { value: Box::new(value.e), regex, pattern, negative };
        match value.kind {
            Type::Any | Type::Text => grown(e, Type::Bool, value.height, place),
            _ => Err(place.says(Mismatch::Differ.sentence(&e))),
        }
    }

    fn operand(&mut self) -> Result<Typed, ParseError> {
        let place = self.place();
        if self.take("(") {
            let inner = self.expr()?;
            self.expect(")", "")?;
            return Ok(inner);
        }
        if self.is("!") || self.is("-") {
            let wanted = if self.is("!") { Type::Bool } else { Type::Number };
            self.advance();
            let inner = self.nested(|p| p.expr_above(BinaryOp::Add.strength()))?;
            let (kind, height) = (inner.kind, inner.height);
            let e = Box::new(inner.e);
            let e = if wanted == Type::Bool { Expr::Not(e) } else { Expr::Negate(e) };
            if kind != Type::Any && kind != wanted {
                return Err(place.says(format!("illegal operation for the given type: {e}")));
            }
            return grown(e, wanted, height, place);
        }
        let literal = match self.peek() {
            Token::Int(i) => Some(Literal::Int(*i)),
            Token::Float(d) => Some(Literal::Float(*d)),
            Token::Duration(ns) => Some(Literal::Duration(*ns)),
            Token::Text(text) => Some(Literal::Text(text.clone())),
            Token::Word(word) => keyword(word),
            _ => None,
        };
        let Some(literal) = literal else {
            let field = self.field()?;
            let kind = check::of_field(&field);
            return Ok(leaf(Expr::Field(field), kind));
        };
        self.advance();
        let kind = check::of_literal(&literal);
        Ok(leaf(Expr::Literal(literal), kind))
    }

    pub(super) fn field(&mut self) -> Result<Field, ParseError> {
        let field = match self.peek() {
            Token::Attribute(scope, name) => Field::Attribute(*scope, name.clone()),
            Token::ParentAttribute => return Err(self.place().says("parent not yet supported")),
            Token::Word(word) if word == "parent" => return Err(self.place().says("parent not yet supported")),
            // The number of children is known only under its long name.
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
}

/// Whether a pattern stands by itself: `a)(b` would not, but does between brackets.
fn regex_syntax_ok(pattern: &str) -> bool {
    RegexBuilder::new(pattern).size_limit(REGEX_MAX_BYTES).build().is_ok()
}

fn leaf(e: Expr, kind: Type) -> Typed {
    Typed { e, kind, height: 1 }
}

fn grown(e: Expr, kind: Type, below: usize, place: Place) -> Result<Typed, ParseError> {
    let height = below + 1;
    if height > HEIGHT_MAX {
        return Err(place.syntax(format_args!("more than {HEIGHT_MAX} operators upon each other")));
    }
    Ok(Typed { e, kind, height })
}

fn join(op: BinaryOp, a: Typed, b: Typed, place: Place) -> Result<Typed, ParseError> {
    let below = a.height.max(b.height);
    let kind = check::of_binary(op, a.kind, b.kind);
    let e = Expr::Binary(op, Box::new(a.e), Box::new(b.e));
    match kind {
        Ok(kind) => grown(e, kind, below, place),
        Err(mismatch) => Err(place.says(mismatch.sentence(&e))),
    }
}

/// Words of the language that are no fields: their misuse is an error of syntax, not an unknown name.
fn is_known_word(word: &str) -> bool {
    const WORDS: [&str; 14] = [
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
    ];
    WORDS.contains(&word) || word.ends_with("_over_time")
}

pub(super) fn keyword(word: &str) -> Option<Literal> {
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
