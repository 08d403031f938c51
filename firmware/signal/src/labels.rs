//! Label sets: the identity of a series or stream.
//!
//! A set is one run of bytes: for each label, in ascending order of name, `varint length, name, varint
//! length, value`. Names are unique and not empty; a label with an empty value is the same as no label and is
//! not kept (Prometheus' data model). Names and values are UTF-8. Two sets are equal exactly when their bytes
//! are, so they hash and compare for equality without decoding.

use crate::bytes::{put_bytes, put_varint, take_bytes};
use smallvec::SmallVec;
use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

/// A borrowed label set, for instance inside a batch's arena.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct LabelsRef<'a>(&'a [u8]);

/// An owned, shared label set. Cloning costs one reference count.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Labels(Arc<[u8]>);

/// Iterator over `(name, value)` in ascending order of name.
#[derive(Clone)]
pub struct Pairs<'a>(&'a [u8]);

impl<'a> Iterator for Pairs<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        let name = take_bytes(&mut self.0)?;
        let value = take_bytes(&mut self.0)?;
        // Construction checked the encoding; a damaged set ends early rather than panics.
        Some((std::str::from_utf8(name).ok()?, std::str::from_utf8(value).ok()?))
    }
}

/// Iterator over `(name, value)` as bytes, in ascending order of name.
#[derive(Clone)]
pub struct BytePairs<'a>(&'a [u8]);

impl<'a> Iterator for BytePairs<'a> {
    type Item = (&'a [u8], &'a [u8]);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        Some((take_bytes(&mut self.0)?, take_bytes(&mut self.0)?))
    }
}

impl<'a> LabelsRef<'a> {
    /// The empty set.
    pub const EMPTY: LabelsRef<'static> = LabelsRef(&[]);

    /// Wraps bytes that [`encode`], [`encode_sorted`] or [`LabelsRef::as_bytes`] produced in this process.
    pub fn from_encoded(bytes: &'a [u8]) -> Self {
        LabelsRef(bytes)
    }

    /// Checks bytes that came from disk or network: whole pairs, UTF-8, names ascending, unique, not empty,
    /// values not empty. `None` when anything is off.
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (mut rest, mut last): (_, &[u8]) = (bytes, &[]);
        // One look at all of it, lengths too, is cheaper than one at each name and value.
        let is_ascii = bytes.is_ascii();
        while !rest.is_empty() {
            let (name, value) = (take_bytes(&mut rest)?, take_bytes(&mut rest)?);
            // UTF-8 orders as its bytes do.
            if name <= last || value.is_empty() {
                return None;
            }
            if !is_ascii && (std::str::from_utf8(name).is_err() || std::str::from_utf8(value).is_err()) {
                return None;
            }
            last = name;
        }
        Some(LabelsRef(bytes))
    }

    /// The encoded bytes.
    pub fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    /// `(name, value)` pairs, ascending by name.
    pub fn iter(self) -> Pairs<'a> {
        Pairs(self.0)
    }

    /// `(name, value)` pairs as the bytes that they are, ascending by name: for who only compares or copies them, many
    /// thousand times a second.
    #[inline]
    pub fn iter_bytes(self) -> BytePairs<'a> {
        BytePairs(self.0)
    }

    /// The value of the label `name`.
    pub fn get(self, name: &str) -> Option<&'a str> {
        let mut rest = self.0;
        while !rest.is_empty() {
            let (found, value) = (take_bytes(&mut rest)?, take_bytes(&mut rest)?);
            if found == name.as_bytes() {
                return std::str::from_utf8(value).ok();
            }
        }
        None
    }

    /// Appends the encoding of this set with the pair, instead of another of its name, to `out`. The value must not be
    /// empty.
    pub fn encode_with(self, name: &str, value: &str, out: &mut Vec<u8>) {
        let (mut rest, mut before, mut after) = (self.0, self.0.len(), self.0.len());
        while !rest.is_empty() {
            let at = self.0.len() - rest.len();
            let Some(other) = take_bytes(&mut rest).filter(|_| take_bytes(&mut rest).is_some()) else { break };
            if other >= name.as_bytes() {
                before = at;
                after = if other == name.as_bytes() { self.0.len() - rest.len() } else { at };
                break;
            }
        }
        out.extend_from_slice(&self.0[..before]);
        put_bytes(out, name.as_bytes());
        put_bytes(out, value.as_bytes());
        out.extend_from_slice(&self.0[after..]);
    }

    /// Whether there are no labels.
    pub fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// Number of labels.
    pub fn len(self) -> usize {
        self.iter_bytes().count()
    }

    /// An owned copy.
    pub fn to_labels(self) -> Labels {
        Labels(Arc::from(self.0))
    }
}

