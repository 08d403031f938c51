//! Tokens to a tree: operator precedence climbing, with the messages of Prometheus' grammar.

use super::duration::PlacedDuration;
use super::error::{ParseError, Span};
use super::functions;
use super::numbers::{parse_duration_ms, parse_number, unquote};
use super::token::{Kind, Token};
use super::tree::{AggregateOp, BinaryOp, Cardinality, Expr, ExprKind, Fill, Matching};
use super::{check, lexer};
use bramble_signal::Matcher;

/// Deeper nesting is refused, so that a query cannot exhaust the stack.
const DEPTH_MAX: usize = 200;

/// Parses and type-checks a query.
///
/// # Errors
/// [`ParseError`] with Prometheus' text and the place.
pub fn parse(text: &str) -> Result<Expr, ParseError> {
    let mut parser = Parser::new(text);
    if matches!(parser.peek().kind, Kind::Eof) {
        return Err(ParseError::at(text, Span::default(), "no expression found in input"));
    }
    let expr = parser.expression(0)?;
    if parser.peek().kind != Kind::Eof {
        return Err(parser.unexpected("", ""));
    }
    check::check(text, &expr)?;
    Ok(expr)
}

/// Parses a selector alone, as in `match[]` parameters: its matchers, the one for the name last.
///
/// # Errors
/// As [`parse`]; a selector whose matchers all accept the empty value is *not* refused here.
pub fn parse_selector(text: &str) -> Result<Vec<Matcher>, ParseError> {
    let mut parser = Parser::new(text);
    if parser.peek().kind == Kind::Eof {
        return Err(ParseError::at(text, Span::default(), "no expression found in input"));
    }
    let expr = parser.vector_selector()?;
    if parser.peek().kind != Kind::Eof {
        return Err(parser.unexpected("", ""));
    }
    match expr.kind {
        ExprKind::Selector(selector) => Ok(selector.matchers),
        _ => Ok(Vec::new()),
    }
}

pub(crate) struct Parser<'a> {
    pub(crate) query: &'a str,
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
}

pub(crate) type Parsed<T> = Result<T, ParseError>;

impl<'a> Parser<'a> {
    fn new(query: &'a str) -> Self {
        Parser { query, tokens: lexer::tokens(query), at: 0, depth: 0 }
    }

    /// The next token; the last (end or error) again and again.
    pub(crate) fn peek(&self) -> &Token {
        self.ahead(0)
    }

    pub(crate) fn ahead(&self, n: usize) -> &Token {
        // The lexer always ends its list with a token.
        &self.tokens[(self.at + n).min(self.tokens.len() - 1)]
    }

    pub(crate) fn take(&mut self) -> Token {
        let token = self.peek().clone();
        self.at += 1;
        token
    }

    pub(crate) fn accept(&mut self, kind: Kind) -> Option<Token> {
        (self.peek().kind == kind).then(|| self.take())
    }

    pub(crate) fn error(&self, span: Span, text: impl AsRef<str>) -> ParseError {
        ParseError::at(self.query, span, text)
    }

    /// The error for a token that cannot stand here; a lexer's error speaks for itself.
    pub(crate) fn unexpected(&self, context: &str, expected: &str) -> ParseError {
        let token = self.peek();
        if token.kind == Kind::Error {
            return self.error(token.span, &token.text);
        }
        let mut text = format!("unexpected {}", token.describe());
        if !context.is_empty() {
            text.push_str(" in ");
            text.push_str(context);
        }
        if !expected.is_empty() {
            text.push_str(", expected ");
            text.push_str(expected);
        }
        self.error(token.span, text)
    }

    fn deeper<T>(&mut self, work: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.depth >= DEPTH_MAX {
            return Err(self.error(self.peek().span, "expression is nested too deeply"));
        }
        self.depth += 1;
        let result = work(self);
        self.depth -= 1;
        result
    }

    pub(crate) fn expression(&mut self, weakest: u8) -> Parsed<Expr> {
        self.deeper(|p| p.expression_inner(weakest))
    }

    fn expression_inner(&mut self, weakest: u8) -> Parsed<Expr> {
        let mut lhs = self.operand()?;
        loop {
            let token = self.peek();
            let op = match token.kind {
                Kind::Operator => BinaryOp::from_name(&token.text.to_ascii_lowercase()),
                _ => None,
            };
            let Some(op) = op.filter(|op| op.precedence() >= weakest) else { return Ok(lhs) };
            self.take();
            let (matching, return_bool) = self.modifiers()?;
            let right = if op == BinaryOp::Pow { op.precedence() } else { op.precedence() + 1 };
            let rhs = self.expression(right)?;
            lhs = Expr {
                span: lhs.span.to(rhs.span),
                kind: ExprKind::Binary {
                    op,
                    lhs: Box::new(lhs),
                    rhs: Box::new(rhs),
                    matching: Some(matching),
                    return_bool,
                },
            };
            check::finish_binary(&mut lhs);
        }
    }

