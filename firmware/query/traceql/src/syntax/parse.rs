//! The grammar, by recursive descent: pipelines of spansets, groupings, filters and measures.

use super::ast::*;
use super::check::Type;
use super::exprs::keyword;
use super::token::{Token, tokens};
use super::{ParseError, Place, Query};

/// Deepest nesting of brackets and operators: each level costs stack, here and when evaluating.
const DEPTH_MAX: usize = 64;

/// Most steps, and operators between spansets, of one query: each costs a pass over every trace.
const STEPS_MAX: usize = 100;

/// Most hints.
const HINTS_MAX: usize = 32;

/// Longest query, bytes.
const QUERY_MAX_BYTES: usize = 128 << 10;

pub(super) struct Parser {
    tokens: Vec<(Place, Token)>,
    at: usize,
    depth: usize,
    steps: usize,
    /// Regular expressions so far.
    pub(super) regexes: usize,
}

/// Parses and checks a query.
///
/// # Errors
/// [`ParseError`] with line and column, or about types.
pub fn parse(text: &str) -> Result<Query, ParseError> {
    if text.len() > QUERY_MAX_BYTES {
        return Err(Place::START.says(format!("query is longer than {QUERY_MAX_BYTES} bytes")));
    }
    let mut parser = Parser::new(text)?;
    if *parser.peek() == Token::End {
        return Err(parser.place().says("parse error : syntax error: unexpected $end"));
    }
    let (mut stages, metrics) = parser.pipeline(true)?;
    super::stored::complete(&mut stages);
    let hints = parser.hints()?;
    match parser.peek() {
        Token::End => Ok(Query { stages, metrics, hints }),
        _ => Err(parser.unexpected(", expecting with")),
    }
}

/// Parses one field, as the tag value API names it.
///
/// # Errors
/// [`ParseError`].
pub fn parse_field(text: &str) -> Result<Field, ParseError> {
    if text.len() > QUERY_MAX_BYTES {
        return Err(Place::START.says(format!("name is longer than {QUERY_MAX_BYTES} bytes")));
    }
    let mut parser = Parser::new(text)?;
    let field = parser.field()?;
    if *parser.peek() != Token::End {
        return Err(parser.unexpected(""));
    }
    Ok(field)
}

impl Parser {
    fn new(text: &str) -> Result<Self, ParseError> {
        Ok(Parser { tokens: tokens(text)?, at: 0, depth: 0, steps: 0, regexes: 0 })
    }

    pub(super) fn peek(&self) -> &Token {
        self.tokens.get(self.at).map_or(&Token::End, |(_, t)| t)
    }

    pub(super) fn advance(&mut self) {
        self.at += 1;
    }

    pub(super) fn place(&self) -> Place {
        self.tokens.get(self.at).or(self.tokens.last()).map_or(Place::START, |(place, _)| *place)
    }

    fn step(&mut self) -> Result<(), ParseError> {
        self.steps += 1;
        if self.steps <= STEPS_MAX { Ok(()) } else { Err(self.place().says(format!("more than {STEPS_MAX} steps"))) }
    }

    pub(super) fn unexpected(&self, expecting: &str) -> ParseError {
        self.place().syntax(format_args!("syntax error: unexpected {}{expecting}", self.peek().describe()))
    }

    pub(super) fn unknown(&self, word: &str) -> ParseError {
        self.place().syntax(format_args!("unknown identifier: {word}"))
    }

    pub(super) fn is(&self, sign: &str) -> bool {
        matches!(self.peek(), Token::Sign(s) if *s == sign)
    }

    pub(super) fn take(&mut self, sign: &str) -> bool {
        let found = self.is(sign);
        if found {
            self.advance();
        }
        found
    }

    pub(super) fn expect(&mut self, sign: &str, expecting: &str) -> Result<(), ParseError> {
        if self.take(sign) { Ok(()) } else { Err(self.unexpected(expecting)) }
    }

    /// Runs `inner` one level deeper.
    pub(super) fn nested<T>(
        &mut self,
        inner: impl FnOnce(&mut Self) -> Result<T, ParseError>,
    ) -> Result<T, ParseError> {
        if self.depth >= DEPTH_MAX {
            return Err(self.place().syntax(format_args!("nested deeper than {DEPTH_MAX} levels")));
        }
        self.depth += 1;
        let out = inner(self);
        self.depth -= 1;
        out
    }

    fn pipeline(&mut self, with_metrics: bool) -> Result<(Vec<Stage>, Option<Metrics>), ParseError> {
        let mut stages = Vec::new();
        match self.peek() {
            Token::Sign("{" | "(") => stages.push(Stage::Spanset(self.spanset()?)),
            Token::Word(word) if ["by", "coalesce", "select"].contains(&word.as_str()) || is_aggregate(word) => {
                stages.push(Stage::Spanset(SpansetExpr::Filter(None)));
                stages.push(self.stage()?);
            }
            _ => return Err(self.unexpected("")),
        }
        let mut metrics = None;
        while self.take("|") {
            match self.measure()? {
                Some(found) if with_metrics => {
                    metrics = Some(found);
                    break;
                }
                Some(_) => return Err(self.unexpected("")),
                None => stages.push(self.stage()?),
            }
        }
        Ok((stages, metrics))
    }

