//! Words of a query, each with its place.

use super::ast::Scope;
use super::{ParseError, Place};

/// A word.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Token {
    /// `span.http.method`, `.x`: scope and name.
    Attribute(Scope, String),
    /// `parent.x`: a word of the language that Tempo refuses, too.
    ParentAttribute,
    /// `span:name`: the words before and after the colon.
    Scoped(String, String),
    /// A bare word.
    Word(String),
    /// A quoted or backquoted text.
    Text(String),
    /// A whole number.
    Int(i64),
    /// A number with a point or an exponent.
    Float(f64),
    /// A duration, nanoseconds.
    Duration(i64),
    /// An operator or bracket.
    Sign(&'static str),
    /// The end of the query.
    End,
}

impl Token {
    /// As errors name it.
    pub(super) fn describe(&self) -> String {
        match self {
            Token::Attribute(scope, _) => match scope {
                Scope::Any => ".".to_owned(),
                _ => format!("{}.", scope.as_str()),
            },
            Token::ParentAttribute => "parent.".to_owned(),
            Token::Scoped(scope, _) => format!("{scope}:"),
            Token::Word(word) => word.clone(),
            Token::Text(_) => "STRING".to_owned(),
            Token::Int(_) => "INTEGER".to_owned(),
            Token::Float(_) => "FLOAT".to_owned(),
            Token::Duration(_) => "DURATION".to_owned(),
            Token::Sign(sign) => (*sign).to_owned(),
            Token::End => "$end".to_owned(),
        }
    }
}

/// Signs, longer ones before their beginnings.
const SIGNS: [&str; 37] = [
    "&>>", "&<<", "!>>", "!<<", ">>", "<<", "&>", "&<", "&~", "!>", "!<", "!~", "!=", "=~", ">=", "<=", "&&", "||",
    "{", "}", "(", ")", "=", ">", "<", "~", "!", "|", ",", "+", "-", "*", "/", "%", "^", "&", ".",
];

/// Units of a duration in nanoseconds, longer ones before their beginnings.
const UNITS: [(&str, i64); 10] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("d", 86_400_000_000_000),
    ("w", 604_800_000_000_000),
];

struct Lexer<'a> {
    rest: &'a str,
    place: Place,
}

/// Splits a query into words with their places; the last is [`Token::End`].
pub(super) fn tokens(text: &str) -> Result<Vec<(Place, Token)>, ParseError> {
    let mut lexer = Lexer { rest: text, place: Place::START };
    let mut out = Vec::new();
    loop {
        lexer.skip_blank();
        let place = lexer.place;
        let token = lexer.next()?;
        let end = token == Token::End;
        out.push((place, token));
        if end {
            return Ok(out);
        }
    }
}

/// Whether a character may stand in an attribute's name without quotes.
pub(super) fn is_name(c: char) -> bool {
    !c.is_whitespace() && !"{}()=~!<>&|^,\"`".contains(c)
}

