//! A label set under construction: names and values collected in one arena, then sorted and encoded.

use crate::limits::RejectReason;
use bramble_signal::LabelsRef;
use bramble_signal::labels::encode_sorted;
use std::cmp::Ordering;

/// Names and values in arrival order, kept by a decoder and reused for each item.
#[derive(Clone, Default, Debug)]
pub(crate) struct LabelSet {
    text: String,
    pairs: Vec<Pair>,
    sorted: Vec<Pair>,
    encoded: Vec<u8>,
}

/// Where a name and its value are in the arena: the value runs from the name's end.
#[derive(Clone, Copy, Debug)]
struct Pair {
    start: usize,
    middle: usize,
    end: usize,
}

/// A point to return to with [`LabelSet::rewind`].
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Mark {
    text: usize,
    pairs: usize,
}

impl LabelSet {
    pub(crate) fn clear(&mut self) {
        self.rewind(Mark::default());
    }

    pub(crate) fn mark(&self) -> Mark {
        Mark { text: self.text.len(), pairs: self.pairs.len() }
    }

    /// Forgets what was pushed after `mark`.
    pub(crate) fn rewind(&mut self, mark: Mark) {
        self.text.truncate(mark.text);
        self.pairs.truncate(mark.pairs);
    }

    /// Number of pairs pushed.
    pub(crate) fn len(&self) -> usize {
        self.pairs.len()
    }

    /// Bytes of names and values pushed.
    pub(crate) fn text_bytes(&self) -> usize {
        self.text.len()
    }

    pub(crate) fn push(&mut self, name: &str, value: &str) {
        self.push_with(|text| text.push_str(name), |text| text.push_str(value));
    }

    /// Pushes a pair, instead of one of the same name if there is one.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        let text = self.text.as_str();
        self.pairs.retain(|&pair| Self::name(text, pair) != name);
        self.push(name, value);
    }

    /// Pushes a pair whose name and value are appended to the arena by the caller, and must only be appended.
    pub(crate) fn push_with(&mut self, name: impl FnOnce(&mut String), value: impl FnOnce(&mut String)) {
        let start = self.text.len();
        name(&mut self.text);
        let middle = self.text.len();
        value(&mut self.text);
        self.pairs.push(Pair { start, middle, end: self.text.len() });
    }

    fn name(text: &str, pair: Pair) -> &str {
        text.get(pair.start..pair.middle).unwrap_or_default()
    }

    fn value(text: &str, pair: Pair) -> &str {
        text.get(pair.middle..pair.end).unwrap_or_default()
    }

    /// Pairs in arrival order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs.iter().map(|&pair| (Self::name(&self.text, pair), Self::value(&self.text, pair)))
    }

    /// Appends the pairs of `other`.
    pub(crate) fn extend(&mut self, other: &LabelSet) {
        for (name, value) in other.iter() {
            self.push(name, value);
        }
    }

    fn sort(&mut self) {
        self.sorted.clear();
        self.sorted.extend_from_slice(&self.pairs);
        let text = self.text.as_str();
        let order = |a: &Pair, b: &Pair| Self::name(text, *a).cmp(Self::name(text, *b));
        // Senders of sorted labels are the rule. The start breaks ties, so that the order of arrival stays.
        if !self.sorted.is_sorted_by(|a, b| order(a, b) != Ordering::Greater) {
            self.sorted.sort_unstable_by(|a, b| order(a, b).then(a.start.cmp(&b.start)));
        }
    }

    fn encode_sorted(&mut self) -> LabelsRef<'_> {
        self.encoded.clear();
        let text = self.text.as_str();
        let pairs = self.sorted.iter().map(|&pair| (Self::name(text, pair), Self::value(text, pair)));
        encode_sorted(pairs, &mut self.encoded);
        LabelsRef::from_encoded(&self.encoded)
    }

    /// The set; of a name pushed twice the later value wins. Pairs with empty names are left out.
    pub(crate) fn encode_last_wins(&mut self) -> LabelsRef<'_> {
        let names = |pair: &Pair| Self::name(&self.text, *pair);
        let follow = |a: &Pair, b: &Pair| names(a) < names(b);
        if self.pairs.is_sorted_by(follow) && self.pairs.first().is_none_or(|pair| !names(pair).is_empty()) {
            // Nearly always.
            self.encoded.clear();
            let pairs = self.pairs.iter().map(|&pair| (Self::name(&self.text, pair), Self::value(&self.text, pair)));
            encode_sorted(pairs, &mut self.encoded);
            return LabelsRef::from_encoded(&self.encoded);
        }
        self.sort();
        let text = self.text.as_str();
        self.sorted.retain(|&pair| !Self::name(text, pair).is_empty());
        // Backwards, the last of equal names comes first and is the one that `dedup` keeps.
        self.sorted.reverse();
        self.sorted.dedup_by(|a, b| Self::name(text, *a) == Self::name(text, *b));
        self.sorted.reverse();
        self.encode_sorted()
    }

    /// The set, as its sender's contract wants it.
    ///
    /// # Errors
    /// [`RejectReason::EmptyLabelName`], [`RejectReason::DuplicateLabel`].
    pub(crate) fn encode_unique(&mut self) -> Result<LabelsRef<'_>, RejectReason> {
        self.sort();
        let text = self.text.as_str();
        if self.sorted.first().is_some_and(|&pair| Self::name(text, pair).is_empty()) {
            return Err(RejectReason::EmptyLabelName);
        }
        let equal = |w: &[Pair]| matches!(w, [a, b] if Self::name(text, *a) == Self::name(text, *b));
        match self.sorted.windows(2).any(equal) {
            true => Err(RejectReason::DuplicateLabel),
            false => Ok(self.encode_sorted()),
        }
    }

    /// What was encoded last; valid after one of the encoding functions succeeded.
    pub(crate) fn encoded(&self) -> LabelsRef<'_> {
        LabelsRef::from_encoded(&self.encoded)
    }

    /// Whether a name was pushed twice since `mark`. Quadratic: for the few labels of one item.
    pub(crate) fn has_duplicates(&self, mark: Mark) -> bool {
        let added = self.pairs.get(mark.pairs..).unwrap_or_default();
        added.iter().enumerate().any(|(i, pair)| {
            let name = Self::name(&self.text, *pair);
            added.iter().skip(i + 1).any(|other| Self::name(&self.text, *other) == name)
        })
    }

    /// Joins the values of equal names pushed after `mark` with `;`, in the order in which they were pushed:
    /// Prometheus' rule for attributes whose names become equal. Allocates; for the rare case.
    pub(crate) fn join_duplicates(&mut self, mark: Mark) {
        let added = self.pairs.get(mark.pairs..).unwrap_or_default();
        let mut joined: Vec<(String, String)> = Vec::new();
        for &pair in added {
            let (name, value) = (Self::name(&self.text, pair), Self::value(&self.text, pair));
            match joined.iter_mut().find(|(n, _)| n == name) {
                Some((_, values)) => {
                    values.push(';');
                    values.push_str(value);
                }
                None => joined.push((name.to_owned(), value.to_owned())),
            }
        }
        self.rewind(mark);
        for (name, value) in &joined {
            self.push(name, value);
        }
    }

    /// Checks lengths of names and values and the number of pairs.
    ///
    /// # Errors
    /// The first limit that is exceeded.
    pub(crate) fn check(&self, limits: &crate::Limits, labels_max: usize) -> Result<(), RejectReason> {
        if self.len() > labels_max {
            return Err(RejectReason::TooManyLabels);
        }
        for &Pair { start, middle, end } in &self.pairs {
            if middle - start > limits.label_name_bytes_max {
                return Err(RejectReason::LabelNameTooLong);
            }
            if end - middle > limits.label_value_bytes_max {
                return Err(RejectReason::LabelValueTooLong);
            }
        }
        Ok(())
    }

    /// Checks structured metadata: lengths of names, number of pairs, bytes in all.
    ///
    /// # Errors
    /// The first limit that is exceeded.
    pub(crate) fn check_metadata(&self, limits: &crate::Limits) -> Result<(), RejectReason> {
        if self.len() > limits.metadata_count_max || self.text_bytes() > limits.metadata_bytes_max {
            return Err(RejectReason::MetadataTooLarge);
        }
        match self.pairs.iter().any(|pair| pair.middle - pair.start > limits.label_name_bytes_max) {
            true => Err(RejectReason::LabelNameTooLong),
            false => Ok(()),
        }
    }
}

