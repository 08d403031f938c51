//! Recursive descent: the cursor, selectors and pipelines.

use super::lexer::tokens;
use super::token::Token;
use super::tree::*;
use super::{ParseError, print};
use bramble_signal::{MatchOp, Matcher};

/// Longest query read, bytes.
const QUERY_MAX_BYTES: usize = 128 << 10;

/// Deepest nesting: recursion here must not exhaust the stack.
const DEPTH_MAX: usize = 100;

/// Reads a query.
///
/// # Errors
/// [`ParseError`] for what is not LogQL, or means nothing.
pub fn parse(text: &str) -> Result<Expr, ParseError> {
    let mut parser = Parser::new(text)?;
    let expr = parser.sample_or_log()?;
    parser.end()?;
    match &expr {
        Expr::Log(log) => check_matchers(&log.matchers)?,
        Expr::Sample(sample) => check_sample(sample)?,
    }
    Ok(expr)
}

/// Reads a selector, `{…}`, alone; `{}` is allowed.
///
/// # Errors
/// [`ParseError`]; also when a pipeline follows.
pub fn parse_selector(text: &str) -> Result<Vec<Matcher>, ParseError> {
    let mut parser = Parser::new(text)?;
    let log = parser.log()?;
    parser.end()?;
    if log.stages.is_empty() {
        Ok(log.matchers)
    } else {
        Err(ParseError("only label matchers are supported".to_owned()))
    }
}

/// Reads a selector with its pipeline. The selector may accept everything: it chooses among lines at hand, not among stored
/// streams.
///
/// # Errors
/// [`ParseError`]; also for a metric query.
pub fn parse_log(text: &str) -> Result<LogExpr, ParseError> {
    let mut parser = Parser::new(text)?;
    let log = parser.log()?;
    parser.end()?;
    Ok(log)
}

fn check_matchers(matchers: &[Matcher]) -> Result<(), ParseError> {
    let selective = |m: &Matcher| matches!(m.op, MatchOp::Equal | MatchOp::Regex) && !m.matches_absent();
    if matchers.iter().any(selective) {
        return Ok(());
    }
    Err(ParseError::plain(
        "queries require at least one regexp or equality matcher that does not have an empty-compatible value. \
         For instance, app=~\".*\" does not meet this requirement, but app=~\".+\" will",
    ))
}

fn check_sample(sample: &Sample) -> Result<(), ParseError> {
    match sample {
        Sample::Literal(_) | Sample::Vector(_) => Ok(()),
        Sample::Range(range) => check_matchers(&range.log.matchers),
        Sample::Aggregate { inner, .. } | Sample::LabelReplace { inner, .. } => check_sample(inner),
        Sample::Binary { left, right, .. } => check_sample(left).and_then(|()| check_sample(right)),
    }
}

