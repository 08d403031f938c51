//! Template text to nodes.

use super::functions;
use super::value::Value;

/// What a template is made of.
pub(crate) enum Node {
    Text(String),
    /// Prints the value, unless it is given a name.
    Pipe(Option<String>, Pipe),
    If(Vec<(Option<Pipe>, Vec<Node>)>),
    With(Pipe, Vec<Node>, Vec<Node>),
    Range {
        names: Vec<String>,
        over: Pipe,
        body: Vec<Node>,
        otherwise: Vec<Node>,
    },
}

/// Calls joined by bars: each is given the value of the one before as its last argument.
pub(crate) struct Pipe(pub(crate) Vec<Call>);

/// A value, or a function with its arguments.
pub(crate) enum Call {
    Function(&'static str, Vec<Term>),
    /// A term; the arguments are those of a method, `.Format "15:04"`.
    Term(Term, Vec<Term>),
}

/// An operand with the fields taken of it.
pub(crate) struct Term {
    pub(crate) what: What,
    pub(crate) fields: Vec<String>,
}

pub(crate) enum What {
    Dot,
    Constant(Value),
    Variable(String),
    Function(&'static str),
    Pipe(Pipe),
}

/// Why and where.
pub(crate) struct Complaint {
    pub(crate) line: usize,
    pub(crate) text: String,
}

#[derive(Clone, PartialEq, Debug)]
enum Token {
    Text(String),
    Open,
    Close,
    Word(String),
    /// `.a.b`, without the leading point; empty for `.` alone.
    Field(Vec<String>),
    Variable(String),
    Constant(Value),
    Punct(char),
    Assign,
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    tokens: Vec<(Token, usize)>,
}

fn word_len(text: &str) -> usize {
    text.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(text.len())
}

impl Lexer<'_> {
    fn line(&self) -> usize {
        self.text[..self.at.min(self.text.len())].matches('\n').count() + 1
    }

    fn complain<T>(&self, text: impl Into<String>) -> Result<T, Complaint> {
        Err(Complaint { line: self.line(), text: text.into() })
    }

    fn push(&mut self, token: Token, len: usize) {
        let line = self.line();
        self.tokens.push((token, line));
        self.at += len;
    }