    /// `bool`, `on`/`ignoring`, `group_left`/`group_right`, `fill…` after an operator.
    fn modifiers(&mut self) -> Parsed<(Matching, bool)> {
        let mut matching = Matching {
            cardinality: Cardinality::OneToOne,
            on: false,
            labels: Vec::new(),
            include: Vec::new(),
            fill: Fill::default(),
        };
        let keyword = |p: &Self, word: &str| p.peek().kind == Kind::Keyword && p.peek().is_word(word);
        let return_bool = keyword(self, "bool");
        if return_bool {
            self.take();
        }
        if keyword(self, "on") || keyword(self, "ignoring") {
            matching.on = self.take().is_word("on");
            matching.labels = self.grouping_labels()?;
            let (left, right) = (keyword(self, "group_left"), keyword(self, "group_right"));
            if left || right {
                self.take();
                matching.cardinality = if left { Cardinality::ManyToOne } else { Cardinality::OneToMany };
                if self.peek().kind == Kind::LeftParen {
                    matching.include = self.grouping_labels()?;
                }
            }
        }
        self.fills(&mut matching.fill)?;
        Ok((matching, return_bool))
    }

    fn fills(&mut self, fill: &mut Fill) -> Parsed<()> {
        while self.ahead(1).kind == Kind::LeftParen {
            let token = self.peek().clone();
            let (left, right) = match token.text.to_ascii_lowercase().as_str() {
                "fill" => (true, true),
                "fill_left" => (true, false),
                "fill_right" => (false, true),
                _ => break,
            };
            if token.kind != Kind::Identifier {
                break;
            }
            self.take();
            self.take();
            let Some((value, _)) = self.signed_number()? else { return Err(self.unexpected("fill", "number")) };
            if self.accept(Kind::RightParen).is_none() {
                return Err(self.unexpected("fill", "\")\""));
            }
            if left {
                fill.left = Some(value);
            }
            if right {
                fill.right = Some(value);
            }
        }
        Ok(())
    }

    /// A number or a duration with an optional sign; `None` when something else stands there.
    pub(crate) fn signed_number(&mut self) -> Parsed<Option<(f64, Span)>> {
        let signed = self.peek().is_operator("-") || self.peek().is_operator("+");
        if !matches!(self.ahead(usize::from(signed)).kind, Kind::Number | Kind::Duration) {
            if signed {
                self.take();
            }
            return Ok(None);
        }
        let sign = signed.then(|| self.take());
        let (value, _, span) = self.number()?;
        let negative = sign.as_ref().is_some_and(|s| s.text == "-");
        Ok(Some((if negative { -value } else { value }, sign.map_or(span, |s| s.span.to(span)))))
    }

    /// A number or duration token's value, in seconds for a duration.
    pub(crate) fn number(&mut self) -> Parsed<(f64, bool, Span)> {
        let token = self.take();
        let units = token.kind == Kind::Duration;
        let value = match units {
            true => parse_duration_ms(&token.text).map(|ms| ms as f64 / 1000.0),
            false => parse_number(&token.text),
        };
        match value {
            Ok(value) => Ok((value, units, token.span)),
            Err(text) => Err(self.error(token.span, text)),
        }
    }

    /// A unary operator with its operand, or a primary expression with its postfixes.
    fn operand(&mut self) -> Parsed<Expr> {
        if !(self.peek().is_operator("+") || self.peek().is_operator("-")) {
            let primary = self.primary()?;
            return self.postfixes(primary);
        }
        let sign = self.take();
        let negative = sign.text == "-";
        let expr = self.expression(BinaryOp::Pow.precedence())?;
        let span = sign.span.to(expr.span);
        Ok(match expr.kind {
            ExprKind::Number { value, units } => {
                Expr { kind: ExprKind::Number { value: if negative { -value } else { value }, units }, span }
            }
            _ => Expr { kind: ExprKind::Unary { negative, expr: Box::new(expr) }, span },
        })
    }

    fn primary(&mut self) -> Parsed<Expr> {
        let called = self.ahead(1).kind == Kind::LeftParen;
        match self.peek().kind {
            Kind::Number | Kind::Duration => {
                let (value, units, span) = self.number()?;
                Ok(Expr { kind: ExprKind::Number { value, units }, span })
            }
            Kind::String => {
                let token = self.take();
                let text = unquote(&token.text).map_err(|text| self.error(token.span, text))?;
                Ok(Expr { kind: ExprKind::Text(text), span: token.span })
            }
            Kind::LeftParen => {
                let open = self.take();
                let expr = self.expression(0)?;
                let Some(close) = self.accept(Kind::RightParen) else { return Err(self.unexpected("", "")) };
                Ok(Expr { kind: ExprKind::Paren(Box::new(expr)), span: open.span.to(close.span) })
            }
            Kind::Aggregator if called || self.ahead(1).is_word("by") || self.ahead(1).is_word("without") => {
                self.aggregate()
            }
            Kind::Identifier | Kind::Preprocessor if called => self.call(),
            _ => self.vector_selector(),
        }
    }

