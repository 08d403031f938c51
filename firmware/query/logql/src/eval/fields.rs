//! The labels of the row at hand: scratch that is filled anew for every row without allocating.

use super::labels::LabelSet;
use crate::syntax::Grouping;
use bramble_signal::{LabelsRef, floating_label};
use std::sync::Arc;

/// The label that holds the kind of a pipeline's error.
pub(crate) const ERROR: &str = "__error__";
/// The label that holds its text.
pub(crate) const ERROR_DETAILS: &str = "__error_details__";
/// The label that keeps `drop` and `keep` from hiding an error.
pub(crate) const PRESERVE_ERROR: &str = "__preserve_error__";
/// What a name gets whose place is taken by a label of the stream or of the metadata.
pub(crate) const SUFFIX: &str = "_extracted";

/// Where a label comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Origin {
    Stream,
    Metadata,
    Parsed,
}

/// Names of labels that somebody will look at; all others need not be made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Wanted(Vec<String>);

impl Wanted {
    /// A label `x_extracted` comes from a key `x`, so that both are wanted.
    pub(crate) fn new<'n>(names: impl IntoIterator<Item = &'n str>) -> Self {
        let mut all: Vec<String> = Vec::new();
        for name in names {
            all.extend(name.strip_suffix(SUFFIX).map(str::to_owned));
            all.push(name.to_owned());
        }
        all.sort();
        all.dedup();
        Wanted(all)
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    fn has(&self, name: &str) -> bool {
        self.0.iter().any(|n| n == name)
    }

    fn has_suffixed(&self, name: &str) -> bool {
        self.0.iter().any(|n| n.strip_suffix(SUFFIX) == Some(name))
    }

    fn has_under(&self, prefix: &str) -> bool {
        self.0.iter().any(|n| n.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('_')))
    }
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
        fields.stream(labels);
        Base { text: fields.text, fields: fields.fields }
    }
}

/// See the module.
#[derive(Clone, Default, Debug)]
pub(crate) struct Fields {
    text: String,
    fields: Vec<Field>,
    changed: bool,
    /// Names of the stream's labels, and whether one of these is gone or another's by now: their places stay taken.
    taken: Vec<(u32, u32)>,
    rewritten: bool,
    /// `None`: all.
    wanted: Option<Arc<Wanted>>,
    /// A name that is being made.
    pub(super) name: String,
}

impl Fields {
    /// Scratch that leaves out what is not wanted.
    pub(crate) fn only(wanted: Option<Arc<Wanted>>) -> Self {
        Fields { wanted, ..Fields::default() }
    }

    /// Starts a row.
    pub(crate) fn start(&mut self, base: &Base, metadata: LabelsRef<'_>) {
        self.text.clear();
        self.text.push_str(&base.text);
        self.fields.clear();
        self.fields.extend_from_slice(&base.fields);
        self.metadata(metadata);
    }

    /// Starts a row of a stream that was not seen before.
    pub(crate) fn start_at(&mut self, labels: LabelsRef<'_>, metadata: LabelsRef<'_>) {
        self.text.clear();
        self.fields.clear();
        self.stream(labels);
        self.metadata(metadata);
    }

    fn stream(&mut self, labels: LabelsRef<'_>) {
        for (name, value) in labels.iter() {
            self.push(name, value, Origin::Stream);
        }
    }

    fn metadata(&mut self, metadata: LabelsRef<'_>) {
        (self.changed, self.rewritten) = (false, false);
        self.taken.clear();
        for (name, value) in metadata.iter() {
            let (name, origin) = match floating_label(name) {
                Some(label) => (label, Origin::Stream),
                None => (name, Origin::Metadata),
            };
            if !self.wants(name) {
                continue;
            }
            self.changed = true;
            match (self.position(name), origin) {
                (None, _) => self.push(name, value, origin),
                (Some(_), Origin::Stream) => {}
                (Some(_), _) => self.push_suffixed(name, value, origin),
            }
        }
    }

    /// Notes which names the stream has, before any of them changes.
    fn rewrite(&mut self) {
        if !self.rewritten {
            self.rewritten = true;
            self.taken.extend(self.fields.iter().filter(|f| f.origin == Origin::Stream).map(|f| f.name));
        }
    }

    /// What is wanted; `None`: all.
    pub(crate) fn wanted_names(&self) -> Option<Arc<Wanted>> {
        self.wanted.clone()
    }

    /// Whether a label that a parser finds under this name is of interest.
    pub(crate) fn wants(&self, name: &str) -> bool {
        self.wanted.as_ref().is_none_or(|w| w.has(name))
    }

