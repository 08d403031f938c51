//! Running a template.

use super::functions;
use super::parser::{Call, Node, Pipe, Term, What};
use super::value::Value;
use crate::eval::fields::Fields;
use crate::eval::pipeline::Row;

/// Longest text a template may give, bytes.
const TEXT_MAX_BYTES: usize = 1 << 20;

struct Runner<'a> {
    row: &'a Row<'a>,
    fields: &'a Fields,
    variables: Vec<(String, Value)>,
    /// What `.` is inside `with` and `range`; the labels outside.
    dot: Option<Value>,
    out: String,
}

pub(crate) fn run(nodes: &[Node], row: &Row<'_>, fields: &Fields) -> Result<String, String> {
    let mut runner = Runner { row, fields, variables: Vec::new(), dot: None, out: String::new() };
    runner.nodes(nodes)?;
    Ok(runner.out)
}

impl Runner<'_> {
    fn nodes(&mut self, nodes: &[Node]) -> Result<(), String> {
        let scope = self.variables.len();
        for node in nodes {
            self.node(node)?;
            if self.out.len() > TEXT_MAX_BYTES {
                return Err(format!("template gives more than {TEXT_MAX_BYTES} bytes"));
            }
        }
        self.variables.truncate(scope);
        Ok(())
    }

    fn node(&mut self, node: &Node) -> Result<(), String> {
        match node {
            Node::Text(text) => self.out.push_str(text),
            Node::Pipe(None, pipe) => {
                let value = self.pipe(pipe)?;
                self.out.push_str(&value.text());
            }
            Node::Pipe(Some(name), pipe) => {
                let value = self.pipe(pipe)?;
                match self.variables.iter_mut().rev().find(|(n, _)| n == name) {
                    Some(variable) => variable.1 = value,
                    None => self.variables.push((name.clone(), value)),
                }
            }
            Node::If(branches) => {
                for (condition, body) in branches {
                    let taken = match condition {
                        Some(pipe) => self.pipe(pipe)?.truth(),
                        None => true,
                    };
                    if taken {
                        return self.nodes(body);
                    }
                }
            }
            Node::With(pipe, body, otherwise) => {
                let value = self.pipe(pipe)?;
                if value.truth() {
                    let outer = self.dot.replace(value);
                    self.nodes(body)?;
                    self.dot = outer;
                } else {
                    self.nodes(otherwise)?;
                }
            }
            Node::Range { names, over, body, otherwise } => self.range(names, over, body, otherwise)?,
        }
        Ok(())
    }

    fn range(&mut self, names: &[String], over: &Pipe, body: &[Node], otherwise: &[Node]) -> Result<(), String> {
        let items: Vec<(Value, Value)> = match self.pipe(over)? {
            Value::List(list) => list.into_iter().enumerate().map(|(i, v)| (Value::Int(i as i64), v)).collect(),
            Value::Map(map) => map.into_iter().map(|(k, v)| (Value::Str(k), v)).collect(),
            Value::Nil => Vec::new(),
            other => return Err(format!("range can't iterate over {}", other.text())),
        };
        if items.is_empty() {
            return self.nodes(otherwise);
        }
        for (key, value) in items {
            let scope = self.variables.len();
            match names {
                [one] => self.variables.push((one.clone(), value.clone())),
                [first, second, ..] => {
                    self.variables.push((first.clone(), key));
                    self.variables.push((second.clone(), value.clone()));
                }
                [] => {}
            }
            let outer = self.dot.replace(value);
            self.nodes(body)?;
            self.dot = outer;
            self.variables.truncate(scope);
        }
        Ok(())
    }

    fn pipe(&mut self, pipe: &Pipe) -> Result<Value, String> {
        let mut last = None;
        for call in &pipe.0 {
            last = Some(self.call(call, last)?);
        }
        Ok(last.unwrap_or(Value::Nil))
    }

    fn call(&mut self, call: &Call, last: Option<Value>) -> Result<Value, String> {
        let (terms, name) = match call {
            Call::Function(name, terms) => (terms, Some(*name)),
            Call::Term(_, terms) => (terms, None),
        };
        let mut arguments = Vec::with_capacity(terms.len() + 1);
        for term in terms {
            arguments.push(self.term(term, &[])?);
        }
        arguments.extend(last);
        match (call, name) {
            (_, Some(name)) => self.function(name, arguments),
            (Call::Term(term, _), None) => self.term(term, &arguments),
            (Call::Function(..), None) => Ok(Value::Nil),
        }
    }

    fn function(&self, name: &str, arguments: Vec<Value>) -> Result<Value, String> {
        match name {
            "__line__" => Ok(Value::Str(self.row.text().into_owned())),
            "__timestamp__" => Ok(Value::Time(self.row.timestamp_ns)),
            _ => functions::call(name, &arguments).map_err(|e| format!("error calling {name}: {e}")),
        }
    }

    fn term(&mut self, term: &Term, arguments: &[Value]) -> Result<Value, String> {
        let start = match &term.what {
            What::Dot => match (&self.dot, term.fields.split_first()) {
                (Some(dot), _) => dot.clone(),
                (None, Some((label, rest))) => {
                    let value = Value::Str(self.fields.get(label).unwrap_or("").to_owned());
                    return follow(value, rest, arguments);
                }
                (None, None) => Value::Map(
                    self.fields.to_set(None).iter().map(|(n, v)| (n.to_owned(), Value::Str(v.to_owned()))).collect(),
                ),
            },
            What::Constant(value) => value.clone(),
            // `$` alone is what the template was given, `$x` a variable.
            What::Variable(name) if name.is_empty() => match term.fields.split_first() {
                Some((label, rest)) => {
                    let value = Value::Str(self.fields.get(label).unwrap_or("").to_owned());
                    return follow(value, rest, arguments);
                }
                None => Value::Nil,
            },
            What::Variable(name) => {
                let found = self.variables.iter().rev().find(|(n, _)| n == name);
                found.map(|(_, v)| v.clone()).ok_or_else(|| format!("undefined variable \"${name}\""))?
            }
            What::Function(name) => self.function(name, Vec::new())?,
            What::Pipe(pipe) => self.pipe(pipe)?,
        };
        follow(start, &term.fields, arguments)
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
            other => return Err(format!("can't evaluate field {field} in {}", other.text())),
        };
    }
    Ok(value)
}