    fn call(&mut self) -> Parsed<Expr> {
        let name = self.take();
        let (args, close) = self.arguments()?;
        let function = functions::find(&name.text)
            .ok_or_else(|| self.error(name.span, format!("unknown function with name {:?}", name.text)))?;
        Ok(Expr { kind: ExprKind::Call { function, args }, span: name.span.to(close) })
    }

    /// `( expression, … )` and the place of its end.
    fn arguments(&mut self) -> Parsed<(Vec<Expr>, Span)> {
        if self.accept(Kind::LeftParen).is_none() {
            return Err(self.unexpected("", ""));
        }
        let mut args = Vec::new();
        if let Some(close) = self.accept(Kind::RightParen) {
            return Ok((args, close.span));
        }
        loop {
            args.push(self.expression(0)?);
            if let Some(close) = self.accept(Kind::RightParen) {
                return Ok((args, close.span));
            }
            let Some(comma) = self.accept(Kind::Comma) else { return Err(self.unexpected("", "")) };
            if self.peek().kind == Kind::RightParen {
                return Err(self.error(comma.span, "trailing commas not allowed in function call args"));
            }
        }
    }

    fn aggregate(&mut self) -> Parsed<Expr> {
        let name = self.take();
        let op = AggregateOp::from_name(&name.text.to_ascii_lowercase());
        let mut end = name.span;
        let mut modifier = self.aggregate_modifier(&mut end)?;
        if self.peek().kind != Kind::LeftParen {
            return Err(self.unexpected("aggregation", ""));
        }
        let (mut args, close) = self.arguments()?;
        end = close;
        if modifier.is_none() {
            modifier = self.aggregate_modifier(&mut end)?;
        }
        let (without, grouping) = modifier.unwrap_or_default();
        let span = name.span.to(end);
        let Some(op) = op else { return Err(self.error(span, "unknown aggregation")) };
        if args.is_empty() {
            return Err(self.error(span, "no arguments for aggregate expression provided"));
        }
        let wanted = if op.has_param() { 2 } else { 1 };
        let (got, last) = (args.len(), args.pop());
        match (last, got == wanted) {
            (Some(expr), true) => Ok(Expr {
                kind: ExprKind::Aggregate {
                    op,
                    expr: Box::new(expr),
                    param: args.pop().map(Box::new),
                    grouping,
                    without,
                },
                span,
            }),
            _ => Err(self.error(
                span,
                format!("wrong number of arguments for aggregate expression provided, expected {wanted}, got {got}"),
            )),
        }
    }

    fn aggregate_modifier(&mut self, end: &mut Span) -> Parsed<Option<(bool, Vec<String>)>> {
        let token = self.peek();
        if token.kind != Kind::Keyword || !(token.is_word("by") || token.is_word("without")) {
            return Ok(None);
        }
        let without = self.take().is_word("without");
        let labels = self.grouping_labels()?;
        *end = self.tokens.get(self.at.wrapping_sub(1)).map_or(*end, |t| t.span);
        Ok(Some((without, labels)))
    }

    /// `(a, "b.c", …)`
    fn grouping_labels(&mut self) -> Parsed<Vec<String>> {
        if self.accept(Kind::LeftParen).is_none() {
            return Err(self.unexpected("grouping opts", "\"(\""));
        }
        let mut labels = Vec::new();
        loop {
            if self.accept(Kind::RightParen).is_some() {
                return Ok(labels);
            }
            let token = self.peek().clone();
            let word = matches!(token.kind, Kind::Identifier | Kind::Keyword | Kind::Aggregator | Kind::Preprocessor)
                || token.kind == Kind::Operator && token.text.starts_with(|c: char| c.is_ascii_alphabetic())
                || token.kind == Kind::Number && token.text.starts_with(|c: char| c.is_ascii_alphabetic());
            match token.kind {
                _ if word => labels.push(token.text),
                Kind::String => labels.push(unquote(&token.text).map_err(|text| self.error(token.span, text))?),
                _ => return Err(self.unexpected("grouping opts", "label")),
            }
            self.take();
            match self.peek().kind {
                Kind::Comma => {
                    self.take();
                }
                Kind::RightParen => {}
                _ => return Err(self.unexpected("grouping opts", "\",\" or \")\"")),
            }
        }
    }

    /// Milliseconds of a duration that must be positive when it is constant.
    pub(crate) fn require_positive(&self, duration: &PlacedDuration) -> Parsed<()> {
        if duration.expr.is_constant() {
            let ms = duration.expr.resolve(0, 0).map_err(|text| self.error(duration.span, text))?;
            if ms <= 0 {
                return Err(self.error(duration.span, "duration must be greater than 0"));
            }
        }
        Ok(())
    }
}