    /// Whether a label that begins with `prefix` and an underscore may be of interest.
    pub(crate) fn wants_under(&self, prefix: &str) -> bool {
        self.wanted.as_ref().is_none_or(|w| w.has_under(prefix))
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

    /// Adds the label under its name with the suffix, unless that is taken too.
    fn push_suffixed(&mut self, name: &str, value: &str, origin: Origin) {
        if self.wanted.as_ref().is_some_and(|w| !w.has_suffixed(name)) {
            return;
        }
        let start = self.text.len() as u32;
        self.text.push_str(name);
        self.text.push_str(SUFFIX);
        let name = (start, self.text.len() as u32);
        if self.fields.iter().all(|f| self.text_of(f.name) != self.text_of(name)) {
            self.changed = true;
            let value = self.span(value);
            self.fields.push(Field { name, value, origin });
        }
    }

    fn position(&self, name: &str) -> Option<usize> {
        self.fields.iter().position(|f| (f.name.1 - f.name.0) as usize == name.len() && self.text_of(f.name) == name)
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
                if self.fields[at].origin == Origin::Stream {
                    self.rewrite();
                }
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
            self.rewrite();
            self.fields.swap_remove(at);
        }
    }

    /// Keeps the labels for which `keep(name, value)` holds.
    pub(crate) fn retain(&mut self, keep: impl Fn(&str, &str) -> bool) {
        self.rewrite();
        let before = self.fields.len();
        let text = &self.text;
        let of = |span: (u32, u32)| text.get(span.0 as usize..span.1 as usize).unwrap_or("");
        self.fields.retain(|f| keep(of(f.name), of(f.value)));
        self.changed |= self.fields.len() != before;
    }

    /// A label that a parser found: one that the stream had or the metadata has gets the suffix, one that a parser gave
    /// already stays as it is.
    pub(crate) fn extract(&mut self, name: &str, value: &str) {
        if !self.wants(name) {
            return;
        }
        match self.origin(name) {
            None | Some(Origin::Parsed) if self.rewritten && self.taken.iter().any(|t| self.text_of(*t) == name) => {
                self.push_suffixed(name, value, Origin::Parsed);
            }
            None => {
                self.changed = true;
                self.push(name, value, Origin::Parsed);
            }
            Some(Origin::Parsed) => {}
            Some(_) => self.push_suffixed(name, value, Origin::Parsed),
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
        if grouping.is_none_or(|g| g.without) {
            let text = &self.text;
            let of = |span: (u32, u32)| text.get(span.0 as usize..span.1 as usize).unwrap_or("");
            self.fields.sort_unstable_by(|a, b| of(a.name).cmp(of(b.name)));
        }
        self.row_key(grouping, out);
    }

    /// As [`group_key`](Self::group_key), but rows of the same group may have several: of labels in another order.
    pub(crate) fn row_key(&self, grouping: Option<&Grouping>, out: &mut Vec<u8>) {
        out.clear();
        match grouping {
            Some(Grouping { without: false, names }) => {
                for name in names {
                    put(out, self.get(name).unwrap_or(""));
                }
            }
            _ => {
                for (name, value, _) in self.iter() {
                    if grouping.is_none_or(|g| !g.names.iter().any(|n| n == name)) && !value.is_empty() {
                        put(out, name);
                        put(out, value);
                    }
                }
            }
        }
    }

    /// A key that is equal exactly for rows of the same labels, empty ones included.
    pub(crate) fn full_key(&mut self, only: Option<Origin>, out: &mut Vec<u8>) {
        let text = &self.text;
        let of = |span: (u32, u32)| text.get(span.0 as usize..span.1 as usize).unwrap_or("");
        self.fields.sort_unstable_by(|a, b| of(a.name).cmp(of(b.name)));
        out.clear();
        for (name, value, origin) in self.iter() {
            if only.is_none_or(|o| o == origin) {
                put(out, name);
                put(out, value);
            }
        }
    }
}

fn put(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(&(text.len() as u32).to_le_bytes());
    out.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use bramble_signal::Labels;

    #[test]
    fn places_that_are_taken() {
        let labels = Labels::from_pairs([("app", "a"), ("host", "h")]);
        let metadata = Labels::from_pairs([("\u{1}trace_id", "t"), ("app", "m"), ("user", "u")]);
        let mut fields = Fields::default();
        fields.start(&Base::new(labels.as_ref()), metadata.as_ref());
        fields.extract("user", "x");
        fields.extract("app", "y");
        fields.extract("n", "1");
        fields.extract("n", "2");
        assert_eq!(
            fields.to_set(None).to_string(),
            r#"{app="a", app_extracted="m", host="h", n="1", trace_id="t", user="u", user_extracted="x"}"#
        );
        assert_eq!(fields.to_set(Some(Origin::Stream)).to_string(), r#"{app="a", host="h", trace_id="t"}"#);
    }

    #[test]
    fn only_what_is_wanted() {
        let labels = Labels::from_pairs([("app", "a")]);
        let wanted = Wanted::new(["app_extracted", "u_id"]);
        let mut fields = Fields::only(Some(Arc::new(wanted)));
        fields.start(&Base::new(labels.as_ref()), LabelsRef::EMPTY);
        fields.extract("app", "y");
        fields.extract("n", "1");
        assert!(fields.wants_under("u") && !fields.wants_under("v"));
        assert_eq!(fields.to_set(None).to_string(), r#"{app="a", app_extracted="y"}"#);
    }
}
