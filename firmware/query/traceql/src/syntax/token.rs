//! Words of a query. Positions are columns, counted in characters from 1.

use super::ParseError;
use super::ast::Scope;

/// A word.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Token {
    /// `span.http.method`, `.x`: scope and name.
    Attribute(Scope, String),
    /// `parent.x`: known to the language, not supported by anyone.
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

/// Units of a duration, longer ones before their beginnings.
const UNITS: [(&str, f64); 8] =
    [("ns", 1.0), ("us", 1e3), ("µs", 1e3), ("ms", 1e6), ("s", 1e9), ("m", 60e9), ("h", 3600e9), ("d", 86400e9)];

struct Lexer<'a> {
    text: &'a str,
    at: usize,
}

/// Splits a query into words with their columns; the last is [`Token::End`].
pub(super) fn tokens(text: &str) -> Result<Vec<(usize, Token)>, ParseError> {
    let mut lexer = Lexer { text, at: 0 };
    let mut out = Vec::new();
    loop {
        lexer.skip_blank();
        let column = lexer.column();
        let token = lexer.next()?;
        let end = token == Token::End;
        out.push((column, token));
        if end {
            return Ok(out);
        }
    }
}

/// Whether a character may stand in an attribute's name without quotes.
fn is_name(c: char) -> bool {
    !c.is_whitespace() && !"{}()=~!<>&|^,\"`".contains(c)
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or("")
    }

    fn column(&self) -> usize {
        self.text.get(..self.at).unwrap_or("").chars().count() + 1
    }

    fn skip_blank(&mut self) {
        loop {
            self.at += self.rest().len() - self.rest().trim_start().len();
            if !self.rest().starts_with("//") {
                return;
            }
            self.at += self.rest().find('\n').unwrap_or(self.rest().len());
        }
    }

    fn next(&mut self) -> Result<Token, ParseError> {
        let rest = self.rest();
        let Some(first) = rest.chars().next() else { return Ok(Token::End) };
        let second = rest.chars().nth(1).unwrap_or(' ');
        match first {
            '"' | '`' => Ok(Token::Text(self.quoted(first)?)),
            '0'..='9' => self.number(),
            '.' if second.is_ascii_digit() => self.number(),
            '.' => {
                self.at += 1;
                self.attribute(Scope::Any)
            }
            c if c.is_alphabetic() || c == '_' => self.word(),
            _ => self.sign(first),
        }
    }

    fn sign(&mut self, first: char) -> Result<Token, ParseError> {
        let Some(sign) = SIGNS.iter().find(|s| self.rest().starts_with(**s)) else {
            return Err(ParseError::at(self.column(), format!("syntax error: unexpected {first:?}")));
        };
        self.at += sign.len();
        Ok(Token::Sign(sign))
    }

    fn word(&mut self) -> Result<Token, ParseError> {
        let rest = self.rest();
        let len = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        let (word, after) = rest.split_at(len);
        let scoped = match after.chars().next() {
            Some('.') => match word {
                "parent" => Some(None),
                _ => Scope::parse(word).map(Some),
            },
            _ => None,
        };
        if let Some(scope) = scoped {
            self.at += len + 1;
            let attribute = self.attribute(scope.unwrap_or(Scope::Any))?;
            return Ok(if scope.is_none() { Token::ParentAttribute } else { attribute });
        }
        if after.starts_with(':')
            && ["span", "trace", "event", "link", "instrumentation", "parent", "resource"].contains(&word)
        {
            self.at += len + 1;
            let rest = self.rest();
            let name_len = rest.find(|c: char| !c.is_alphanumeric()).unwrap_or(rest.len());
            self.at += name_len;
            return Ok(Token::Scoped(word.to_owned(), rest.get(..name_len).unwrap_or("").to_owned()));
        }
        if after.starts_with('.') {
            return Err(ParseError::at(self.column(), format!("unknown identifier: {word}")));
        }
        self.at += len;
        Ok(Token::Word(word.to_owned()))
    }

    /// The name after a scope: runs of plain characters and quoted parts.
    fn attribute(&mut self, scope: Scope) -> Result<Token, ParseError> {
        let (column, mut name) = (self.column(), String::new());
        while let Some(c) = self.rest().chars().next() {
            if c == '"' {
                name.push_str(&self.quoted('"')?);
            } else if is_name(c) {
                name.push(c);
                self.at += c.len_utf8();
            } else {
                break;
            }
        }
        if name.is_empty() {
            return Err(ParseError::at(
                column,
                "syntax error: unexpected END_ATTRIBUTE, expecting IDENTIFIER".to_owned(),
            ));
        }
        Ok(Token::Attribute(scope, name))
    }

    fn quoted(&mut self, quote: char) -> Result<String, ParseError> {
        let column = self.column();
        let unclosed = || ParseError::at(column, "literal not terminated".to_owned());
        let mut chars = self.rest().char_indices();
        let (_, mut out) = (chars.next(), String::new());
        loop {
            let (i, c) = chars.next().ok_or_else(unclosed)?;
            match c {
                c if c == quote => {
                    self.at += i + c.len_utf8();
                    return Ok(out);
                }
                '\\' if quote == '"' => match chars.next().ok_or_else(unclosed)?.1 {
                    'n' => out.push('\n'),
                    't' => out.push('\t'),
                    'r' => out.push('\r'),
                    c @ ('\\' | '"' | '\'') => out.push(c),
                    c => return Err(ParseError::at(column, format!("unknown escape sequence: \\{c}"))),
                },
                c => out.push(c),
            }
        }
    }

    fn number(&mut self) -> Result<Token, ParseError> {
        let column = self.column();
        let bad = |text: &str| ParseError::at(column, format!("syntax error: {text:?} is not a number"));
        let rest = self.rest();
        let len = rest.find(|c: char| !c.is_alphanumeric() && c != '.').unwrap_or(rest.len());
        let text = rest.get(..len).unwrap_or("");
        self.at += len;
        if let Ok(int) = text.parse::<i64>() {
            return Ok(Token::Int(int));
        }
        if let Ok(float) = text.parse::<f64>() {
            return Ok(Token::Float(float));
        }
        duration_ns(text).map(Token::Duration).ok_or_else(|| bad(text))
    }
}

/// Nanoseconds of `1h30m`, `1.5s`, `900ns`. `None` when it is not a duration or overflows.
pub fn duration_ns(text: &str) -> Option<i64> {
    let (mut rest, mut sum) = (text, 0.0);
    if text.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(|b| b.is_ascii_digit() || *b == b'.').count();
        let number: f64 = rest.get(..digits)?.parse().ok()?;
        rest = rest.get(digits..)?;
        let (unit, factor) = UNITS.iter().find(|(unit, _)| rest.starts_with(unit))?;
        rest = rest.get(unit.len()..)?;
        sum += number * factor;
    }
    (sum < i64::MAX as f64).then_some(sum.round() as i64)
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
