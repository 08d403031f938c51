//! What a template looks at.

use super::parser::{Call, Callee, Node, Pipe, Term, Tree, What};

/// See the module.
#[derive(Default, Debug)]
pub(crate) struct Uses {
    /// Names of labels that it may look at, and perhaps others.
    pub(crate) names: Vec<String>,
    /// Whether it may look at any label.
    pub(crate) all: bool,
    /// Whether it looks at the line or at a time.
    pub(crate) row: bool,
    /// A function that LogQL does not have.
    pub(crate) hashes: Option<&'static str>,
}

impl Uses {
    pub(super) fn of(tree: &Tree) -> Self {
        let mut uses = Uses::default();
        uses.nodes(&tree.nodes, true);
        for (_, nodes) in &tree.defined {
            uses.nodes(nodes, true);
        }
        uses
    }

    /// `labels`: whether `.` is the labels here.
    fn nodes(&mut self, nodes: &[Node], labels: bool) {
        for node in nodes {
            match node {
                Node::Text(_) | Node::Break | Node::Continue => {}
                Node::Print(pipe) | Node::Set { pipe, .. } => self.pipe(pipe, labels),
                Node::If(pipe, body, otherwise) => {
                    self.pipe(pipe, labels);
                    self.nodes(body, labels);
                    self.nodes(otherwise, labels);
                }
                Node::With { pipe, body, otherwise, .. } | Node::Range { over: pipe, body, otherwise, .. } => {
                    self.pipe(pipe, labels);
                    self.nodes(body, false);
                    self.nodes(otherwise, labels);
                }
                Node::Template(_, pipe) => pipe.iter().for_each(|pipe| self.pipe(pipe, labels)),
            }
        }
    }

    fn pipe(&mut self, pipe: &Pipe, labels: bool) {
        for Call { what, arguments, .. } in &pipe.0 {
            match what {
                Callee::Function(name) => self.function(name),
                Callee::Term(term) => self.term(term, labels),
            }
            arguments.iter().for_each(|term| self.term(term, labels));
        }
    }

    fn function(&mut self, name: &'static str) {
        if matches!(name, "Hash" | "Sha2Hash") {
            self.hashes = Some(name);
        }
        self.row |= matches!(name, "__line__" | "__timestamp__" | "now");
    }

    fn term(&mut self, term: &Term, labels: bool) {
        match &term.what {
            What::Dot => match term.fields.first() {
                Some(name) => self.names.push(name.clone()),
                None => self.all |= labels,
            },
            What::Variable(name) if name.is_empty() => match term.fields.first() {
                Some(name) => self.names.push(name.clone()),
                None => self.all = true,
            },
            What::Function(name) => self.function(name),
            What::Pipe(pipe) => self.pipe(pipe, labels),
            What::Constant(_) | What::Variable(_) => {}
        }
    }
}
