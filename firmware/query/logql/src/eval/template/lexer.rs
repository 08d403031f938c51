//! Template text to tokens.

use super::value::Value;

/// Why and where.
pub(crate) struct Complaint {
    pub(crate) line: usize,
    pub(crate) text: String,
}

#[derive(Clone, PartialEq, Debug)]
pub(super) enum Token {
    Text(String),
    Open,
    Close,
    Word(String),
    /// `.a.b`, without the leading point; empty for `.` alone.
    Field(Vec<String>),
    Variable(String),
    Constant(Value),
    Punct(char),
    /// `:=`
    Declare,
    /// `=`
    Assign,
}

/// A token and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Placed {
    pub(super) token: Token,
    pub(super) at: usize,
    pub(super) end: usize,
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    tokens: Vec<Placed>,
}

fn word_len(text: &str) -> usize {
    text.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(text.len())
}

/// The line, from 1, in which byte `at` of `text` stands.
pub(super) fn line_of(text: &str, at: usize) -> usize {
    text.bytes().take(at).filter(|b| *b == b'\n').count() + 1
}

pub(super) fn tokens(text: &str) -> Result<Vec<Placed>, Complaint> {
    let mut lexer = Lexer { text, at: 0, tokens: Vec::new() };
    lexer.all()?;
    Ok(lexer.tokens)
}

impl Lexer<'_> {
    fn complain<T>(&self, text: impl Into<String>) -> Result<T, Complaint> {
        Err(Complaint { line: line_of(self.text, self.at), text: text.into() })
    }

    fn push(&mut self, token: Token, len: usize) {
        self.tokens.push(Placed { token, at: self.at, end: self.at + len });
        self.at += len;
    }

    fn all(&mut self) -> Result<(), Complaint> {
        let mut trim = false;
        while self.at < self.text.len() {
            let rest = &self.text[self.at..];
            let (plain, action) = rest.find("{{").map_or((rest, false), |at| (&rest[..at], true));
            let skip = plain.len();
            let trims_before =
                action && rest[skip + 2..].strip_prefix('-').is_some_and(|r| r.starts_with([' ', '\t', '\r', '\n']));
            let plain = if trim { plain.trim_start() } else { plain };
            let plain = if trims_before { plain.trim_end() } else { plain };
            if !plain.is_empty() {
                let plain = plain.to_owned();
                self.push(Token::Text(plain), 0);
            }
            self.at += skip;
            if action {
                self.at += if trims_before { 3 } else { 2 };
                trim = self.action()?;
            }
        }
        Ok(())
    }

    /// Tokens up to the closing braces; whether they trim the text after them.
    fn action(&mut self) -> Result<bool, Complaint> {
        if let Some(comment) = self.text[self.at..].trim_start().strip_prefix("/*") {
            let Some(end) = comment.find("*/") else { return self.complain("unclosed comment") };
            let after = &comment[end + 2..];
            let Some(close) = after.find("}}") else { return self.complain("comment ends before closing delimiter") };
            self.at = self.text.len() - after.len() + close + 2;
            return Ok(after[..close].ends_with('-'));
        }
        self.push(Token::Open, 0);
        loop {
            let rest = &self.text[self.at..];
            let blank = rest.starts_with([' ', '\t', '\r', '\n']);
            if rest.starts_with("}}") || (blank && rest[1..].starts_with("-}}")) {
                self.push(Token::Close, if blank { 4 } else { 2 });
                return Ok(blank);
            }
            let Some(c) = rest.chars().next() else { return self.complain("unclosed action") };
            if c.is_whitespace() {
                self.at += c.len_utf8();
                continue;
            }
            self.token(c)?;
        }
    }

    fn token(&mut self, c: char) -> Result<(), Complaint> {
        let rest = &self.text[self.at..];
        match c {
            '"' => {
                let Some((text, len)) = quoted(rest) else { return self.complain("unterminated quoted string") };
                self.push(Token::Constant(Value::Str(text)), len);
            }
            '`' => {
                let Some(len) = rest[1..].find('`') else { return self.complain("unterminated raw quoted string") };
                let text = rest[1..=len].to_owned();
                self.push(Token::Constant(Value::Str(text)), len + 2);
            }
            '\'' => {
                let Some((c, len)) = character(rest) else { return self.complain("unterminated character constant") };
                self.push(Token::Constant(Value::Int(i64::from(u32::from(c)))), len);
            }
            '.' if !rest[1..].starts_with(|c: char| c.is_ascii_digit()) => {
                let (fields, len) = chain(rest);
                self.push(Token::Field(fields), len);
            }
            '$' => {
                let len = word_len(&rest[1..]);
                let name = rest[1..=len].to_owned();
                self.push(Token::Variable(name), len + 1);
            }
            ':' if rest.starts_with(":=") => self.push(Token::Declare, 2),
            '=' => self.push(Token::Assign, 1),
            '|' | '(' | ')' | ',' => self.push(Token::Punct(c), 1),
            '0'..='9' | '-' | '+' | '.' => return self.number(),
            c if c.is_alphabetic() || c == '_' => {
                let len = word_len(rest);
                let token = match &rest[..len] {
                    "true" => Token::Constant(Value::Bool(true)),
                    "false" => Token::Constant(Value::Bool(false)),
                    "nil" => Token::Constant(Value::Nil),
                    word => Token::Word(word.to_owned()),
                };
                self.push(token, len);
            }
            c => return self.complain(format!("unexpected {c:?} in action")),
        }
        Ok(())
    }

    fn number(&mut self) -> Result<(), Complaint> {
        let rest = &self.text[self.at..];
        let mut len =
            1 + rest[1..].find(|c: char| !(c.is_alphanumeric() || "._".contains(c))).unwrap_or(rest.len() - 1);
        let exponent = rest[..len].ends_with(['e', 'E']) && !rest.starts_with("0x");
        if exponent && rest[len..].starts_with(['+', '-']) {
            len += 1 + rest[len + 1..].find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len() - len - 1);
        }
        let word = &rest[..len];
        let plain = word.replace('_', "");
        let (sign, digits) = plain.strip_prefix('-').map_or((1, plain.as_str()), |d| (-1, d));
        let radix = |prefix: &str, radix| digits.strip_prefix(prefix).map(|d| i64::from_str_radix(d, radix));
        let special = radix("0x", 16).or_else(|| radix("0b", 2)).or_else(|| radix("0o", 8));
        let value = match special {
            Some(number) => number.map(|n| Value::Int(sign * n)).ok(),
            None => plain.parse().map(Value::Int).or_else(|_| plain.parse().map(Value::Float)).ok(),
        };
        match value {
            Some(value) => {
                self.push(Token::Constant(value), len);
                Ok(())
            }
            None => self.complain(format!("bad number syntax: {word:?}")),
        }
    }
}