impl Labels {
    /// The empty set.
    pub fn empty() -> Self {
        Labels(Arc::from([].as_slice()))
    }

    /// A set from pairs in any order. Later duplicates of a name win, empty values drop the label.
    pub fn from_pairs<N: AsRef<str>, V: AsRef<str>>(pairs: impl IntoIterator<Item = (N, V)>) -> Self {
        let mut builder = LabelsBuilder::new();
        for (name, value) in pairs {
            builder.set(name.as_ref(), value.as_ref());
        }
        builder.build()
    }

    /// The borrowed form.
    pub fn as_ref(&self) -> LabelsRef<'_> {
        LabelsRef(&self.0)
    }

    /// The encoded bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// `(name, value)` pairs, ascending by name.
    pub fn iter(&self) -> Pairs<'_> {
        self.as_ref().iter()
    }

    /// The value of the label `name`.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.as_ref().get(name)
    }

    /// Whether there are no labels.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Number of labels.
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// A builder that starts with these labels.
    pub fn to_builder(&self) -> LabelsBuilder {
        LabelsBuilder { pairs: self.iter().map(|(n, v)| (n.into(), v.into())).collect() }
    }
}

/// Label by label, name before value, a shorter set before its extensions: the order of Prometheus' answers.
impl Ord for LabelsRef<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.iter().cmp(other.iter())
    }
}

impl PartialOrd for LabelsRef<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Labels {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_ref().cmp(&other.as_ref())
    }
}

impl PartialOrd for Labels {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The form of Prometheus' and Loki's messages: `{a="1", b="2"}`, values with Go's escapes.
impl fmt::Display for LabelsRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (i, (name, value)) in self.iter().enumerate() {
            if i > 0 {
                f.write_str(", ")?;
            }
            if is_plain_name(name) {
                f.write_str(name)?;
            } else {
                write_quoted(f, name)?;
            }
            f.write_str("=")?;
            write_quoted(f, value)?;
        }
        f.write_str("}")
    }
}

impl fmt::Display for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_ref().fmt(f)
    }
}

impl fmt::Debug for LabelsRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn write_quoted(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    f.write_str("\"")?;
    for c in text.chars() {
        match c {
            '"' => f.write_str("\\\"")?,
            '\\' => f.write_str("\\\\")?,
            '\n' => f.write_str("\\n")?,
            '\r' => f.write_str("\\r")?,
            '\t' => f.write_str("\\t")?,
            c if (c as u32) < 0x20 || c as u32 == 0x7f => write!(f, "\\x{:02x}", c as u32)?,
            c => write!(f, "{c}")?,
        }
    }
    f.write_str("\"")
}

/// Whether `name` needs no quotes in PromQL and LogQL: `[a-zA-Z_][a-zA-Z0-9_]*`.
pub fn is_plain_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// Why pairs do not make a label set.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum LabelError {
    /// A label without a name.
    #[error("label with an empty name")]
    EmptyName,
    /// The same name twice.
    #[error("duplicate label name {0:?}")]
    Duplicate(String),
}