    fn stage(&mut self) -> Result<Stage, ParseError> {
        self.step()?;
        let word = match self.peek() {
            Token::Sign("{") => return Ok(Stage::Spanset(self.spanset()?)),
            Token::Word(word) => word.clone(),
            _ => String::new(),
        };
        match word.as_str() {
            "by" => {
                self.advance();
                self.expect("(", ", expecting (")?;
                let by = self.expr()?.e;
                self.expect(")", ", expecting )")?;
                Ok(Stage::By(by))
            }
            "coalesce" => {
                self.advance();
                self.expect("(", ", expecting (")?;
                self.expect(")", ", expecting )")?;
                Ok(Stage::Coalesce)
            }
            "select" => {
                self.advance();
                self.expect("(", ", expecting (")?;
                Ok(Stage::Select(self.fields()?))
            }
            _ => self.filter(),
        }
    }

    /// Fields up to the closing bracket, at least one.
    pub(super) fn fields(&mut self) -> Result<Vec<Field>, ParseError> {
        let mut fields = vec![self.field()?];
        while self.take(",") {
            fields.push(self.field()?);
        }
        self.expect(")", ", expecting )")?;
        Ok(fields)
    }

    fn filter(&mut self) -> Result<Stage, ParseError> {
        let left = self.scalar(0)?;
        let op = match self.peek() {
            Token::Sign(sign) => BinaryOp::parse(sign).filter(|op| op.is_comparison()),
            _ => None,
        };
        let op = op.ok_or_else(|| self.unexpected(""))?;
        self.advance();
        Ok(Stage::Filter(left, op, self.scalar(0)?))
    }

    fn scalar(&mut self, above: u8) -> Result<Scalar, ParseError> {
        let mut left = self.nested(Self::scalar_operand)?;
        loop {
            let op = match self.peek() {
                Token::Sign(sign) => BinaryOp::parse(sign),
                _ => None,
            };
            let Some(op) = op.filter(|op| op.strength() > above.max(2)) else { return Ok(left) };
            self.advance();
            self.step()?;
            let right = self.nested(|p| p.scalar(op.strength()))?;
            left = Scalar::Binary(op, Box::new(left), Box::new(right));
        }
    }

    fn scalar_operand(&mut self) -> Result<Scalar, ParseError> {
        let place = self.place();
        if self.take("(") {
            let inner = self.scalar(0)?;
            self.expect(")", ", expecting )")?;
            return Ok(inner);
        }
        if let Token::Word(word) = self.peek() {
            let word = word.clone();
            if !is_aggregate(&word) {
                return Err(self.place().syntax("syntax error: unexpected IDENTIFIER"));
            }
            self.advance();
            self.expect("(", ", expecting (")?;
            let aggregate = match word.as_str() {
                "avg" => Aggregate::Avg,
                "min" => Aggregate::Min,
                "max" => Aggregate::Max,
                "sum" => Aggregate::Sum,
                _ => {
                    self.expect(")", ", expecting )")?;
                    return Ok(Scalar::Count);
                }
            };
            let value = self.expr()?;
            self.expect(")", ", expecting )")?;
            let scalar = Scalar::Aggregate(aggregate, value.e);
            return match value.kind {
                Type::Any | Type::Number => Ok(scalar),
                _ => Err(place.says(format!("aggregate field expressions must resolve to a number type: {scalar}"))),
            };
        }
        let negative = self.take("-");
        let sign = if negative { -1 } else { 1 };
        let literal = match self.peek() {
            Token::Int(i) => Literal::Int(sign * i),
            Token::Float(d) => Literal::Float(sign as f64 * d),
            Token::Duration(ns) => Literal::Duration(sign * ns),
            _ => return Err(self.unexpected("")),
        };
        self.advance();
        Ok(Scalar::Literal(literal))
    }

    fn spanset(&mut self) -> Result<SpansetExpr, ParseError> {
        self.spanset_above(0)
    }

    fn spanset_above(&mut self, above: u8) -> Result<SpansetExpr, ParseError> {
        let mut left = self.nested(Self::spanset_operand)?;
        loop {
            let found = match self.peek() {
                Token::Sign(sign) => relation(sign),
                _ => None,
            };
            let Some((relation, negated, union, strength)) = found.filter(|f| f.3 > above) else { return Ok(left) };
            self.advance();
            if !(self.is("{") || self.is("(")) {
                return Err(self.unexpected(", expecting { or ("));
            }
            if matches!(left, SpansetExpr::Pipeline(_)) && !self.is("(") {
                return Err(self.unexpected(", expecting ("));
            }
            self.step()?;
            let right = self.nested(|p| p.spanset_above(strength))?;
            left = SpansetExpr::Op { relation, negated, union, left: Box::new(left), right: Box::new(right) };
        }
    }