/// `.a.b` at the start, and its length.
fn chain(text: &str) -> (Vec<String>, usize) {
    let (mut fields, mut at) = (Vec::new(), 0);
    while let Some(rest) = text[at..].strip_prefix('.') {
        let len = word_len(rest);
        if len > 0 {
            fields.push(rest[..len].to_owned());
        }
        at += len + 1;
        if len == 0 {
            break;
        }
    }
    (fields, at)
}

/// A character after a backslash.
fn escape(chars: &mut impl Iterator<Item = (usize, char)>) -> Option<char> {
    match chars.next()?.1 {
        'n' => Some('\n'),
        't' => Some('\t'),
        'r' => Some('\r'),
        'a' => Some('\u{7}'),
        'b' => Some('\u{8}'),
        'f' => Some('\u{c}'),
        'v' => Some('\u{b}'),
        'u' => code_after(chars, 4),
        'U' => code_after(chars, 8),
        'x' => code_after(chars, 2),
        c @ ('\\' | '"' | '\'') => Some(c),
        _ => None,
    }
}

fn code_after(chars: &mut impl Iterator<Item = (usize, char)>, digits: usize) -> Option<char> {
    let text: String = chars.by_ref().take(digits).map(|c| c.1).collect();
    u32::from_str_radix(&text, 16).ok().and_then(char::from_u32)
}

fn quoted(text: &str) -> Option<(String, usize)> {
    let mut out = String::new();
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((out, at + 1)),
            '\n' => return None,
            '\\' => out.push(escape(&mut chars)?),
            c => out.push(c),
        }
    }
    None
}

/// `'x'` at the start, and its length.
fn character(text: &str) -> Option<(char, usize)> {
    let mut chars = text.char_indices().skip(1);
    let c = match chars.next()?.1 {
        '\\' => escape(&mut chars)?,
        c => c,
    };
    let (at, end) = chars.next()?;
    (end == '\'').then_some((c, at + 1))
}
