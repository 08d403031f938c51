//! Function calls and aggregations.

use super::error::Span;
use super::functions;
use super::numbers::unquote;
use super::parser::{Parsed, Parser};
use super::token::Kind;
use super::tree::{AggregateOp, Expr, ExprKind};

impl Parser<'_> {
    pub(crate) fn call(&mut self) -> Parsed<Expr> {
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
        let (mut args, mut highest) = (Vec::new(), 0);
        self.height = 1;
        if let Some(close) = self.accept(Kind::RightParen) {
            return Ok((args, close.span));
        }
        loop {
            args.push(self.expression(0)?);
            highest = self.height.max(highest);
            self.rise(highest)?;
            if let Some(close) = self.accept(Kind::RightParen) {
                return Ok((args, close.span));
            }
            let Some(comma) = self.accept(Kind::Comma) else { return Err(self.unexpected("", "")) };
            if self.peek().kind == Kind::RightParen {
                return Err(self.error(comma.span, "trailing commas not allowed in function call args"));
            }
        }
    }

    pub(crate) fn aggregate(&mut self) -> Parsed<Expr> {
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
        *end = self.last_span().unwrap_or(*end);
        Ok(Some((without, labels)))
    }

    /// `(a, "b.c", …)`
    pub(crate) fn grouping_labels(&mut self) -> Parsed<Vec<String>> {
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
}
