//! Text to tokens. The first thing that is no token ends the list with an error token whose text is the message.

use super::error::Span;
use super::token::{Kind, Token};

const AGGREGATORS: [&str; 14] = [
    "sum",
    "avg",
    "count",
    "min",
    "max",
    "group",
    "stddev",
    "stdvar",
    "topk",
    "bottomk",
    "count_values",
    "quantile",
    "limitk",
    "limit_ratio",
];
const KEYWORDS: [&str; 8] = ["offset", "by", "without", "on", "ignoring", "group_left", "group_right", "bool"];
const WORD_OPERATORS: [&str; 4] = ["and", "or", "unless", "atan2"];
const PREPROCESSORS: [&str; 4] = ["start", "end", "step", "range"];

/// All tokens of `query`; the last is `Eof` or `Error`.
pub(crate) fn tokens(query: &str) -> Vec<Token> {
    let mut lexer = Lexer { query, at: 0, start: 0, parens: 0, in_bracket: false, seen_colon: false, out: Vec::new() };
    let ended = match lexer.statements() {
        Ok(()) => Token { kind: Kind::Eof, span: Span::new(query.len(), query.len()), text: String::new() },
        Err(text) => Token { kind: Kind::Error, span: Span::new(lexer.start, lexer.at.max(lexer.start)), text },
    };
    lexer.out.push(ended);
    lexer.out
}

pub(crate) struct Lexer<'a> {
    query: &'a str,
    pub(crate) at: usize,
    start: usize,
    parens: usize,
    in_bracket: bool,
    seen_colon: bool,
    out: Vec<Token>,
}

fn is_alpha(c: char) -> bool {
    c.is_ascii_alphabetic() || c == '_'
}

pub(crate) fn is_alphanumeric(c: Option<char>) -> bool {
    c.is_some_and(|c| is_alpha(c) || c.is_ascii_digit())
}

pub(crate) fn go_rune(c: char) -> String {
    match c {
        '\'' => "'\\''".to_owned(),
        '\\' => "'\\\\'".to_owned(),
        '\n' => "'\\n'".to_owned(),
        c => format!("'{c}'"),
    }
}