/// Sorts `pairs` by name and appends the set's encoding to `out`: the receivers' path, which allocates nothing
/// of its own. Labels with empty values are left out.
///
/// # Errors
/// [`LabelError`] for an empty or repeated name; `out` is unchanged then.
pub fn encode(pairs: &mut [(&str, &str)], out: &mut Vec<u8>) -> Result<(), LabelError> {
    // Senders sort by contract, so this is nearly always one pass of comparisons.
    if !pairs.is_sorted_by(|a, b| a.0 <= b.0) {
        pairs.sort_unstable_by(|a, b| a.0.cmp(b.0));
    }
    if pairs.first().is_some_and(|p| p.0.is_empty()) {
        return Err(LabelError::EmptyName);
    }
    if let Some(twice) = pairs.windows(2).find(|w| w[0].0 == w[1].0) {
        return Err(LabelError::Duplicate(twice[0].0.to_owned()));
    }
    encode_sorted(pairs.iter().copied(), out);
    Ok(())
}

/// Appends the encoding of pairs that are already ascending and unique. Labels with empty values are left out.
pub fn encode_sorted<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>, out: &mut Vec<u8>) {
    for (name, value) in pairs {
        put_pair(name.as_bytes(), value.as_bytes(), out);
    }
}

/// Appends the encoding of a pair, both UTF-8, behind those that sort before it. One with an empty value is left out.
#[inline]
pub fn put_pair(name: &[u8], value: &[u8], out: &mut Vec<u8>) {
    if !value.is_empty() {
        put_bytes(out, name);
        put_bytes(out, value);
    }
}

/// Appends the encoding of a pair whose value is what `write` appends, without a copy of it elsewhere: for columns that print
/// values. A value that is empty or no UTF-8 is left out.
pub fn encode_written(name: &str, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    write(out);
    let value_bytes = out.len().saturating_sub(start);
    if value_bytes == 0 || out.get(start..).is_none_or(|value| std::str::from_utf8(value).is_err()) {
        out.truncate(start);
        return;
    }
    put_bytes(out, name.as_bytes());
    put_varint(out, value_bytes as u64);
    // The value was written first, since its length is known only then.
    if let Some(pair) = out.get_mut(start..) {
        pair.rotate_left(value_bytes);
    }
}

/// Builds or edits a label set.
#[derive(Clone, Default, Debug)]
pub struct LabelsBuilder {
    pairs: SmallVec<[(String, String); 8]>,
}

impl LabelsBuilder {
    /// A builder without labels.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a label, replacing its old value; an empty value removes it.
    pub fn set(&mut self, name: &str, value: &str) -> &mut Self {
        match self.pairs.binary_search_by(|(n, _)| n.as_str().cmp(name)) {
            Ok(at) if value.is_empty() => {
                self.pairs.remove(at);
            }
            Ok(at) => self.pairs[at].1 = value.to_owned(),
            Err(_) if value.is_empty() => {}
            Err(at) => self.pairs.insert(at, (name.to_owned(), value.to_owned())),
        }
        self
    }

    /// Removes a label.
    pub fn remove(&mut self, name: &str) -> &mut Self {
        self.set(name, "")
    }

    /// Keeps the labels for which `keep(name)` is true.
    pub fn retain(&mut self, keep: impl Fn(&str) -> bool) -> &mut Self {
        self.pairs.retain(|(name, _)| keep(name));
        self
    }

