//! Tokens to a tree: operator precedence climbing, with the messages of Prometheus' grammar.

use super::duration::PlacedDuration;
use super::error::{ParseError, Span};
use super::numbers::{parse_duration_ms, parse_number, unquote};
use super::token::{Kind, Token};
use super::tree::{BinaryOp, Cardinality, Expr, ExprKind, Fill, Matching};
use super::{check, lexer};
use bramble_signal::Matcher;

/// Higher trees are refused, so that a query cannot exhaust the stack of whoever walks its tree.
const HEIGHT_MAX: usize = 250;
/// Likewise for nesting, which costs the parser itself more stack.
const DEPTH_MAX: usize = 100;

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
    /// Height of the expression parsed last.
    pub(crate) height: usize,
}

pub(crate) type Parsed<T> = Result<T, ParseError>;

impl<'a> Parser<'a> {
    fn new(query: &'a str) -> Self {
        Parser { query, tokens: lexer::tokens(query), at: 0, depth: 0, height: 0 }
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

    /// Where the token taken last stands.
    pub(crate) fn last_span(&self) -> Option<Span> {
        self.tokens.get(self.at.wrapping_sub(1)).map(|t| t.span)
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
            return Err(self.too_deep(DEPTH_MAX));
        }
        self.depth += 1;
        let result = work(self);
        self.depth -= 1;
        result
    }

    fn too_deep(&self, levels: usize) -> ParseError {
        self.error(self.peek().span, format!("expression is nested more than {levels} levels deep"))
    }

    /// Notes the height of a node over a child of height `child`.
    pub(crate) fn rise(&mut self, child: usize) -> Parsed<()> {
        self.height = child + 1;
        if self.height > HEIGHT_MAX { Err(self.too_deep(HEIGHT_MAX)) } else { Ok(()) }
    }

    /// Notes one more node above the expression parsed last.
    pub(crate) fn rise_above_last(&mut self) -> Parsed<()> {
        self.rise(self.height)
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
            let left_height = self.height;
            let (matching, return_bool) = self.modifiers()?;
            let right = if op == BinaryOp::Pow { op.precedence() } else { op.precedence() + 1 };
            let rhs = self.expression(right)?;
            self.rise(self.height.max(left_height))?;
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
        self.rise_above_last()?;
        let span = sign.span.to(expr.span);
        Ok(match expr.kind {
            ExprKind::Number { value, units } => {
                Expr { kind: ExprKind::Number { value: if negative { -value } else { value }, units }, span }
            }
            _ => Expr { kind: ExprKind::Unary { negative, expr: Box::new(expr) }, span },
        })
    }

    fn primary(&mut self) -> Parsed<Expr> {
        self.height = 1;
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
                self.rise_above_last()?;
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

#[cfg(test)]
mod tests {
    use super::*;

    fn message(query: &str) -> String {
        parse(query).unwrap_err().message
    }

    #[test]
    fn errors_name_place_and_token() {
        for (query, text) in [
            ("", "unknown position: parse error: no expression found in input"),
            ("foo bar", "1:5: parse error: unexpected identifier \"bar\""),
            ("1 +", "1:4: parse error: unexpected end of input"),
            ("sum(", "1:5: parse error: unclosed left parenthesis"),
            ("a{b=}", "1:5: parse error: unexpected \"}\" in label matching, expected string"),
            (
                "rate(a)",
                "1:6: parse error: expected type range vector in call to function \"rate\", got instant vector",
            ),
            ("a\n+ b c", "2:5: parse error: unexpected identifier \"c\""),
            ("1 == 2", "1:3: parse error: comparisons between scalars must use BOOL modifier"),
            ("sum by (a,,b) (x)", "1:11: parse error: unexpected \",\" in grouping opts, expected label"),
        ] {
            assert_eq!(message(query), text, "{query}");
        }
    }

    #[test]
    fn precedence_and_associativity() {
        for (query, same) in [
            ("1 + 2 * 3 ^ 4 ^ 5", "1 + (2 * (3 ^ (4 ^ 5)))"),
            ("a or b and c == d", "a or (b and (c == d))"),
            ("-a ^ b", "-(a ^ b)"),
            ("a - b - c", "(a - b) - c"),
        ] {
            let bare = |q: &str| format!("{:?}", strip(parse(q).unwrap()));
            assert_eq!(bare(query), bare(same), "{query}");
        }
    }

    /// Without parentheses and places.
    fn strip(expr: Expr) -> String {
        match expr.kind {
            ExprKind::Paren(inner) => strip(*inner),
            ExprKind::Binary { op, lhs, rhs, .. } => format!("({} {op} {})", strip(*lhs), strip(*rhs)),
            ExprKind::Unary { expr, .. } => format!("(-{})", strip(*expr)),
            ExprKind::Selector(s) => s.name.unwrap_or_default(),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn high_trees_are_refused() {
        for query in ["(".repeat(10_000), "1+".repeat(10_000) + "1", "-".repeat(10_000) + "1"] {
            assert!(
                message(&query).contains("nested more than") || message(&query).contains("unclosed"),
                "{query:.20}"
            );
        }
        let brackets = "a".to_owned() + &"[1m:1m]".repeat(10_000);
        assert!(message(&brackets).contains("nested more than"));
        assert!(parse(&("a or ".repeat(200) + "a")).is_ok());
    }

    #[test]
    fn selectors_alone() {
        let matchers = parse_selector("up{job=~\"a|b\"}").unwrap();
        assert_eq!(matchers.iter().map(|m| m.name.as_str()).collect::<Vec<_>>(), ["job", "__name__"]);
        assert_eq!(parse_selector("up[5m]").unwrap_err().message, "1:3: parse error: unexpected \"[\"");
    }
}
