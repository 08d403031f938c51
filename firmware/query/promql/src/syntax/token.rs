//! Tokens and how errors name them.

use super::error::Span;
use super::numbers::go_quote;

/// Kinds of token.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Eof,
    Error,
    Identifier,
    MetricIdentifier,
    Number,
    Duration,
    String,
    LeftParen,
    RightParen,
    LeftBrace,
    RightBrace,
    LeftBracket,
    RightBracket,
    Comma,
    Colon,
    /// `=`
    Assign,
    /// `=~`
    MatchRegex,
    /// `!~`
    MatchNotRegex,
    Operator,
    /// `by`, `on`, `offset`, …
    Keyword,
    Aggregator,
    At,
    /// `start`, `end`, `step`, `range`
    Preprocessor,
}

/// A token: its text is a slice of the query (for errors: the message).
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    pub(crate) span: Span,
    pub(crate) text: String,
}

impl Token {
    /// Whether the token is this word, in any case.
    pub(crate) fn is_word(&self, word: &str) -> bool {
        matches!(self.kind, Kind::Keyword | Kind::Operator | Kind::Aggregator | Kind::Preprocessor | Kind::Identifier)
            && self.text.eq_ignore_ascii_case(word)
    }

    /// Whether the token is this operator symbol or word.
    pub(crate) fn is_operator(&self, symbol: &str) -> bool {
        self.kind == Kind::Operator && self.text.eq_ignore_ascii_case(symbol)
    }

    /// How "unexpected …" names it.
    pub(crate) fn describe(&self) -> String {
        let quoted = || {
            if self.text.len() > 10 {
                let cut = self.text.char_indices().nth(10).map_or(self.text.len(), |(at, _)| at);
                match cut < self.text.len() {
                    true => format!("{}...", go_quote(&self.text[..cut])),
                    false => go_quote(&self.text),
                }
            } else {
                go_quote(&self.text)
            }
        };
        match self.kind {
            Kind::Eof => "end of input".to_owned(),
            Kind::Identifier => format!("identifier {}", go_quote(&self.text)),
            Kind::MetricIdentifier => format!("metric identifier {}", go_quote(&self.text)),
            Kind::Number => format!("number {}", quoted()),
            Kind::Duration => format!("duration {}", quoted()),
            Kind::String => format!("string {}", quoted()),
            Kind::Operator => format!("<op:{}>", self.text),
            Kind::Assign => "<op:=>".to_owned(),
            Kind::MatchRegex => "<op:=~>".to_owned(),
            Kind::MatchNotRegex => "<op:!~>".to_owned(),
            Kind::At => "<op:@>".to_owned(),
            Kind::Keyword => format!("<{}>", self.text),
            Kind::Aggregator => format!("<aggr:{}>", self.text),
            _ => quoted(),
        }
    }
}
