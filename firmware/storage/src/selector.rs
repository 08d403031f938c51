//! What a selector accepts: a stream, some entries of it, or nothing.

use crate::OWN_STREAM_LABEL;
use crate::visible::hiding_own;
use bramble_signal::{FLOATING_MARK, LabelsRef, Matcher};

/// A selector's matchers, tested as [`LogSelect`](crate::LogSelect) says: on the stream's label; where the stream has
/// none, on the entry's floating label; else, for names kept out of streams, on its metadata; else on "".
#[derive(Clone, Default, Debug)]
pub struct Selector {
    matchers: Vec<Matcher>,
    /// For each matcher the metadata name of the floating label, and whether metadata under the plain name counts.
    names: Vec<(String, bool)>,
}

/// What a stream leaves for its entries to decide. Empty: all of them match.
#[derive(Clone, Default, Debug)]
pub struct PerEntry<'a> {
    rest: Vec<(&'a Matcher, &'a (String, bool))>,
}

impl Selector {
    /// A selector; `floating` are the names of labels that are kept out of streams.
    pub fn new(matchers: Vec<Matcher>, floating: &[String]) -> Self {
        let name = |m: &Matcher| (format!("{FLOATING_MARK}{}", m.name), floating.contains(&m.name));
        Selector { names: matchers.iter().map(name).collect(), matchers }
    }

    /// The selector, without streams that Bramble writes for itself unless one of its matchers names their label.
    pub fn hiding_own(mut self) -> Self {
        let matchers = hiding_own(&self.matchers).into_owned();
        if let Some(hiding) = matchers.get(self.matchers.len()) {
            self.names.push((format!("{FLOATING_MARK}{}", hiding.name), false));
        }
        Selector { matchers, ..self }
    }

    /// The matchers.
    pub fn matchers(&self) -> &[Matcher] {
        &self.matchers
    }

    /// Whether metadata under this plain name counts where there is no label: it is a name of labels kept out of streams.
    pub fn counts_metadata(&self, name: &str) -> bool {
        self.matchers.iter().zip(&self.names).any(|(matcher, (_, plain))| *plain && matcher.name == name)
    }

    /// `None` when no entry of a stream of these labels can match.
    pub fn of_stream(&self, labels: LabelsRef<'_>) -> Option<PerEntry<'_>> {
        let mut rest = Vec::new();
        for (matcher, name) in self.matchers.iter().zip(&self.names) {
            match labels.get(&matcher.name) {
                Some(value) if matcher.matches(value) => {}
                Some(_) => return None,
                // It never floats, so that entries have no say.
                None if matcher.name == OWN_STREAM_LABEL && matcher.matches_absent() => {}
                None if matcher.name == OWN_STREAM_LABEL => return None,
                None => rest.push((matcher, name)),
            }
        }
        Some(PerEntry { rest })
    }
}

impl PerEntry<'_> {
    /// Whether every entry matches, whatever its metadata.
    pub fn is_all(&self) -> bool {
        self.rest.is_empty()
    }

    /// Each test: its matcher, the metadata name whose value it is about, and whether metadata under the matcher's own name
    /// counts where that one is missing. What is missing altogether is "".
    pub fn tests(&self) -> impl Iterator<Item = (&Matcher, &str, bool)> {
        self.rest.iter().map(|(matcher, (marked, plain))| (*matcher, marked.as_str(), *plain))
    }

    /// Whether entries without metadata match.
    pub fn accepts_bare(&self) -> bool {
        self.rest.iter().all(|(matcher, _)| matcher.matches(""))
    }

    /// Whether metadata of this name has a say.
    pub fn reads(&self, name: &str) -> bool {
        self.rest.iter().any(|(matcher, (marked, plain))| name == marked || (*plain && name == matcher.name))
    }

    /// Whether an entry with this metadata matches.
    pub fn accepts(&self, metadata: LabelsRef<'_>) -> bool {
        self.rest.iter().all(|(matcher, (marked, plain))| {
            let own = || if *plain { metadata.get(&matcher.name) } else { None };
            matcher.matches(metadata.get(marked).or_else(own).unwrap_or(""))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bramble_signal::Labels;

    #[test]
    fn own_streams_are_told_by_their_label_alone() {
        let own = Labels::from_pairs([(OWN_STREAM_LABEL, "correlations")]);
        let other = Labels::from_pairs([("service", "a")]);
        let hiding = Selector::new(vec![Matcher::equal("service", "a")], &[]).hiding_own();
        assert!(hiding.of_stream(other.as_ref()).unwrap().is_all() && hiding.of_stream(own.as_ref()).is_none());
        let named = Selector::new(vec![Matcher::equal(OWN_STREAM_LABEL, "correlations")], &[]).hiding_own();
        assert!(named.of_stream(other.as_ref()).is_none() && named.of_stream(own.as_ref()).unwrap().is_all());
    }

    #[test]
    fn streams_decide_first_then_entries() {
        let matchers = vec![Matcher::equal("service", "a"), Matcher::equal("trace_id", "77")];
        let selector = Selector::new(matchers, &["trace_id".to_owned()]);
        let of = |pairs: &[(&str, &str)]| Labels::from_pairs(pairs.iter().copied());
        assert!(selector.of_stream(of(&[("service", "b")]).as_ref()).is_none());
        assert!(selector.of_stream(of(&[("service", "a"), ("trace_id", "77")]).as_ref()).unwrap().is_all());
        let stream = of(&[("service", "a")]);
        let rest = selector.of_stream(stream.as_ref()).unwrap();
        assert!(!rest.is_all() && !rest.accepts_bare());
        assert!(rest.reads("\u{1}trace_id") && rest.reads("trace_id") && !rest.reads("service"));
        assert!(selector.counts_metadata("trace_id") && !selector.counts_metadata("service"));
        assert!(rest.accepts(of(&[("\u{1}trace_id", "77")]).as_ref()), "a floating label");
        assert!(rest.accepts(of(&[("trace_id", "77")]).as_ref()), "metadata under a name that is kept out of streams");
        assert!(!rest.accepts(of(&[("\u{1}trace_id", "78"), ("trace_id", "77")]).as_ref()), "the floating one first");
        let plain = Selector::new(vec![Matcher::equal("trace_id", "77")], &[]);
        let rest = plain.of_stream(stream.as_ref()).unwrap();
        assert!(!rest.accepts(of(&[("trace_id", "77")]).as_ref()), "metadata is no label");
    }
}
