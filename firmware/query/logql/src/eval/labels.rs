//! Label sets of answers. Unlike a stream's labels they may have empty values: a parser found a key without one.

use std::fmt;

/// Names and values, ascending and unique by name.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct LabelSet(Vec<(String, String)>);

impl LabelSet {
    /// A set from pairs in any order; of a name that repeats the first stays.
    pub fn from_pairs<N: Into<String>, V: Into<String>>(pairs: impl IntoIterator<Item = (N, V)>) -> Self {
        let mut all: Vec<(String, String)> = pairs.into_iter().map(|(n, v)| (n.into(), v.into())).collect();
        all.sort_by(|a, b| a.0.cmp(&b.0));
        all.dedup_by(|a, b| a.0 == b.0);
        LabelSet(all)
    }

    /// Pairs, ascending by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(n, v)| (n.as_str(), v.as_str()))
    }

    /// The value under `name`.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.binary_search_by(|(n, _)| n.as_str().cmp(name)).ok().map(|at| self.0[at].1.as_str())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Sets a label; an empty value removes it.
    pub fn set(&mut self, name: &str, value: &str) {
        match self.0.binary_search_by(|(n, _)| n.as_str().cmp(name)) {
            Ok(at) if value.is_empty() => {
                self.0.remove(at);
            }
            Ok(at) => self.0[at].1 = value.to_owned(),
            Err(_) if value.is_empty() => {}
            Err(at) => self.0.insert(at, (name.to_owned(), value.to_owned())),
        }
    }

    /// Keeps the labels for which `keep(name)` holds.
    pub fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        self.0.retain(|(n, _)| keep(n));
    }

    /// Memory, bytes, roughly.
    pub fn memory_bytes(&self) -> usize {
        self.0.iter().map(|(n, v)| n.len() + v.len() + size_of::<(String, String)>()).sum()
    }
}

impl fmt::Display for LabelSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (i, (name, value)) in self.iter().enumerate() {
            let comma = if i > 0 { ", " } else { "" };
            write!(f, "{comma}{name}={}", crate::syntax::quote(value))?;
        }
        f.write_str("}")
    }
}
