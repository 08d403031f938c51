//! `json`: values out of an object, in one pass over the text whatever the number of paths.

use super::super::chain::{Context, Flow, Stage};
use super::super::compile::Build;
use super::super::config::JsonConfig;
use super::super::entry::Entry;
use super::super::error::Fault;
use super::super::values::{Slot, Values};
use bramble_line::json::{JsonError, Raw, element, members, unescape};
use std::sync::Arc;

/// Paths as a tree, so that a member is looked at once.
#[derive(Default, Debug)]
struct Node {
    keys: Vec<(String, Node)>,
    /// Negative ones count from the end.
    indexes: Vec<(i64, Node)>,
    slots: Vec<Slot>,
}

enum Place {
    Key(String),
    Index(i64),
}

/// See the module.
#[derive(Clone)]
pub(in super::super) struct Json {
    compiled: Arc<Compiled>,
    /// The source's text, while it is read.
    text: String,
}

struct Compiled {
    root: Node,
    all: Vec<Slot>,
    source: Option<Slot>,
    drop_malformed: bool,
}

impl Json {
    pub(in super::super) fn new(config: &JsonConfig, build: &mut Build) -> Result<Self, Fault> {
        if config.expressions.is_empty() {
            return Err(Fault::of("expressions", "at least one is needed"));
        }
        let (mut root, mut all) = (Node::default(), Vec::new());
        for (name, expression) in &config.expressions {
            let slot = build.slot("expressions", name)?;
            all.push(slot);
            let places = match expression.as_deref().filter(|e| !e.is_empty()) {
                Some(expression) => path(expression).map_err(|e| Fault::of("expressions", e))?,
                None => vec![Place::Key(name.clone())],
            };
            root.insert(places, slot);
        }
        let source = build.source(config.source.as_ref())?;
        let compiled = Compiled { root, all, source, drop_malformed: config.drop_malformed };
        Ok(Json { compiled: Arc::new(compiled), text: String::new() })
    }
}

impl Stage for Json {
    fn run(&mut self, entry: &mut Entry, context: &mut Context<'_>) -> Flow {
        let compiled = &self.compiled;
        let read = |text: &str, values: &mut Values| {
            let outcome = compiled.root.read_line(text, values);
            if outcome.is_err() {
                compiled.all.iter().for_each(|slot| values.forget(*slot));
            }
            outcome.is_ok()
        };
        let good = match compiled.source {
            None => match entry.text_and_values() {
                (Some(text), values) => read(text, values),
                (None, _) => false,
            },
            Some(slot) => {
                self.text.clear();
                match entry.value(slot) {
                    Some(value) => self.text.push_str(value),
                    None => return context.fail(),
                }
                read(&self.text, &mut entry.values)
            }
        };
        match (good, compiled.drop_malformed) {
            (true, _) => Flow::On,
            (false, true) => Flow::Dropped,
            (false, false) => context.fail(),
        }
    }

    fn fork(&self) -> Box<dyn Stage> {
        Box::new(Json { compiled: self.compiled.clone(), text: String::new() })
    }
}

impl Node {
    fn insert(&mut self, places: Vec<Place>, slot: Slot) {
        let mut node = self;
        for place in places {
            node = match place {
                Place::Key(key) => child(&mut node.keys, key),
                Place::Index(index) => child(&mut node.indexes, index),
            };
        }
        node.slots.push(slot);
    }

    fn read_line(&self, text: &str, values: &mut Values) -> Result<(), JsonError> {
        if text.trim_start().starts_with('[') {
            return self.read(Raw::Array(text.trim_start()), values);
        }
        self.members(text, values)
    }

    fn members(&self, text: &str, values: &mut Values) -> Result<(), JsonError> {
        for member in members(text) {
            let (key, value) = member?;
            let found = if key.as_bytes().contains(&b'\\') {
                let key = unescape(key);
                self.keys.iter().find(|(wanted, _)| *wanted == key)
            } else {
                self.keys.iter().find(|(wanted, _)| wanted == key)
            };
            if let Some((_, node)) = found {
                node.read(value, values)?;
            }
        }
        Ok(())
    }

