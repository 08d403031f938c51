//! Go's text templates, as far as `line_format` and `label_format` need them.

mod functions;
mod parser;
mod run;
mod time;
mod value;

use super::fields::Fields;
use super::pipeline::Row;
use parser::Node;

/// A template ready to run.
pub(crate) struct Template(Vec<Node>);

impl Template {
    /// # Errors
    /// Go's text, with `name` as the template's.
    pub(crate) fn new(name: &str, text: &str) -> Result<Self, String> {
        parser::parse(text).map(Template).map_err(|e| format!("template: {name}:{}: {}", e.line, e.text))
    }

    /// The text for this row.
    ///
    /// # Errors
    /// What a function complained about.
    pub(crate) fn run(&self, row: &Row<'_>, fields: &Fields) -> Result<String, String> {
        run::run(&self.0, row, fields)
    }
}
