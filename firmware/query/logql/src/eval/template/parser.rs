//! Template text to nodes.

use super::functions;
pub(crate) use super::lexer::Complaint;
use super::lexer::{Placed, Token, line_of, tokens};
use super::value::Value;

/// A template with those it defines.
pub(crate) struct Tree {
    pub(crate) nodes: Vec<Node>,
    pub(crate) defined: Vec<(String, Vec<Node>)>,
}

/// What a template is made of.
pub(crate) enum Node {
    Text(String),
    /// Prints the value.
    Print(Pipe),
    /// `$x := …`, or with `=` if not `declare`.
    Set {
        name: String,
        declare: bool,
        pipe: Pipe,
    },
    If(Pipe, Vec<Node>, Vec<Node>),
    With {
        name: Option<String>,
        pipe: Pipe,
        body: Vec<Node>,
        otherwise: Vec<Node>,
    },
    Range {
        names: Vec<String>,
        over: Pipe,
        body: Vec<Node>,
        otherwise: Vec<Node>,
    },
    Break,
    Continue,
    /// `{{template "name" pipe}}`
    Template(String, Option<Pipe>),
}

/// Calls joined by bars: each is given the value of the one before as its last argument.
pub(crate) struct Pipe(pub(crate) Vec<Call>);

/// A value, or a function with its arguments.
pub(crate) struct Call {
    pub(crate) what: Callee,
    pub(crate) arguments: Vec<Term>,
    /// Where it stands, for complaints: `line:column`, and its text.
    pub(crate) place: (String, String),
}