    fn spanset_operand(&mut self) -> Result<SpansetExpr, ParseError> {
        if self.take("(") {
            let (mut stages, _) = self.pipeline(false)?;
            self.expect(")", "")?;
            return Ok(match (stages.len(), stages.pop()) {
                (1, Some(Stage::Spanset(inner))) => inner,
                (_, last) => {
                    stages.extend(last);
                    SpansetExpr::Pipeline(stages)
                }
            });
        }
        Ok(SpansetExpr::Filter(self.filter_in_braces()?))
    }

    /// `{ … }`; nothing when it is empty.
    pub(super) fn filter_in_braces(&mut self) -> Result<Option<Expr>, ParseError> {
        let place = self.place();
        self.expect("{", ", expecting { or (")?;
        if self.take("}") {
            return Ok(None);
        }
        let filter = self.expr()?;
        self.expect("}", "")?;
        match filter.kind {
            Type::Any | Type::Bool => Ok(Some(filter.e)),
            _ => {
                let text = format!("span filter field expressions must resolve to a boolean: {{ {} }}", filter.e);
                Err(place.says(text))
            }
        }
    }

    /// `with (most_recent=true, …)`: names and values; unknown ones are read, too.
    fn hints(&mut self) -> Result<Vec<(String, Literal)>, ParseError> {
        let mut hints = Vec::new();
        if !matches!(self.peek(), Token::Word(w) if w == "with") {
            return Ok(hints);
        }
        self.advance();
        self.expect("(", ", expecting (")?;
        loop {
            let Token::Word(name) = self.peek() else { return Err(self.unexpected(", expecting IDENTIFIER")) };
            let name = name.clone();
            self.advance();
            self.expect("=", ", expecting =")?;
            let value = match self.peek() {
                Token::Word(word) => keyword(word).unwrap_or_else(|| Literal::Text(word.clone())),
                Token::Int(i) => Literal::Int(*i),
                Token::Float(d) => Literal::Float(*d),
                Token::Duration(ns) => Literal::Duration(*ns),
                Token::Text(text) => Literal::Text(text.clone()),
                _ => return Err(self.unexpected("")),
            };
            if hints.len() == HINTS_MAX {
                return Err(self.place().says(format!("more than {HINTS_MAX} hints")));
            }
            self.advance();
            hints.push((name, value));
            if !self.take(",") {
                self.expect(")", ", expecting )")?;
                return Ok(hints);
            }
        }
    }
}

fn is_aggregate(word: &str) -> bool {
    ["count", "avg", "min", "max", "sum"].contains(&word)
}

/// Relation, negated, union and how tightly it binds.
fn relation(sign: &str) -> Option<(Relation, bool, bool, u8)> {
    Some(match sign {
        "&&" => (Relation::And, false, false, 1),
        "||" => (Relation::Or, false, false, 1),
        _ => {
            let (negated, union) = (sign.starts_with('!'), sign.starts_with('&'));
            let relation = match sign.trim_start_matches(['!', '&']) {
                ">" => Relation::Child,
                ">>" => Relation::Descendant,
                "<" => Relation::Parent,
                "<<" => Relation::Ancestor,
                "~" => Relation::Sibling,
                _ => return None,
            };
            (relation, negated, union, 2)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_name_the_place() {
        for (query, error) in [
            ("{", "parse error at line 1, col 2: syntax error: unexpected $end"),
            ("{}}", "parse error at line 1, col 3: syntax error: unexpected }, expecting with"),
            ("{ status = errr }", "parse error at line 1, col 12: unknown identifier: errr"),
            ("{ } | foo() > 1", "parse error at line 1, col 7: syntax error: unexpected IDENTIFIER"),
            ("{ } > ", "parse error at line 1, col 7: syntax error: unexpected $end, expecting { or ("),
            ("{ a.b = 1 }", "parse error at line 1, col 3: unknown identifier: a"),
            ("{ span.a = nil + 1 }", "binary operations must operate on the same type: (span.a = nil) + 1"),
            ("{ .a =~ \"(\" }", "invalid regex: `(`"),
        ] {
            assert_eq!(parse(query).err().map(|e| e.text).as_deref(), Some(error), "{query}");
        }
    }

    #[test]
    fn deep_nesting_is_refused_not_overflowed() {
        for (open, close) in [("(", ")"), ("{ (", ") }"), ("{ !", " }"), ("{ -", " }")] {
            let text = format!("{}{}", open.repeat(5000), close.repeat(5000));
            assert!(parse(&text).is_err());
        }
        assert!(parse(&format!("{{ {} .a }}", "!".repeat(5000))).is_err());
    }
}
