//! Go's text templates, as far as `line_format` and `label_format` need them.

mod codec;
mod functions;
mod hash;
mod lexer;
mod logic;
mod math;
mod parser;
mod printf;
mod run;
mod text;
mod time;
mod uses;
mod value;

use super::fields::Fields;
use super::pipeline::Row;
use parser::Tree;
pub use text::TextTemplate;
pub(crate) use uses::Uses;

/// A template ready to run.
pub(crate) struct Template {
    tree: Tree,
    /// For complaints.
    name: String,
    /// What it looks at.
    pub(crate) uses: Uses,
}

impl Template {
    /// # Errors
    /// Go's text, with `name` as the template's.
    pub(crate) fn new(name: &str, text: &str) -> Result<Self, String> {
        let template = Self::with_hashes(name, text)?;
        if let Some(function) = template.uses.hashes {
            return Err(format!("template: {name}:1: function \"{function}\" not defined"));
        }
        Ok(template)
    }

    /// As [`new`](Self::new), with the functions that only pipelines of collected logs have.
    fn with_hashes(name: &str, text: &str) -> Result<Self, String> {
        let tree = parser::parse(text).map_err(|e| format!("template: {name}:{}: {}", e.line, e.text))?;
        let uses = Uses::of(&tree);
        Ok(Template { tree, name: name.to_owned(), uses })
    }

    /// The text for this row.
    ///
    /// # Errors
    /// What a function complained about.
    pub(crate) fn run(&self, row: &Row<'_>, fields: &Fields) -> Result<String, String> {
        run::run(&self.tree, &self.name, row, fields)
    }
}