/// Appends `name` with every character but ASCII letters, digits and `_` replaced by `_`.
pub(crate) fn push_sanitized(out: &mut String, name: &str) {
    if name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
        return out.push_str(name);
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    out.extend(name.chars().map(|c| if plain(c) { c } else { '_' }));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(pairs: &[(&str, &str)]) -> LabelSet {
        let mut set = LabelSet::default();
        pairs.iter().for_each(|(n, v)| set.push(n, v));
        set
    }

    #[test]
    fn sets_are_sorted_and_judged() {
        assert_eq!(set(&[("b", "1"), ("a", "2"), ("c", "")]).encode_unique().unwrap().to_string(), r#"{a="2", b="1"}"#);
        assert_eq!(set(&[("b", "1"), ("", "2")]).encode_unique(), Err(RejectReason::EmptyLabelName));
        assert_eq!(set(&[("b", "1"), ("a", "2"), ("b", "1")]).encode_unique(), Err(RejectReason::DuplicateLabel));
        assert_eq!(
            set(&[("b", "1"), ("a", "2"), ("b", "3"), ("", "x")]).encode_last_wins().to_string(),
            r#"{a="2", b="3"}"#
        );
    }

    #[test]
    fn equal_names_are_joined_in_order() {
        let mut set = set(&[("a", "0"), ("x", "1"), ("y", "2"), ("x", "3")]);
        let mark = Mark { text: 2, pairs: 1 };
        assert!(set.has_duplicates(mark));
        set.join_duplicates(mark);
        assert!(!set.has_duplicates(mark));
        assert_eq!(set.iter().collect::<Vec<_>>(), [("a", "0"), ("x", "1;3"), ("y", "2")]);
        set.rewind(mark);
        assert_eq!(set.len(), 1);
    }
}
