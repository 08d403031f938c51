//! Selectors and what may follow an expression: ranges, subqueries, `offset`, `@`.

use super::error::Span;
use super::numbers::{format_value, unquote};
use super::parser::{Parsed, Parser};
use super::token::{Kind, Token};
use super::tree::{AtModifier, Expr, ExprKind, Extension, Selector};
use bramble_signal::{METRIC_NAME, MatchOp, Matcher};

/// Whether a word token can be a metric's name.
fn names_a_metric(token: &Token) -> bool {
    match token.kind {
        Kind::Identifier | Kind::MetricIdentifier | Kind::Aggregator | Kind::Preprocessor => true,
        Kind::Keyword => ["offset", "by", "without"].iter().any(|w| token.is_word(w)),
        Kind::Operator => ["and", "or", "unless"].iter().any(|w| token.is_word(w)),
        _ => false,
    }
}

/// What Go's regular expression engine says about the commonest mistakes; for others, our engine's own words.
fn regex_error(pattern: &str, ours: &str) -> String {
    let said = if ours.contains("unclosed group") {
        format!("missing closing ): `{pattern}`")
    } else if ours.contains("unopened group") {
        format!("unexpected ): `{pattern}`")
    } else if ours.contains("unclosed character class") {
        let from = pattern.find('[').and_then(|at| pattern.get(at..)).unwrap_or(pattern);
        format!("missing closing ]: `{from}`")
    } else if ours.contains("repetition operator missing expression") {
        let sign = pattern.chars().find(|c| "*+?".contains(*c)).unwrap_or('*');
        format!("missing argument to repetition operator: `{sign}`")
    } else {
        let last = ours.lines().last().unwrap_or(ours);
        format!("{}: `{pattern}`", last.trim_start_matches("error: "))
    };
    format!("error parsing regexp: {said}")
}