impl<'a> Lexer<'a> {
    /// Steps over `len` bytes, which end at a character, and returns them.
    fn pass(&mut self, len: usize) -> &'a str {
        let (passed, rest) = self.rest.split_at_checked(len).unwrap_or((self.rest, ""));
        for c in passed.chars() {
            match c {
                '\n' => self.place = Place { line: self.place.line + 1, column: 1 },
                _ => self.place.column += 1,
            }
        }
        self.rest = rest;
        passed
    }

    /// Steps over what `keep` accepts, and returns it.
    fn pass_while(&mut self, keep: impl Fn(char) -> bool) -> &'a str {
        self.pass(self.rest.find(|c| !keep(c)).unwrap_or(self.rest.len()))
    }

    /// White space, and comments from `//` to the end of the line.
    fn skip_blank(&mut self) {
        loop {
            self.pass_while(char::is_whitespace);
            if !self.rest.starts_with("//") {
                return;
            }
            self.pass_while(|c| c != '\n');
        }
    }

    fn next(&mut self) -> Result<Token, ParseError> {
        let mut chars = self.rest.chars();
        let Some(first) = chars.next() else { return Ok(Token::End) };
        let second = chars.next().unwrap_or(' ');
        match first {
            '"' | '`' => Ok(Token::Text(self.quoted(first)?)),
            '0'..='9' => self.number(),
            '.' if second.is_ascii_digit() => self.number(),
            '.' => {
                self.pass(1);
                self.attribute(Scope::Any)
            }
            c if c.is_alphabetic() || c == '_' => self.word(),
            _ => self.sign(first),
        }
    }

    fn sign(&mut self, first: char) -> Result<Token, ParseError> {
        let Some(sign) = SIGNS.iter().find(|s| self.rest.starts_with(**s)) else {
            return Err(self.place.syntax(format_args!("syntax error: unexpected {first:?}")));
        };
        self.pass(sign.len());
        Ok(Token::Sign(sign))
    }

    fn word(&mut self) -> Result<Token, ParseError> {
        let place = self.place;
        let word = self.pass_while(|c| c.is_alphanumeric() || c == '_');
        if self.rest.starts_with('.') {
            let scope = Scope::parse(word);
            if scope.is_none() && word != "parent" {
                return Err(place.syntax(format_args!("unknown identifier: {word}")));
            }
            self.pass(1);
            let attribute = self.attribute(scope.unwrap_or(Scope::Any))?;
            return Ok(if scope.is_some() { attribute } else { Token::ParentAttribute });
        }
        if self.rest.starts_with(':')
            && ["span", "trace", "event", "link", "instrumentation", "parent", "resource"].contains(&word)
        {
            self.pass(1);
            return Ok(Token::Scoped(word.to_owned(), self.pass_while(char::is_alphanumeric).to_owned()));
        }
        Ok(Token::Word(word.to_owned()))
    }

    /// The name after a scope: runs of plain characters and quoted parts.
    fn attribute(&mut self, scope: Scope) -> Result<Token, ParseError> {
        let (place, mut name) = (self.place, String::new());
        loop {
            name.push_str(self.pass_while(is_name));
            if !self.rest.starts_with('"') {
                break;
            }
            name.push_str(&self.quoted('"')?);
        }
        if name.is_empty() {
            return Err(place.syntax("syntax error: unexpected END_ATTRIBUTE, expecting IDENTIFIER"));
        }
        Ok(Token::Attribute(scope, name))
    }

    fn quoted(&mut self, quote: char) -> Result<String, ParseError> {
        let place = self.place;
        let unclosed = || place.syntax("literal not terminated");
        let mut chars = self.rest.char_indices();
        let (_, mut out) = (chars.next(), String::new());
        loop {
            let (i, c) = chars.next().ok_or_else(unclosed)?;
            match c {
                c if c == quote => {
                    self.pass(i + c.len_utf8());
                    return Ok(out);
                }
                '\\' if quote == '"' => {
                    let (_, kind) = chars.next().ok_or_else(unclosed)?;
                    let escaped = match kind {
                        'x' => coded(&mut chars, 2),
                        'u' => coded(&mut chars, 4),
                        'U' => coded(&mut chars, 8),
                        kind => plain_escape(kind),
                    };
                    out.push(escaped.ok_or_else(|| place.syntax(format_args!("unknown escape sequence: \\{kind}")))?);
                }
                c => out.push(c),
            }
        }
    }

    fn number(&mut self) -> Result<Token, ParseError> {
        let place = self.place;
        let text = self.pass_while(|c| c.is_alphanumeric() || c == '.');
        if let Ok(int) = text.parse::<i64>() {
            return Ok(Token::Int(int));
        }
        if let Some(float) = text.parse::<f64>().ok().filter(|d| d.is_finite()) {
            return Ok(Token::Float(float));
        }
        let bad = || place.syntax(format_args!("syntax error: {text:?} is not a number"));
        duration_ns(text).map(Token::Duration).ok_or_else(bad)
    }
}

fn plain_escape(kind: char) -> Option<char> {
    Some(match kind {
        'n' => '\n',
        't' => '\t',
        'r' => '\r',
        'a' => '\x07',
        'b' => '\x08',
        'f' => '\x0c',
        'v' => '\x0b',
        '\\' | '"' | '\'' => kind,
        _ => return None,
    })
}

/// A character by its number in `digits` hex digits.
fn coded(chars: &mut std::str::CharIndices<'_>, digits: usize) -> Option<char> {
    let mut code = 0;
    for _ in 0..digits {
        code = code * 16 + chars.next()?.1.to_digit(16)?;
    }
    char::from_u32(code)
}

/// Nanoseconds of `1h30m`, `1.5s`, `900ns`. `None` when it is not a duration or overflows.
pub fn duration_ns(text: &str) -> Option<i64> {
    let (mut rest, mut sum) = (text, 0i64);
    if text.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let whole_len = rest.bytes().take_while(u8::is_ascii_digit).count();
        let len = rest.bytes().take_while(|b| b.is_ascii_digit() || *b == b'.').count();
        let (number, after) = rest.split_at_checked(len)?;
        let (unit, factor) = UNITS.iter().find(|(unit, _)| after.starts_with(unit))?;
        rest = after.get(unit.len()..)?;
        // The whole part by itself: a double would not hold all digits of it.
        let (whole, part) = number.split_at_checked(whole_len)?;
        let whole: i64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
        let part: f64 = if part.is_empty() { 0.0 } else { format!("0{part}").parse().ok()? };
        let part_ns = (part * *factor as f64).round() as i64;
        sum = sum.checked_add(whole.checked_mul(*factor)?)?.checked_add(part_ns)?;
        if len == 0 {
            return None;
        }
    }
    Some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers() {
        let words: Vec<Token> = tokens("span.http.method .a-b span.\"x y\".z 1h30m 1.5 .5 !>> link:traceID")
            .unwrap()
            .into_iter()
            .map(|t| t.1)
            .collect();
        let attribute = |scope, name: &str| Token::Attribute(scope, name.to_owned());
        assert_eq!(
            words,
            [
                attribute(Scope::Span, "http.method"),
                attribute(Scope::Any, "a-b"),
                attribute(Scope::Span, "x y.z"),
                Token::Duration(5_400_000_000_000),
                Token::Float(1.5),
                Token::Float(0.5),
                Token::Sign("!>>"),
                Token::Scoped("link".to_owned(), "traceID".to_owned()),
                Token::End
            ]
        );
    }

    #[test]
    fn any_text_is_split_or_refused() {
        for text in ["\"", "\"\\", "`a", "5x", "€", "span.", "a.b", "1e999", "9999999999999999999999h"] {
            let _ = tokens(text);
        }
        assert!(tokens("span.").is_err() && tokens("\"a").is_err());
    }
}