    fn all(&mut self) -> Result<(), Complaint> {
        let mut trim = false;
        while self.at < self.text.len() {
            let rest = &self.text[self.at..];
            let (plain, action) = rest.find("{{").map_or((rest, false), |at| (&rest[..at], true));
            let skip = plain.len();
            let trims_before = action && rest[skip + 2..].starts_with("- ");
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
            if rest.starts_with("}}") || rest.starts_with(" -}}") {
                let trims = rest.starts_with(' ');
                self.push(Token::Close, if trims { 4 } else { 2 });
                return Ok(trims);
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
            '.' if !rest[1..].starts_with(|c: char| c.is_ascii_digit()) => {
                let (fields, len) = chain(rest);
                self.push(Token::Field(fields), len);
            }
            '$' => {
                let len = word_len(&rest[1..]);
                let name = rest[1..=len].to_owned();
                self.push(Token::Variable(name), len + 1);
            }
            ':' if rest.starts_with(":=") => self.push(Token::Assign, 2),
            '=' => self.push(Token::Assign, 1),
            '|' | '(' | ')' | ',' => self.push(Token::Punct(c), 1),
            '0'..='9' | '-' | '+' | '.' => {
                let len = 1 + rest[1..].find(|c: char| !(c.is_alphanumeric() || c == '.')).unwrap_or(rest.len() - 1);
                let word = &rest[..len];
                let value = word.parse().map(Value::Int).or_else(|_| word.parse().map(Value::Float));
                let Ok(value) = value else { return self.complain(format!("bad number syntax: {word:?}")) };
                self.push(Token::Constant(value), len);
            }
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

fn quoted(text: &str) -> Option<(String, usize)> {
    let mut out = String::new();
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((out, at + 1)),
            '\n' => return None,
            '\\' => match chars.next()?.1 {
                'n' => out.push('\n'),
                't' => out.push('\t'),
                'r' => out.push('\r'),
                'u' => {
                    let digits: String = chars.by_ref().take(4).map(|c| c.1).collect();
                    out.push(u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32)?);
                }
                'x' => {
                    let digits: String = chars.by_ref().take(2).map(|c| c.1).collect();
                    out.push(u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32)?);
                }
                other => out.push(other),
            },
            c => out.push(c),
        }
    }
    None
}

/// Deepest nesting.
const DEPTH_MAX: usize = 64;

struct Parser {
    tokens: Vec<(Token, usize)>,
    at: usize,
    depth: usize,
}

pub(crate) fn parse(text: &str) -> Result<Vec<Node>, Complaint> {
    let mut lexer = Lexer { text, at: 0, tokens: Vec::new() };
    lexer.all()?;
    let mut parser = Parser { tokens: lexer.tokens, at: 0, depth: 0 };
    let (nodes, end) = parser.list()?;
    match end {
        End::Text => Ok(nodes),
        End::Else | End::ElseIf => parser.complain("unexpected {{else}}"),
        End::Closed => parser.complain("unexpected {{end}}"),
    }
}

#[derive(PartialEq)]
enum End {
    Text,
    Else,
    /// `{{else if`, the condition is next.
    ElseIf,
    Closed,
}

impl Parser {
    fn complain<T>(&self, text: impl Into<String>) -> Result<T, Complaint> {
        let line = self.tokens.get(self.at).or(self.tokens.last()).map_or(1, |t| t.1);
        Err(Complaint { line, text: text.into() })
    }

    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at).map(|t| &t.0)
    }

    fn take(&mut self, token: &Token) -> bool {
        let found = self.peek() == Some(token);
        self.at += usize::from(found);
        found
    }

    fn take_word(&mut self, word: &str) -> bool {
        let found = matches!(self.peek(), Some(Token::Word(w)) if w == word);
        self.at += usize::from(found);
        found
    }

    fn close(&mut self) -> Result<(), Complaint> {
        if self.take(&Token::Close) { Ok(()) } else { self.complain("unexpected token in action") }
    }

    fn list(&mut self) -> Result<(Vec<Node>, End), Complaint> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return self.complain("nested too deeply");
        }
        let mut nodes = Vec::new();
        let end = loop {
            match self.peek() {
                None => break End::Text,
                Some(Token::Text(text)) => {
                    nodes.push(Node::Text(text.clone()));
                    self.at += 1;
                }
                _ => {
                    self.at += 1;
                    if self.take_word("end") {
                        self.close()?;
                        break End::Closed;
                    }
                    if self.take_word("else") {
                        if self.take_word("if") {
                            break End::ElseIf;
                        }
                        self.close()?;
                        break End::Else;
                    }
                    nodes.push(self.action()?);
                }
            }
        };
        self.depth -= 1;
        Ok((nodes, end))
    }

    fn action(&mut self) -> Result<Node, Complaint> {
        if self.take_word("if") {
            return self.branches();
        }
        if self.take_word("with") {
            let pipe = self.pipe()?;
            self.close()?;
            let (body, otherwise) = self.bodies()?;
            return Ok(Node::With(pipe, body, otherwise));
        }
        if self.take_word("range") {
            let names = self.names();
            let over = self.pipe()?;
            self.close()?;
            let (body, otherwise) = self.bodies()?;
            return Ok(Node::Range { names, over, body, otherwise });
        }
        for word in ["define", "template", "block", "break", "continue"] {
            if matches!(self.peek(), Some(Token::Word(w)) if w == word) {
                return self.complain(format!("{{{{{word}}}}} is not supported"));
            }
        }
        let mut names = self.names();
        let pipe = self.pipe()?;
        self.close()?;
        Ok(Node::Pipe(names.pop(), pipe))
    }

    /// `$a :=` or `$a, $b :=`; nothing is read when there is no assignment.
    fn names(&mut self) -> Vec<String> {
        let start = self.at;
        let mut names = Vec::new();
        while let Some(Token::Variable(name)) = self.peek() {
            names.push(name.clone());
            self.at += 1;
            if self.take(&Token::Assign) {
                return names;
            }
            if !self.take(&Token::Punct(',')) {
                break;
            }
        }
        self.at = start;
        Vec::new()
    }

    fn bodies(&mut self) -> Result<(Vec<Node>, Vec<Node>), Complaint> {
        match self.list()? {
            (body, End::Closed) => Ok((body, Vec::new())),
            (body, End::Else) => match self.list()? {
                (otherwise, End::Closed) => Ok((body, otherwise)),
                _ => self.complain("unexpected EOF"),
            },
            _ => self.complain("unexpected EOF"),
        }
    }

    fn branches(&mut self) -> Result<Node, Complaint> {
        let mut branches = Vec::new();
        loop {
            let condition = self.pipe()?;
            self.close()?;
            let (body, end) = self.list()?;
            branches.push((Some(condition), body));
            match end {
                End::ElseIf => {}
                End::Closed => return Ok(Node::If(branches)),
                End::Else => {
                    let (body, end) = self.list()?;
                    branches.push((None, body));
                    return if end == End::Closed { Ok(Node::If(branches)) } else { self.complain("unexpected EOF") };
                }
                End::Text => return self.complain("unexpected EOF"),
            }
        }
    }

    fn pipe(&mut self) -> Result<Pipe, Complaint> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return self.complain("nested too deeply");
        }
        let mut calls = vec![self.call()?];
        while self.take(&Token::Punct('|')) {
            calls.push(self.call()?);
        }
        self.depth -= 1;
        Ok(Pipe(calls))
    }

    fn call(&mut self) -> Result<Call, Complaint> {
        let first = self.term()?;
        let Some(first) = first else { return self.complain("missing value for command") };
        let mut arguments = Vec::new();
        while let Some(term) = self.term()? {
            arguments.push(term);
        }
        Ok(match first {
            Term { what: What::Function(name), fields } if fields.is_empty() => Call::Function(name, arguments),
            term => Call::Term(term, arguments),
        })
    }

    fn term(&mut self) -> Result<Option<Term>, Complaint> {
        let what = match self.peek().cloned() {
            Some(Token::Field(fields)) => {
                self.at += 1;
                return Ok(Some(Term { what: What::Dot, fields }));
            }
            Some(Token::Constant(value)) => What::Constant(value),
            Some(Token::Variable(name)) => What::Variable(name),
            Some(Token::Word(word)) => match functions::known(&word) {
                Some(name) => What::Function(name),
                None => return self.complain(format!("function \"{word}\" not defined")),
            },
            Some(Token::Punct('(')) => {
                self.at += 1;
                let pipe = self.pipe()?;
                if self.peek() != Some(&Token::Punct(')')) {
                    return self.complain("unclosed left paren");
                }
                What::Pipe(pipe)
            }
            _ => return Ok(None),
        };
        self.at += 1;
        // Fields follow without a blank, but a blank is not told apart here: `$x .y` reads as `$x.y` only for these.
        let takes =
            matches!(what, What::Pipe(_) | What::Variable(_)) || matches!(what, What::Function("__timestamp__"));
        let fields = match self.peek() {
            Some(Token::Field(fields)) if takes => {
                let fields = fields.clone();
                self.at += 1;
                fields
            }
            _ => Vec::new(),
        };
        Ok(Some(Term { what, fields }))
    }
}
