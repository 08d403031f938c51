//! The labels of the row at hand: scratch that is filled anew for every row without allocating.

use super::labels::LabelSet;
use crate::syntax::Grouping;
use bramble_signal::LabelsRef;

/// The label that holds the kind of a pipeline's error.
pub(crate) const ERROR: &str = "__error__";
/// The label that holds its text.
pub(crate) const ERROR_DETAILS: &str = "__error_details__";

/// Where a label comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Origin {
    Stream,
    Metadata,
    Parsed,
}

#[derive(Clone, Copy, Debug)]
struct Field {
    name: (u32, u32),
    value: (u32, u32),
    origin: Origin,
}

/// Labels of a stream, made once and copied for each of its rows.
#[derive(Clone, Default, Debug)]
pub(crate) struct Base {
    text: String,
    fields: Vec<Field>,
}

impl Base {
    pub(crate) fn new(labels: LabelsRef<'_>) -> Self {
        let mut fields = Fields::default();
        for (name, value) in labels.iter() {
            fields.push(name, value, Origin::Stream);
        }
        Base { text: fields.text, fields: fields.fields }
    }
}

/// See the module.
#[derive(Clone, Default, Debug)]
pub(crate) struct Fields {
    text: String,
    fields: Vec<Field>,
    changed: bool,
}

impl Fields {
    /// Starts a row.
    pub(crate) fn start(&mut self, base: &Base, metadata: LabelsRef<'_>) {
        self.text.clear();
        self.text.push_str(&base.text);
        self.fields.clear();
        self.fields.extend_from_slice(&base.fields);
        self.changed = !metadata.is_empty();
        for (name, value) in metadata.iter() {
            self.set(name, value, Origin::Metadata);
        }
    }

    /// Whether the row still has its stream's labels and no others.
    pub(crate) fn is_base(&self) -> bool {
        !self.changed
    }

    fn span(&mut self, text: &str) -> (u32, u32) {
        let start = self.text.len() as u32;
        self.text.push_str(text);
        (start, self.text.len() as u32)
    }

    fn text_of(&self, span: (u32, u32)) -> &str {
        self.text.get(span.0 as usize..span.1 as usize).unwrap_or("")
    }

    fn push(&mut self, name: &str, value: &str, origin: Origin) {
        let (name, value) = (self.span(name), self.span(value));
        self.fields.push(Field { name, value, origin });
    }

    fn position(&self, name: &str) -> Option<usize> {
        self.fields.iter().position(|f| self.text_of(f.name) == name)
    }

    /// The value under `name`.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.position(name).map(|at| self.text_of(self.fields[at].value))
    }

    /// Where the label `name` comes from.
    pub(crate) fn origin(&self, name: &str) -> Option<Origin> {
        self.position(name).map(|at| self.fields[at].origin)
    }

    /// Sets a label, which has its origin here from now on.
    pub(crate) fn set(&mut self, name: &str, value: &str, origin: Origin) {
        self.changed = true;
        match self.position(name) {
            Some(at) => {
                let value = self.span(value);
                self.fields[at].value = value;
                self.fields[at].origin = origin;
            }
            None => self.push(name, value, origin),
        }
    }

    /// Removes a label.
    pub(crate) fn remove(&mut self, name: &str) {
        if let Some(at) = self.position(name) {
            self.changed = true;
            self.fields.swap_remove(at);
        }
    }

    /// Keeps the labels for which `keep(name, value)` holds.
    pub(crate) fn retain(&mut self, keep: impl Fn(&str, &str) -> bool) {
        let before = self.fields.len();
        let text = &self.text;
        let of = |span: (u32, u32)| text.get(span.0 as usize..span.1 as usize).unwrap_or("");
        self.fields.retain(|f| keep(of(f.name), of(f.value)));
        self.changed |= self.fields.len() != before;
    }

    /// A label that a parser found: one that the stream or the metadata has already gets the suffix `_extracted`,
    /// one that a parser gave already stays as it is.
    pub(crate) fn extract(&mut self, name: &str, value: &str) {
        match self.origin(name) {
            None => {
                self.changed = true;
                self.push(name, value, Origin::Parsed);
            }
            Some(Origin::Parsed) => {}
            Some(_) => {
                let suffixed = format!("{name}_extracted");
                if self.position(&suffixed).is_none() {
                    self.changed = true;
                    self.push(&suffixed, value, Origin::Parsed);
                }
            }
        }
    }

    /// Notes an error; the first stays.
    pub(crate) fn fail(&mut self, kind: &str, details: &str) {
        self.set(ERROR, kind, Origin::Parsed);
        if !details.is_empty() {
            self.set(ERROR_DETAILS, details, Origin::Parsed);
        }
    }

    /// The kind of error of this row.
    pub(crate) fn error(&self) -> Option<&str> {
        self.get(ERROR).filter(|e| !e.is_empty())
    }

    /// All labels.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str, Origin)> {
        self.fields.iter().map(|f| (self.text_of(f.name), self.text_of(f.value), f.origin))
    }

    /// The labels as a set, all or those of one origin.
    pub(crate) fn to_set(&self, only: Option<Origin>) -> LabelSet {
        LabelSet::from_pairs(self.iter().filter(|f| only.is_none_or(|o| f.2 == o)).map(|(n, v, _)| (n, v)))
    }

    /// The labels as grouped, without empty ones.
    pub(crate) fn to_group(&self, grouping: Option<&Grouping>) -> LabelSet {
        let wanted = |name: &str| grouping.is_none_or(|g| g.names.iter().any(|n| n == name) != g.without);
        LabelSet::from_pairs(self.iter().filter(|f| wanted(f.0) && !f.1.is_empty()).map(|(n, v, _)| (n, v)))
    }

    /// Writes a key into `out` that is equal exactly for rows of the same group.
    pub(crate) fn group_key(&mut self, grouping: Option<&Grouping>, out: &mut Vec<u8>) {
        out.clear();
        match grouping {
            Some(Grouping { without: false, names }) => {
                for name in names {
                    put(out, self.get(name).unwrap_or(""));
                }
            }
            _ => {
                let text = &self.text;
                let of = |span: (u32, u32)| text.get(span.0 as usize..span.1 as usize).unwrap_or("");
                self.fields.sort_unstable_by(|a, b| of(a.name).cmp(of(b.name)));
                for field in &self.fields {
                    let name = of(field.name);
                    if grouping.is_none_or(|g| !g.names.iter().any(|n| n == name)) {
                        put(out, name);
                        put(out, of(field.value));
                    }
                }
            }
        }
    }

    /// As [`group_key`](Self::group_key) over all labels and their origins.
    pub(crate) fn full_key(&mut self, out: &mut Vec<u8>) {
        self.group_key(None, out);
    }
}

fn put(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(&(text.len() as u32).to_le_bytes());
    out.extend_from_slice(text.as_bytes());
}

/// Appends `key` to `out` as a label name: what a name may not have becomes an underscore.
pub(crate) fn sanitize(key: &str, out: &mut String) {
    let key = key.trim();
    if out.is_empty() && key.starts_with(|c: char| c.is_ascii_digit()) {
        out.push('_');
    }
    out.extend(key.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' }));
}
