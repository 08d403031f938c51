//! Running a template.

use super::functions;
use super::parser::{Call, Callee, Node, Pipe, Term, Tree, What};
use super::value::Value;
use crate::eval::fields::Fields;
use crate::eval::pipeline::Row;

/// Longest text a template may give, bytes.
const TEXT_MAX_BYTES: usize = 1 << 20;
/// Rounds of all loops together, and templates inside templates.
const ROUNDS_MAX: usize = 100_000;
const TEMPLATES_MAX: usize = 32;

struct Runner<'a> {
    tree: &'a Tree,
    row: &'a Row<'a>,
    fields: &'a Fields,
    variables: Vec<(&'a str, Value)>,
    /// What `.` is inside `with` and `range`; the labels outside.
    dot: Option<Value>,
    out: String,
    rounds: usize,
    depth: usize,
    /// The template's name, for complaints.
    name: &'a str,
}

/// What follows a node.
enum Flow {
    On,
    Break,
    Continue,
}

pub(crate) fn run(tree: &Tree, name: &str, row: &Row<'_>, fields: &Fields) -> Result<String, String> {
    let variables = Vec::new();
    let mut runner = Runner { tree, row, fields, variables, dot: None, out: String::new(), rounds: 0, depth: 0, name };
    runner.nodes(&tree.nodes)?;
    Ok(runner.out)
}

impl<'a> Runner<'a> {
    fn nodes(&mut self, nodes: &'a [Node]) -> Result<Flow, String> {
        let scope = self.variables.len();
        for node in nodes {
            let flow = self.node(node)?;
            if self.out.len() > TEXT_MAX_BYTES {
                return Err(format!("template gives more than {TEXT_MAX_BYTES} bytes"));
            }
            if !matches!(flow, Flow::On) {
                self.variables.truncate(scope);
                return Ok(flow);
            }
        }
        self.variables.truncate(scope);
        Ok(Flow::On)
    }

    fn node(&mut self, node: &'a Node) -> Result<Flow, String> {
        match node {
            Node::Text(text) => self.out.push_str(text),
            Node::Print(pipe) => self.print(pipe)?,
            Node::Set { name, declare, pipe } => {
                let value = self.pipe(pipe)?;
                match self.variables.iter_mut().rev().find(|(n, _)| n == name) {
                    Some(variable) if !declare => variable.1 = value,
                    _ => self.variables.push((name, value)),
                }
            }
            Node::If(condition, body, otherwise) => {
                let taken = self.pipe(condition)?.truth();
                return self.nodes(if taken { body } else { otherwise });
            }
            Node::With { name, pipe, body, otherwise } => {
                let value = self.pipe(pipe)?;
                let scope = self.variables.len();
                self.variables.extend(name.as_deref().map(|n| (n, value.clone())));
                let flow = if value.truth() {
                    let outer = self.dot.replace(value);
                    let flow = self.nodes(body)?;
                    self.dot = outer;
                    flow
                } else {
                    self.nodes(otherwise)?
                };
                self.variables.truncate(scope);
                return Ok(flow);
            }
            Node::Range { names, over, body, otherwise } => return self.range(names, over, body, otherwise),
            Node::Break => return Ok(Flow::Break),
            Node::Continue => return Ok(Flow::Continue),
            Node::Template(name, pipe) => self.template(name, pipe.as_ref())?,
        }
        Ok(Flow::On)
    }

    /// Prints a value; a label alone, which most are, without making a value of it.
    fn print(&mut self, pipe: &'a Pipe) -> Result<(), String> {
        if let (None, [Call { what: Callee::Term(term), arguments, .. }]) = (&self.dot, pipe.0.as_slice())
            && let (What::Dot, [label], true) = (&term.what, term.fields.as_slice(), arguments.is_empty())
        {
            self.out.push_str(self.fields.get(label).unwrap_or(""));
            return Ok(());
        }
        let value = self.pipe(pipe)?;
        self.out.push_str(&value.text());
        Ok(())
    }

    fn template(&mut self, name: &str, pipe: Option<&'a Pipe>) -> Result<(), String> {
        let tree = self.tree;
        let Some((_, nodes)) = tree.defined.iter().rev().find(|(n, _)| n == name) else {
            return Err(format!("template \"{name}\" not defined"));
        };
        self.depth += 1;
        if self.depth > TEMPLATES_MAX {
            return Err("exceeded maximum template depth".to_owned());
        }
        let given = match pipe {
            None => Some(Value::Nil),
            // The labels stay what they are.
            Some(pipe) if self.dot.is_none() && is_dot(pipe) => None,
            Some(pipe) => Some(self.pipe(pipe)?),
        };
        let outer = std::mem::replace(&mut self.dot, given);
        let variables = std::mem::take(&mut self.variables);
        self.nodes(nodes)?;
        (self.dot, self.variables) = (outer, variables);
        self.depth -= 1;
        Ok(())
    }