impl Lexer<'_> {
    pub(crate) fn peek(&self) -> Option<char> {
        self.query.get(self.at..)?.chars().next()
    }

    pub(crate) fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    pub(crate) fn accept(&mut self, set: &str) -> bool {
        match self.peek() {
            Some(c) if set.contains(c) => {
                self.next();
                true
            }
            _ => false,
        }
    }

    pub(crate) fn text(&self) -> &str {
        self.query.get(self.start..self.at).unwrap_or_default()
    }

    pub(crate) fn emit(&mut self, kind: Kind) {
        let text = self.text().to_owned();
        self.out.push(Token { kind, span: Span::new(self.start, self.at), text });
    }

    /// Skips white space and comments; the next token starts here.
    fn skip_blank(&mut self, comments: bool) {
        while let Some(c) = self.peek() {
            if c == '#' && comments {
                while self.peek().is_some_and(|c| c != '\n' && c != '\r') {
                    self.next();
                }
            } else if !matches!(c, ' ' | '\t' | '\n' | '\r') {
                break;
            } else {
                self.next();
            }
        }
        self.start = self.at;
    }

    fn statements(&mut self) -> Result<(), String> {
        loop {
            self.skip_blank(true);
            let Some(c) = self.next() else { break };
            self.statement(c)?;
        }
        match () {
            () if self.parens > 0 => Err("unclosed left parenthesis".to_owned()),
            () if self.in_bracket => Err("unclosed left bracket".to_owned()),
            () => Ok(()),
        }
    }

    fn statement(&mut self, c: char) -> Result<(), String> {
        match c {
            ',' => self.emit(Kind::Comma),
            '*' | '/' | '%' | '+' | '-' | '^' => self.emit(Kind::Operator),
            '@' => self.emit(Kind::At),
            '=' => match self.peek() {
                Some('=') => {
                    self.next();
                    self.emit(Kind::Operator);
                }
                Some('~') => return Err("unexpected character after '=': '~'".to_owned()),
                _ => self.emit(Kind::Assign),
            },
            '!' => match self.next() {
                Some('=') => self.emit(Kind::Operator),
                Some(other) => return Err(format!("unexpected character after '!': {}", go_rune(other))),
                None => return Err("unexpected character after '!': '\u{fffd}'".to_owned()),
            },
            '<' | '>' => {
                // `</` and `>/` trim histograms; a division could not stand there.
                self.accept("=/");
                self.emit(Kind::Operator);
            }
            '"' | '\'' | '`' => self.string(c)?,
            '(' => {
                self.parens += 1;
                self.emit(Kind::LeftParen);
            }
            ')' if self.parens == 0 => return Err("unexpected right parenthesis ')'".to_owned()),
            ')' => {
                self.parens -= 1;
                self.emit(Kind::RightParen);
            }
            '{' => {
                self.emit(Kind::LeftBrace);
                self.braces()?;
            }
            '[' if self.in_bracket => return Err("unexpected left bracket '['".to_owned()),
            '[' => {
                (self.in_bracket, self.seen_colon) = (true, false);
                self.emit(Kind::LeftBracket);
            }
            ']' if !self.in_bracket => return Err("unexpected right bracket ']'".to_owned()),
            ']' => {
                self.in_bracket = false;
                self.emit(Kind::RightBracket);
            }
            ':' if self.in_bracket && self.seen_colon => return Err("unexpected colon ':'".to_owned()),
            ':' if self.in_bracket => {
                self.seen_colon = true;
                self.emit(Kind::Colon);
            }
            c if c.is_ascii_digit() || c == '.' && self.peek().is_some_and(|n| n.is_ascii_digit()) => {
                self.at = self.start;
                self.number_or_duration()?;
            }
            c if is_alpha(c) || c == ':' => self.word(),
            c => return Err(format!("unexpected character: {}", go_rune(c))),
        }
        Ok(())
    }

    fn word(&mut self) {
        let colons = !self.in_bracket;
        while self.peek().is_some_and(|c| is_alphanumeric(Some(c)) || colons && c == ':') {
            self.next();
        }
        let lower = self.text().to_ascii_lowercase();
        let kind = match lower.as_str() {
            "inf" | "nan" => Kind::Number,
            w if AGGREGATORS.contains(&w) => Kind::Aggregator,
            w if KEYWORDS.contains(&w) => Kind::Keyword,
            w if WORD_OPERATORS.contains(&w) => Kind::Operator,
            w if PREPROCESSORS.contains(&w) => Kind::Preprocessor,
            w if w.contains(':') => Kind::MetricIdentifier,
            _ => Kind::Identifier,
        };
        self.emit(kind);
    }

    fn braces(&mut self) -> Result<(), String> {
        loop {
            self.skip_blank(true);
            let Some(c) = self.next() else { return Err("unexpected end of input inside braces".to_owned()) };
            match c {
                ',' => self.emit(Kind::Comma),
                '"' | '\'' | '`' => self.string(c)?,
                '=' => {
                    let kind = if self.accept("~") { Kind::MatchRegex } else { Kind::Assign };
                    self.emit(kind);
                }
                '!' => match self.next() {
                    Some('~') => self.emit(Kind::MatchNotRegex),
                    Some('=') => self.emit(Kind::Operator),
                    other => {
                        let shown = other.map_or_else(|| "'\u{fffd}'".to_owned(), go_rune);
                        return Err(format!("unexpected character after '!' inside braces: {shown}"));
                    }
                },
                '{' => return Err("unexpected left brace '{'".to_owned()),
                '}' => {
                    self.emit(Kind::RightBrace);
                    return Ok(());
                }
                c if is_alpha(c) => {
                    while is_alphanumeric(self.peek()) {
                        self.next();
                    }
                    self.emit(Kind::Identifier);
                }
                c => return Err(format!("unexpected character inside braces: {}", go_rune(c))),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(query: &str) -> Vec<Kind> {
        tokens(query).iter().map(|t| t.kind).collect()
    }

    #[test]
    fn words_numbers_and_durations() {
        use Kind::*;
        assert_eq!(kinds("sum a:b 5m 0x1f by"), [Aggregator, MetricIdentifier, Duration, Number, Keyword, Eof]);
        assert_eq!(kinds("a[5m:1s]"), [Identifier, LeftBracket, Duration, Colon, Duration, RightBracket, Eof]);
        assert_eq!(kinds("{or=~'x'}"), [LeftBrace, Identifier, MatchRegex, String, RightBrace, Eof]);
    }

    #[test]
    fn errors_end_the_list() {
        for (query, text) in [
            ("5mm", "bad number or duration syntax: \"5mm\""),
            ("0b1", "bad number or duration syntax: \"0\""),
            ("1e", "bad number or duration syntax: \"1e\""),
            ("$", "unexpected character: '$'"),
            ("(", "unclosed left parenthesis"),
        ] {
            let last = tokens(query).pop().unwrap();
            assert_eq!((last.kind, last.text.as_str()), (Kind::Error, text), "{query}");
        }
    }
}