    fn read(&self, value: Raw<'_>, values: &mut Values) -> Result<(), JsonError> {
        for slot in &self.slots {
            put(*slot, value, values);
        }
        match value {
            Raw::Object(text) if !self.keys.is_empty() => self.members(text, values)?,
            Raw::Array(text) => {
                for (index, node) in &self.indexes {
                    if let Some(found) = at(text, *index)? {
                        node.read(found, values)?;
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }
}

fn child<K: PartialEq>(children: &mut Vec<(K, Node)>, key: K) -> &mut Node {
    let at = children.iter().position(|(k, _)| *k == key).unwrap_or(children.len());
    if at == children.len() {
        children.push((key, Node::default()));
    }
    &mut children[at].1
}

/// An element, from the end for a negative index.
fn at(text: &str, index: i64) -> Result<Option<Raw<'_>>, JsonError> {
    if let Ok(index) = usize::try_from(index) {
        return element(text, index);
    }
    let mut all = Vec::new();
    while let Some(found) = element(text, all.len())? {
        all.push(found);
        // Counting from the end of a long array would read it again and again.
        if all.len() > 1000 {
            return Ok(None);
        }
    }
    let from_end = usize::try_from(index.unsigned_abs()).unwrap_or(usize::MAX);
    Ok(all.len().checked_sub(from_end).and_then(|at| all.get(at).copied()))
}

/// Texts without escapes, numbers as Go prints them, objects and arrays as they stand.
fn put(slot: Slot, value: Raw<'_>, values: &mut Values) {
    match value {
        Raw::Str(text) if text.as_bytes().contains(&b'\\') => values.set(slot, &unescape(text)),
        Raw::Str(text) | Raw::Object(text) | Raw::Array(text) => values.set(slot, text),
        Raw::Plain(text) => match shortest(text) {
            Some(number) => values.set(slot, &number),
            None => values.set(slot, text),
        },
        Raw::Null => values.remove(slot),
    }
}

/// A number that is not written in the shortest way, in that way: `1.50`, `1e3`.
fn shortest(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let exponent = bytes.first().is_some_and(|b| *b != b't' && *b != b'f') && bytes.iter().any(|b| b | 0x20 == b'e');
    let zeros = bytes.last() == Some(&b'0') && bytes.contains(&b'.');
    if !exponent && !zeros {
        return None;
    }
    let number: f64 = text.parse().ok()?;
    number.is_finite().then(|| number.to_string())
}

/// Reads a path: names, `"quoted names"` and `[indexes]`.
fn path(text: &str) -> Result<Vec<Place>, String> {
    let refuse = |what: &str| {
        Err(format!("{what}; of JMESPath, names, \"quoted names\" and [indexes] joined by dots are served: {text}"))
    };
    let mut places = Vec::new();
    let mut rest = text.trim();
    loop {
        if let Some(quoted) = rest.strip_prefix('"') {
            let Some(end) = closing(quoted) else { return refuse("a quoted name does not end") };
            places.push(Place::Key(unescape(quoted.get(..end).unwrap_or("")).into_owned()));
            rest = quoted.get(end + 1..).unwrap_or("");
        } else if !rest.starts_with('[') {
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
            let name = rest.get(..end).unwrap_or("");
            if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
                return refuse("a name is expected (quote one that has other characters)");
            }
            places.push(Place::Key(name.to_owned()));
            rest = rest.get(end..).unwrap_or("");
        }
        while let Some(tail) = rest.strip_prefix('[') {
            let Some((index, after)) = tail.split_once(']') else { return refuse("an index does not end") };
            let Ok(index) = index.trim().parse() else { return refuse("not an index") };
            places.push(Place::Index(index));
            rest = after;
        }
        if rest.is_empty() {
            return Ok(places);
        }
        match rest.strip_prefix('.') {
            Some(tail) if !tail.is_empty() && !tail.starts_with('[') => rest = tail,
            _ => return refuse("unexpected text"),
        }
    }
}

/// Where a quoted name ends.
fn closing(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.bytes().position(|b| {
        let ends = b == b'"' && !escaped;
        escaped = b == b'\\' && !escaped;
        ends
    })
}