/// The tokens and the place in them.
pub(crate) struct Parser<'a> {
    text: &'a str,
    tokens: Vec<(Token, usize)>,
    at: usize,
    depth: usize,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str) -> Result<Self, ParseError> {
        if text.trim().is_empty() {
            return Err(ParseError::plain("syntax error: unexpected $end"));
        }
        if text.len() > QUERY_MAX_BYTES {
            return Err(ParseError::plain(format!("query is too long: {} > {QUERY_MAX_BYTES} bytes", text.len())));
        }
        Ok(Parser { text, tokens: tokens(text)?, at: 0, depth: 0 })
    }

    pub(crate) fn peek(&self) -> &Token {
        self.ahead(0)
    }

    pub(crate) fn ahead(&self, n: usize) -> &Token {
        self.tokens.get(self.at + n).map_or(&Token::End, |t| &t.0)
    }

    pub(crate) fn next(&mut self) -> Token {
        let token = self.peek().clone();
        if self.at + 1 < self.tokens.len() {
            self.at += 1;
        }
        token
    }

    /// Where to return to with [`reset`](Self::reset).
    pub(crate) fn mark(&self) -> usize {
        self.at
    }

    pub(crate) fn reset(&mut self, mark: usize) {
        self.at = mark;
    }

    pub(crate) fn is(&self, punct: &str) -> bool {
        matches!(self.peek(), Token::Punct(p) if *p == punct)
    }

    pub(crate) fn is_word(&self, word: &str) -> bool {
        matches!(self.peek(), Token::Ident(w) if w == word)
    }

    pub(crate) fn take(&mut self, punct: &str) -> bool {
        let found = self.is(punct);
        if found {
            self.next();
        }
        found
    }

    pub(crate) fn take_word(&mut self, word: &str) -> bool {
        let found = self.is_word(word);
        if found {
            self.next();
        }
        found
    }

    /// Loki's complaint about the token here.
    pub(crate) fn unexpected<T>(&self, expecting: &str) -> Result<T, ParseError> {
        let called = matches!(self.ahead(1), Token::Punct("("));
        let mut message = format!("syntax error: unexpected {}", self.peek().name(called));
        if !expecting.is_empty() {
            message.push_str(", expecting ");
            message.push_str(expecting);
        }
        let offset = self.tokens.get(self.at).map_or(self.text.len(), |t| t.1);
        Err(ParseError::at(self.text, offset, message))
    }

    pub(crate) fn expect(&mut self, punct: &str, expecting: &str) -> Result<(), ParseError> {
        if self.take(punct) { Ok(()) } else { self.unexpected(expecting) }
    }

    pub(crate) fn ident(&mut self, expecting: &str) -> Result<String, ParseError> {
        match self.peek() {
            Token::Ident(word) => {
                let word = word.clone();
                self.next();
                Ok(word)
            }
            _ => self.unexpected(expecting),
        }
    }

    pub(crate) fn string(&mut self, expecting: &str) -> Result<String, ParseError> {
        match self.peek() {
            Token::Str(text) => {
                let text = text.clone();
                self.next();
                Ok(text)
            }
            _ => self.unexpected(expecting),
        }
    }

    /// Runs `inner` one level deeper.
    pub(crate) fn nested<T>(
        &mut self,
        inner: impl FnOnce(&mut Self) -> Result<T, ParseError>,
    ) -> Result<T, ParseError> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(ParseError::plain(format!("query is nested deeper than {DEPTH_MAX} levels")));
        }
        let out = inner(self);
        self.depth -= 1;
        out
    }

    fn end(&self) -> Result<(), ParseError> {
        if *self.peek() == Token::End { Ok(()) } else { self.unexpected("") }
    }

    /// A selector with its pipeline, perhaps in parentheses.
    pub(crate) fn log(&mut self) -> Result<LogExpr, ParseError> {
        if self.take("(") {
            let inner = self.nested(Self::log)?;
            self.expect(")", ")")?;
            return Ok(inner);
        }
        let matchers = self.selector()?;
        let mut stages = Vec::new();
        while let Some(stage) = self.stage()? {
            stages.push(stage);
        }
        Ok(LogExpr { matchers, stages })
    }

    /// `{a="1", b=~"2"}`
    pub(crate) fn selector(&mut self) -> Result<Vec<Matcher>, ParseError> {
        self.expect("{", "")?;
        let mut matchers = Vec::new();
        if self.take("}") {
            return Ok(matchers);
        }
        loop {
            let name = self.ident(if matchers.is_empty() { "IDENTIFIER or }" } else { "IDENTIFIER" })?;
            let Some(op) = self.match_op() else { return self.unexpected("= or =~ or !~ or !=") };
            let value = self.string("STRING")?;
            matchers.push(matcher(name, op, value)?);
            if !self.take(",") {
                self.expect("}", "} or ,")?;
                return Ok(matchers);
            }
        }
    }

    pub(crate) fn match_op(&mut self) -> Option<MatchOp> {
        let op = match self.peek() {
            Token::Punct("=") => MatchOp::Equal,
            Token::Punct("!=") => MatchOp::NotEqual,
            Token::Punct("=~") => MatchOp::Regex,
            Token::Punct("!~") => MatchOp::NotRegex,
            _ => return None,
        };
        self.next();
        Some(op)
    }
}

/// A matcher, with Loki's complaint about its expression.
pub(crate) fn matcher(name: String, op: MatchOp, value: String) -> Result<Matcher, ParseError> {
    let text = value.clone();
    Matcher::new(name, op, value).map_err(|_| ParseError::plain(print::regex_complaint(&text)))
}