pub(crate) enum Callee {
    Function(&'static str),
    /// A term; the arguments are those of a method, `.Format "15:04"`.
    Term(Term),
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

/// Deepest nesting.
const DEPTH_MAX: usize = 64;

struct Parser<'a> {
    text: &'a str,
    tokens: Vec<Placed>,
    at: usize,
    depth: usize,
    loops: usize,
    /// Variables in scope.
    variables: Vec<String>,
    defined: Vec<(String, Vec<Node>)>,
}

pub(crate) fn parse(text: &str) -> Result<Tree, Complaint> {
    let tokens = tokens(text)?;
    let mut parser = Parser { text, tokens, at: 0, depth: 0, loops: 0, variables: Vec::new(), defined: Vec::new() };
    let (nodes, end) = parser.list()?;
    match end {
        End::Text => Ok(Tree { nodes, defined: parser.defined }),
        End::Else | End::ElseIf | End::ElseWith => parser.complain("unexpected {{else}}"),
        End::Closed => parser.complain("unexpected {{end}}"),
    }
}

#[derive(PartialEq)]
enum End {
    Text,
    Else,
    /// `{{else if`, the condition is next.
    ElseIf,
    /// `{{else with`
    ElseWith,
    Closed,
}

impl Parser<'_> {
    fn complain<T>(&self, text: impl Into<String>) -> Result<T, Complaint> {
        let at = self.tokens.get(self.at).or(self.tokens.last()).map_or(0, |t| t.at);
        Err(Complaint { line: line_of(self.text, at), text: text.into() })
    }

    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at).map(|t| &t.token)
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
        let scope = self.variables.len();
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
                    if let Some(end) = self.end()? {
                        break end;
                    }
                    if self.take(&Token::Close) {
                        return self.complain("missing value for command");
                    }
                    nodes.extend(self.action()?);
                }
            }
        };
        self.variables.truncate(scope);
        self.depth -= 1;
        Ok((nodes, end))
    }

    /// Whether the action that opens here ends a list.
    fn end(&mut self) -> Result<Option<End>, Complaint> {
        if self.take_word("end") {
            self.close()?;
            return Ok(Some(End::Closed));
        }
        if !self.take_word("else") {
            return Ok(None);
        }
        if self.take_word("if") {
            return Ok(Some(End::ElseIf));
        }
        if self.take_word("with") {
            return Ok(Some(End::ElseWith));
        }
        self.close()?;
        Ok(Some(End::Else))
    }

    fn action(&mut self) -> Result<Option<Node>, Complaint> {
        if self.take_word("if") {
            return self.branch().map(Some);
        }
        if self.take_word("with") {
            return self.with().map(Some);
        }
        if self.take_word("range") {
            return self.range().map(Some);
        }
        for (word, node) in [("break", Node::Break), ("continue", Node::Continue)] {
            if self.take_word(word) {
                if self.loops == 0 {
                    return self.complain(format!("{{{{{word}}}}} outside {{{{range}}}}"));
                }
                self.close()?;
                return Ok(Some(node));
            }
        }
        if self.take_word("define") {
            let name = self.name("define clause")?;
            self.close()?;
            self.define(name)?;
            return Ok(None);
        }
        let block = self.take_word("block");
        if block || self.take_word("template") {
            let name = self.name(if block { "block clause" } else { "template clause" })?;
            let pipe = if self.peek() == Some(&Token::Close) { None } else { Some(self.pipe()?) };
            self.close()?;
            if block {
                self.define(name.clone())?;
            }
            return Ok(Some(Node::Template(name, pipe)));
        }
        let set = self.assignment()?;
        let pipe = self.pipe()?;
        self.close()?;
        Ok(Some(match set {
            Some((name, declare)) => {
                if declare {
                    self.variables.push(name.clone());
                }
                Node::Set { name, declare, pipe }
            }
            None => Node::Print(pipe),
        }))
    }

    fn name(&mut self, place: &str) -> Result<String, Complaint> {
        match self.peek().cloned() {
            Some(Token::Constant(Value::Str(name))) => {
                self.at += 1;
                Ok(name)
            }
            _ => self.complain(format!("unexpected token in {place}")),
        }
    }

    /// The body of a template of its own, which sees no variables from outside.
    fn define(&mut self, name: String) -> Result<(), Complaint> {
        let (outer, loops) = (std::mem::take(&mut self.variables), std::mem::take(&mut self.loops));
        let (nodes, end) = self.list()?;
        (self.variables, self.loops) = (outer, loops);
        if end != End::Closed {
            return self.complain("unexpected EOF");
        }
        self.defined.push((name, nodes));
        Ok(())
    }

    /// `$a :=` or `$a =`; nothing is read when there is no assignment.
    fn assignment(&mut self) -> Result<Option<(String, bool)>, Complaint> {
        let Some(Token::Variable(name)) = self.peek().cloned() else { return Ok(None) };
        let declare = match self.tokens.get(self.at + 1).map(|t| &t.token) {
            Some(Token::Declare) => true,
            Some(Token::Assign) => false,
            _ => return Ok(None),
        };
        if !declare && !self.variables.contains(&name) {
            return self.complain(format!("undefined variable \"${name}\""));
        }
        self.at += 2;
        Ok(Some((name, declare)))
    }

    /// `$a :=` or `$a, $b :=` of a range.
    fn names(&mut self) -> Vec<String> {
        let start = self.at;
        let mut names = Vec::new();
        while let Some(Token::Variable(name)) = self.peek() {
            names.push(name.clone());
            self.at += 1;
            if self.take(&Token::Declare) || self.take(&Token::Assign) {
                return names;
            }
            if !self.take(&Token::Punct(',')) {
                break;
            }
        }
        self.at = start;
        Vec::new()
    }

    fn branch(&mut self) -> Result<Node, Complaint> {
        let scope = self.variables.len();
        let set = self.assignment()?;
        let condition = self.pipe()?;
        self.close()?;
        self.variables.extend(set.as_ref().filter(|s| s.1).map(|s| s.0.clone()));
        let (body, otherwise) = self.bodies()?;
        self.variables.truncate(scope);
        Ok(match set {
            // What the condition declares is seen inside only.
            Some((name, true)) => {
                let term = Term { what: What::Variable(name.clone()), fields: Vec::new() };
                let call =
                    Call { what: Callee::Term(term), arguments: Vec::new(), place: (String::new(), String::new()) };
                let inner = Node::If(Pipe(vec![call]), body, otherwise);
                let declare = Node::Set { name, declare: true, pipe: condition };
                let always = Term { what: What::Constant(Value::Bool(true)), fields: Vec::new() };
                let call =
                    Call { what: Callee::Term(always), arguments: Vec::new(), place: (String::new(), String::new()) };
                Node::If(Pipe(vec![call]), vec![declare, inner], Vec::new())
            }
            _ => Node::If(condition, body, otherwise),
        })
    }

    fn with(&mut self) -> Result<Node, Complaint> {
        let scope = self.variables.len();
        let name = self.assignment()?.map(|s| s.0);
        let pipe = self.pipe()?;
        self.close()?;
        self.variables.extend(name.clone());
        let (body, otherwise) = self.bodies()?;
        self.variables.truncate(scope);
        Ok(Node::With { name, pipe, body, otherwise })
    }

    fn range(&mut self) -> Result<Node, Complaint> {
        let scope = self.variables.len();
        let names = self.names();
        let over = self.pipe()?;
        self.close()?;
        self.variables.extend(names.iter().cloned());
        self.loops += 1;
        let bodies = self.bodies();
        self.loops -= 1;
        let (body, otherwise) = bodies?;
        self.variables.truncate(scope);
        Ok(Node::Range { names, over, body, otherwise })
    }

    fn bodies(&mut self) -> Result<(Vec<Node>, Vec<Node>), Complaint> {
        let (body, end) = self.list()?;
        match end {
            End::Closed => Ok((body, Vec::new())),
            End::Else => match self.list()? {
                (otherwise, End::Closed) => Ok((body, otherwise)),
                (_, End::Text) => self.complain("unexpected EOF"),
                _ => self.complain("expected end; found {{else}}"),
            },
            // Its own `end` is the one of all.
            End::ElseIf | End::ElseWith => {
                self.depth += 1;
                if self.depth > DEPTH_MAX {
                    return self.complain("nested too deeply");
                }
                let inner = if end == End::ElseIf { self.branch()? } else { self.with()? };
                self.depth -= 1;
                Ok((body, vec![inner]))
            }
            End::Text => self.complain("unexpected EOF"),
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
        let start = self.at;
        let first = self.term()?;
        let Some(first) = first else { return self.complain("missing value for command") };
        let mut arguments = Vec::new();
        while let Some(term) = self.term()? {
            arguments.push(term);
        }
        let what = match first {
            Term { what: What::Function(name), fields } if fields.is_empty() => Callee::Function(name),
            term => Callee::Term(term),
        };
        Ok(Call { what, arguments, place: self.place(start) })
    }

    /// Line, column from 0 and text of what began at token `start` and ended before this one.
    fn place(&self, start: usize) -> (String, String) {
        let from = self.tokens.get(start).map_or(0, |t| t.at);
        let to = self.at.checked_sub(1).and_then(|last| self.tokens.get(last)).map_or(from, |t| t.end);
        let column = from - self.text.get(..from).and_then(|t| t.rfind('\n')).map_or(0, |at| at + 1);
        let text = self.text.get(from..to).unwrap_or("").split_whitespace().collect::<Vec<_>>().join(" ");
        (format!("{}:{column}", line_of(self.text, from)), text)
    }

    fn term(&mut self) -> Result<Option<Term>, Complaint> {
        let what = match self.peek().cloned() {
            Some(Token::Field(fields)) => {
                self.at += 1;
                return Ok(Some(Term { what: What::Dot, fields }));
            }
            Some(Token::Constant(value)) => What::Constant(value),
            Some(Token::Variable(name)) if name.is_empty() || self.variables.contains(&name) => What::Variable(name),
            Some(Token::Variable(name)) => return self.complain(format!("undefined variable \"${name}\"")),
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
        let end = self.tokens.get(self.at).map(|t| t.end);
        self.at += 1;
        // Fields of it follow without a blank.
        let fields = match self.tokens.get(self.at) {
            Some(Placed { token: Token::Field(fields), at, .. }) if Some(*at) == end => {
                let fields = fields.clone();
                self.at += 1;
                fields
            }
            _ => Vec::new(),
        };
        Ok(Some(Term { what, fields }))
    }
}