    /// The value of a label set so far.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.pairs.binary_search_by(|(n, _)| n.as_str().cmp(name)).ok().map(|at| self.pairs[at].1.as_str())
    }

    /// The finished set.
    pub fn build(&self) -> Labels {
        let mut bytes = Vec::with_capacity(self.pairs.iter().map(|(n, v)| n.len() + v.len() + 4).sum());
        encode_sorted(self.pairs.iter().map(|(n, v)| (n.as_str(), v.as_str())), &mut bytes);
        Labels(Arc::from(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_is_written_is_a_value_that_is_given() {
        let (mut written, mut given) = (Vec::new(), Vec::new());
        for value in ["x".to_owned(), "long ".repeat(60), String::new(), "é".to_owned()] {
            encode_written("name", &mut written, |out| out.extend_from_slice(value.as_bytes()));
            encode_sorted([("name", value.as_str())], &mut given);
        }
        encode_written("bad", &mut written, |out| out.extend_from_slice(b"a\xff"));
        assert_eq!(written, given);
    }

    #[test]
    fn order_of_pairs_does_not_matter() {
        let a = Labels::from_pairs([("job", "node"), ("__name__", "up"), ("empty", "")]);
        let b = Labels::from_pairs([("__name__", "up"), ("job", "node")]);
        assert_eq!(a, b);
        assert_eq!(a.to_string(), r#"{__name__="up", job="node"}"#);
        assert_eq!((a.get("job"), a.get("empty"), a.len()), (Some("node"), None, 2));
    }

    #[test]
    fn encode_refuses_what_is_not_a_set() {
        let mut out = Vec::new();
        assert_eq!(encode(&mut [("a", "1"), ("a", "2")], &mut out), Err(LabelError::Duplicate("a".into())));
        assert_eq!(encode(&mut [("a", "1"), ("", "2")], &mut out), Err(LabelError::EmptyName));
        assert!(out.is_empty());
        encode(&mut [("b", "2"), ("a", "1")], &mut out).unwrap();
        assert_eq!(LabelsRef::parse(&out).unwrap().to_labels(), Labels::from_pairs([("a", "1"), ("b", "2")]));
    }

    #[test]
    fn a_pair_is_put_in_its_place() {
        let set = Labels::from_pairs([("b", "1"), ("d", "2")]);
        for (name, expected) in [
            ("a", r#"{a="x", b="1", d="2"}"#),
            ("b", r#"{b="x", d="2"}"#),
            ("c", r#"{b="1", c="x", d="2"}"#),
            ("d", r#"{b="1", d="x"}"#),
            ("e", r#"{b="1", d="2", e="x"}"#),
        ] {
            let mut out = Vec::new();
            set.as_ref().encode_with(name, "x", &mut out);
            assert_eq!(LabelsRef::parse(&out).unwrap().to_string(), expected);
        }
        let mut out = Vec::new();
        LabelsRef::EMPTY.encode_with("a", "x", &mut out);
        assert_eq!(LabelsRef::parse(&out).unwrap().get("a"), Some("x"));
    }

    #[test]
    fn parse_refuses_damage() {
        let good = Labels::from_pairs([("a", "1"), ("b", "2")]);
        assert!(LabelsRef::parse(good.as_bytes()).is_some());
        for cut in 1..good.as_bytes().len() {
            if cut != 4 {
                assert!(LabelsRef::parse(&good.as_bytes()[..cut]).is_none(), "cut at {cut}");
            }
        }
        assert!(LabelsRef::parse(b"\x01b\x012\x01a\x011").is_none(), "not ascending");
        assert!(LabelsRef::parse(b"\x01\xff\x011").is_none(), "not UTF-8");
    }

    #[test]
    fn sets_order_like_prometheus() {
        let set = |pairs: &[(&str, &str)]| Labels::from_pairs(pairs.iter().copied());
        assert!(set(&[("a", "1")]) < set(&[("a", "1"), ("b", "1")]));
        assert!(set(&[("a", "1"), ("b", "1")]) < set(&[("a", "2")]));
        assert!(set(&[("a", "9")]) < set(&[("b", "1")]));
    }

    #[test]
    fn display_escapes() {
        let labels = Labels::from_pairs([("my.name", "a\"b\\c\nd")]);
        assert_eq!(labels.to_string(), r#"{"my.name"="a\"b\\c\nd"}"#);
    }
}