    fn range(
        &mut self,
        names: &'a [String],
        over: &'a Pipe,
        body: &'a [Node],
        otherwise: &'a [Node],
    ) -> Result<Flow, String> {
        let items: Vec<(Value, Value)> = match self.pipe(over)? {
            Value::List(list) => list.into_iter().enumerate().map(|(i, v)| (Value::Int(i as i64), v)).collect(),
            Value::Map(map) => map.into_iter().map(|(k, v)| (Value::Str(k), v)).collect(),
            Value::Int(n) => (0..n.clamp(0, ROUNDS_MAX as i64)).map(|i| (Value::Int(i), Value::Int(i))).collect(),
            Value::Nil => Vec::new(),
            other => return Err(format!("range can't iterate over {}", other.text())),
        };
        if items.is_empty() {
            return self.nodes(otherwise);
        }
        for (key, value) in items {
            self.rounds += 1;
            if self.rounds > ROUNDS_MAX {
                return Err(format!("template loops more than {ROUNDS_MAX} times"));
            }
            let scope = self.variables.len();
            match names {
                [one] => self.variables.push((one, value.clone())),
                [first, second, ..] => {
                    self.variables.push((first, key));
                    self.variables.push((second, value.clone()));
                }
                [] => {}
            }
            let outer = self.dot.replace(value);
            let flow = self.nodes(body)?;
            self.dot = outer;
            self.variables.truncate(scope);
            if matches!(flow, Flow::Break) {
                break;
            }
        }
        Ok(Flow::On)
    }

    fn pipe(&mut self, pipe: &'a Pipe) -> Result<Value, String> {
        let mut last = None;
        for call in &pipe.0 {
            last = Some(self.call(call, last)?);
        }
        Ok(last.unwrap_or(Value::Nil))
    }

    fn call(&mut self, call: &'a Call, last: Option<Value>) -> Result<Value, String> {
        let placed = |e: String, name: &str| {
            let (at, text) = &call.place;
            if e.starts_with("template: ") {
                e
            } else {
                format!("template: {name}:{at}: executing \"{name}\" at <{text}>: {e}")
            }
        };
        let name = self.name;
        if let Callee::Function(function @ ("and" | "or")) = &call.what {
            return self.shortcut(*function == "or", &call.arguments, last);
        }
        let mut arguments = Vec::with_capacity(call.arguments.len() + 1);
        for term in &call.arguments {
            arguments.push(self.term(term, &[]).map_err(|e| placed(e, name))?);
        }
        arguments.extend(last);
        let outcome = match &call.what {
            Callee::Function(function) => self.function(function, &arguments),
            Callee::Term(term) => self.term(term, &arguments),
        };
        outcome.map_err(|e| placed(e, name))
    }

    /// The first argument that decides, or the last; those behind it are not evaluated.
    fn shortcut(&mut self, until: bool, terms: &'a [Term], last: Option<Value>) -> Result<Value, String> {
        let mut value = Value::Nil;
        for term in terms {
            value = self.term(term, &[])?;
            if value.truth() == until {
                return Ok(value);
            }
        }
        Ok(last.unwrap_or(value))
    }

    fn function(&self, name: &str, arguments: &[Value]) -> Result<Value, String> {
        match name {
            "__line__" => Ok(Value::Str(self.row.text().into_owned())),
            "__timestamp__" => Ok(Value::Time(self.row.timestamp_ns)),
            _ => functions::call(name, arguments).map_err(|e| format!("error calling {name}: {e}")),
        }
    }

    fn label(&self, name: &str) -> Value {
        Value::Str(self.fields.get(name).unwrap_or("").to_owned())
    }

    fn labels(&self) -> Value {
        let all = self.fields.to_set(None);
        Value::Map(all.iter().map(|(n, v)| (n.to_owned(), Value::Str(v.to_owned()))).collect())
    }

    fn term(&mut self, term: &'a Term, arguments: &[Value]) -> Result<Value, String> {
        let start = match &term.what {
            What::Dot => match (&self.dot, term.fields.split_first()) {
                (Some(dot), _) => dot.clone(),
                (None, Some((label, rest))) => return follow(self.label(label), rest, arguments),
                (None, None) => self.labels(),
            },
            What::Constant(value) => value.clone(),
            // `$` alone is what the template was given, `$x` a variable.
            What::Variable(name) if name.is_empty() => match term.fields.split_first() {
                Some((label, rest)) => return follow(self.label(label), rest, arguments),
                None => self.labels(),
            },
            What::Variable(name) => {
                let found = self.variables.iter().rev().find(|(n, _)| n == name);
                found.map(|(_, v)| v.clone()).ok_or_else(|| format!("undefined variable \"${name}\""))?
            }
            What::Function(name) => self.function(name, &[])?,
            What::Pipe(pipe) => self.pipe(pipe)?,
        };
        follow(start, &term.fields, arguments)
    }
}

fn is_dot(pipe: &Pipe) -> bool {
    match pipe.0.as_slice() {
        [Call { what: Callee::Term(term), arguments, .. }] => {
            let whole = match &term.what {
                What::Dot => true,
                What::Variable(name) => name.is_empty(),
                _ => false,
            };
            whole && term.fields.is_empty() && arguments.is_empty()
        }
        _ => false,
    }
}

/// Takes fields of maps, and calls the methods of times.
fn follow(start: Value, fields: &[String], arguments: &[Value]) -> Result<Value, String> {
    let mut value = start;
    for (i, field) in fields.iter().enumerate() {
        let arguments = if i + 1 == fields.len() { arguments } else { &[] };
        value = match value {
            Value::Map(members) => members.into_iter().find(|(k, _)| k == field).map_or(Value::Nil, |(_, v)| v),
            Value::Time(ns) => super::time::method(ns, field, arguments)?,
            Value::Nil => Value::Nil,
            other => return Err(format!("can't evaluate field {field} in type {}", other.type_name())),
        };
    }
    Ok(value)
}