impl Parser<'_> {
    pub(crate) fn vector_selector(&mut self) -> Parsed<Expr> {
        let name = names_a_metric(self.peek()).then(|| self.take());
        let mut matchers = Vec::new();
        let mut span = name.as_ref().map_or(self.peek().span, |n| n.span);
        if self.peek().kind == Kind::LeftBrace {
            let close = self.label_matchers(&mut matchers)?;
            span = span.to(close);
        } else if name.is_none() {
            return Err(self.unexpected("", ""));
        }
        let name = name.map(|n| n.text);
        if let Some(name) = &name {
            matchers.push(Matcher::equal(METRIC_NAME, name.clone()));
        }
        let selector = Selector { name, matchers, offset: None, at: None, extension: None };
        Ok(Expr { kind: ExprKind::Selector(selector), span })
    }

    /// `{a="b", …}`; returns the closing brace's place.
    fn label_matchers(&mut self, out: &mut Vec<Matcher>) -> Parsed<Span> {
        self.take();
        loop {
            if let Some(close) = self.accept(Kind::RightBrace) {
                return Ok(close.span);
            }
            self.label_matcher(out)?;
            match self.peek().kind {
                Kind::Comma => {
                    self.take();
                }
                Kind::RightBrace => {}
                _ => return Err(self.unexpected("label matching", "\",\" or \"}\"")),
            }
        }
    }

    fn label_matcher(&mut self, out: &mut Vec<Matcher>) -> Parsed<()> {
        let token = self.peek().clone();
        let name = match token.kind {
            Kind::Identifier => token.text.clone(),
            Kind::String => unquote(&token.text).map_err(|text| self.error(token.span, text))?,
            _ => return Err(self.unexpected("label matching", "identifier or \"}\"")),
        };
        self.take();
        let op = match self.peek() {
            t if t.kind == Kind::Assign => MatchOp::Equal,
            t if t.kind == Kind::MatchRegex => MatchOp::Regex,
            t if t.kind == Kind::MatchNotRegex => MatchOp::NotRegex,
            t if t.is_operator("!=") => MatchOp::NotEqual,
            // A quoted text alone is the metric's name.
            _ if token.kind == Kind::String => {
                out.push(Matcher::equal(METRIC_NAME, name));
                return Ok(());
            }
            _ => return Err(self.unexpected("label matching", "label matching operator")),
        };
        self.take();
        let Some(value) = self.accept(Kind::String) else {
            return Err(self.unexpected("label matching", "string"));
        };
        let text = unquote(&value.text).map_err(|text| self.error(value.span, text))?;
        let matcher = Matcher::new(name, op, text.clone())
            .map_err(|e| self.error(token.span.to(value.span), regex_error(&text, &e.0)))?;
        out.push(matcher);
        Ok(())
    }

    /// Ranges, subqueries, offsets and times after `expr`.
    pub(crate) fn postfixes(&mut self, mut expr: Expr) -> Parsed<Expr> {
        loop {
            let token = self.peek().clone();
            match token.kind {
                Kind::LeftBracket => expr = self.bracket(expr)?,
                Kind::Keyword if token.is_word("offset") => self.offset(&mut expr)?,
                Kind::At => self.at_modifier(&mut expr)?,
                Kind::Identifier if token.is_word("anchored") || token.is_word("smoothed") => {
                    self.extension(&mut expr)?;
                }
                _ => return Ok(expr),
            }
        }
    }

    fn bracket(&mut self, expr: Expr) -> Parsed<Expr> {
        let open = self.take();
        self.rise_above_last()?;
        if matches!(self.peek().kind, Kind::RightBracket | Kind::Colon | Kind::Eof | Kind::Error) {
            return Err(self.unexpected("subquery selector", "number or duration"));
        }
        let range = self.duration_expr(0, "subquery selector")?;
        self.require_positive(&range)?;
        if let Some(close) = self.accept(Kind::RightBracket) {
            let refuse = |text: &str| Err(self.error(open.span.to(close.span), text));
            let ExprKind::Selector(selector) = expr.kind else {
                return refuse("ranges only allowed for vector selectors");
            };
            if selector.offset.is_some() {
                return refuse("no offset modifiers allowed before range");
            }
            if selector.at.is_some() {
                return refuse("no @ modifiers allowed before range");
            }
            return Ok(Expr { span: expr.span.to(close.span), kind: ExprKind::Range { selector, range: range.expr } });
        }
        if self.accept(Kind::Colon).is_none() {
            return Err(self.unexpected("subquery or range", "\":\" or \"]\""));
        }
        let step = match self.peek().kind {
            Kind::RightBracket => None,
            _ => {
                let step = self.duration_expr(0, "subquery selector")?;
                self.require_positive(&step)?;
                Some(step.expr)
            }
        };
        let Some(close) = self.accept(Kind::RightBracket) else {
            return Err(self.unexpected("subquery selector", "\"]\""));
        };
        Ok(Expr {
            span: expr.span.to(close.span),
            kind: ExprKind::Subquery { expr: Box::new(expr), range: range.expr, step, offset: None, at: None },
        })
    }

    fn offset(&mut self, expr: &mut Expr) -> Parsed<()> {
        self.take();
        let duration = self.duration_operand("offset")?;
        let target = match &mut expr.kind {
            ExprKind::Selector(s) | ExprKind::Range { selector: s, .. } => &mut s.offset,
            ExprKind::Subquery { offset, .. } => offset,
            _ => {
                return Err(self.error(
                    expr.span,
                    "offset modifier must be preceded by an instant vector selector or range vector selector or a \
                     subquery",
                ));
            }
        };
        if target.is_some() {
            return Err(self.error(expr.span, "offset may not be set multiple times"));
        }
        *target = Some(duration.expr);
        expr.span = expr.span.to(duration.span);
        Ok(())
    }

    fn at_modifier(&mut self, expr: &mut Expr) -> Parsed<()> {
        self.take();
        let (at, end) = match self.peek() {
            t if t.kind == Kind::Preprocessor && (t.is_word("start") || t.is_word("end")) => {
                let start = self.take().is_word("start");
                if self.accept(Kind::LeftParen).is_none() {
                    return Err(self.unexpected("@", "timestamp"));
                }
                let Some(close) = self.accept(Kind::RightParen) else {
                    return Err(self.unexpected("@", "timestamp"));
                };
                (if start { AtModifier::Start } else { AtModifier::End }, close.span)
            }
            _ => {
                let Some((seconds, span)) = self.signed_number()? else {
                    return Err(self.unexpected("@", "timestamp"));
                };
                if !seconds.is_finite() || seconds.abs() >= i64::MAX as f64 {
                    let text = format!("timestamp out of bounds for @ modifier: {}", format_value(seconds));
                    return Err(self.error(expr.span, text));
                }
                (AtModifier::Time((seconds * 1000.0).round() as i64), span)
            }
        };
        let target = match &mut expr.kind {
            ExprKind::Selector(s) | ExprKind::Range { selector: s, .. } => &mut s.at,
            ExprKind::Subquery { at, .. } => at,
            _ => {
                return Err(self.error(
                    expr.span,
                    "@ modifier must be preceded by an instant vector selector or range vector selector or a subquery",
                ));
            }
        };
        if target.is_some() {
            return Err(self.error(expr.span, "@ <timestamp> may not be set multiple times"));
        }
        *target = Some(at);
        expr.span = expr.span.to(end);
        Ok(())
    }

    fn extension(&mut self, expr: &mut Expr) -> Parsed<()> {
        let word = self.take();
        let extension = if word.is_word("anchored") { Extension::Anchored } else { Extension::Smoothed };
        let target = match &mut expr.kind {
            ExprKind::Range { selector, .. } => &mut selector.extension,
            ExprKind::Selector(selector) if extension == Extension::Smoothed => &mut selector.extension,
            _ => {
                let text = format!("{} modifier not implemented for this expression", word.text.to_ascii_lowercase());
                return Err(self.error(expr.span, text));
            }
        };
        if target.is_some() {
            return Err(self.error(expr.span, "anchored and smoothed modifiers may not be set multiple times"));
        }
        *target = Some(extension);
        expr.span = expr.span.to(word.span);
        Ok(())
    }
}
