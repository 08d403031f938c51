//! What a query asks of entries, made ready: searchers are built once, and each test knows what it can say of a
//! template without seeing a line.

use crate::filter;
use crate::search::literals::{Facts, facts};
use crate::search::mentions::{Mentioned, Sought};
use crate::search::needle::{Needle, Verdict};
use crate::search::shape::Shapes;
use bramble_signal::{LabelsRef, MatchOp, Matcher};
use bramble_storage::{
    BlockMeta, Direction, LinePredicate, LogSelect, OWN_STREAM_LABEL, PerEntry, Selector, may_be_of_class,
};
use regex::bytes::Regex;

/// A test on lines. Where it says "maybe" of a template, only lines can tell.
pub(crate) struct Test {
    /// Whether a line passes that does not fit.
    negated: bool,
    what: What,
}

enum What {
    Contains(Needle),
    /// An expression, texts of which a match contains one, and whether a match in a part is one in the whole.
    Matches(Regex, Vec<Needle>, bool),
    /// The text or a backslash.
    Mentions(Needle),
}

impl Test {
    fn new(predicate: &LinePredicate) -> Test {
        let contains = |text: &[u8]| What::Contains(Needle::new(text));
        let matches = |regex: &Regex| {
            let Facts { one_of, local } = facts(regex.as_str());
            What::Matches(regex.clone(), one_of.iter().map(|text| Needle::new(text)).collect(), local)
        };
        let (negated, what) = match predicate {
            LinePredicate::Contains(text) => (false, contains(text)),
            LinePredicate::NotContains(text) => (true, contains(text)),
            LinePredicate::Matches(regex) => (false, matches(regex)),
            LinePredicate::NotMatches(regex) => (true, matches(regex)),
        };
        Test { negated, what }
    }

    /// That a line mentions `text`.
    pub(super) fn mentions(text: &[u8]) -> Test {
        Test { negated: false, what: What::Mentions(Needle::new(text)) }
    }

    /// Whether `line` passes.
    #[inline]
    pub(crate) fn accepts(&self, line: &[u8]) -> bool {
        let fits = match &self.what {
            What::Contains(needle) => needle.is_in(line),
            What::Matches(regex, ..) => regex.is_match(line),
            What::Mentions(needle) => needle.is_in(line) || memchr::memchr(b'\\', line).is_some(),
        };
        fits != self.negated
    }

    /// Whether a line passes that does not fit.
    pub(crate) fn is_negated(&self) -> bool {
        self.negated
    }

    /// The text whose presence in a slot decides, when the verdict is [`Verdict::InSlots`].
    pub(crate) fn needle(&self) -> Option<&Needle> {
        match &self.what {
            What::Contains(needle) | What::Mentions(needle) => Some(needle),
            What::Matches(..) => None,
        }
    }

    /// Whether lines of the template *fit*; they pass if they do, or if they do not when the test is negated.
    pub(crate) fn against(&self, template: &Shapes<'_>) -> Verdict {
        match &self.what {
            What::Contains(needle) => needle.against(template),
            What::Mentions(needle) => {
                // No token can contain a backslash.
                if template.literals().any(|literal| literal.contains(&b'\\')) {
                    return Verdict::Always;
                }
                needle.against(template)
            }
            What::Matches(regex, one_of, local) => {
                if !one_of.is_empty() && one_of.iter().all(|text| text.against(template) == Verdict::Never) {
                    return Verdict::Never;
                }
                if *local && template.literals().any(|literal| regex.is_match(literal)) {
                    return Verdict::Always;
                }
                Verdict::Maybe
            }
        }
    }
}

/// Range, order and tests of one query, or of one flush.
pub(crate) struct Selection {
    pub(crate) start_ns: i64,
    /// Inclusive; below `start_ns` when nothing is asked for.
    pub(crate) last_ns: i64,
    pub(crate) direction: Direction,
    /// How many rows the asker expects to read.
    pub(crate) rows_hint: Option<usize>,
    lines: Vec<Test>,
    mentions: Vec<Mentioned>,
    ids: Vec<filter::Needle>,
    selector: Selector,
    fields: Selector,
}

impl Selection {
    /// Everything from `start_ns` to `last_ns`, oldest first.
    pub(crate) fn all(start_ns: i64, last_ns: i64) -> Self {
        let (direction, rows_hint) = (Direction::Forward, None);
        let (selector, fields) = (Selector::default(), Selector::default());
        let (lines, mentions, ids) = (Vec::new(), Vec::new(), Vec::new());
        Selection { start_ns, last_ns, direction, rows_hint, lines, mentions, ids, selector, fields }
    }

    /// What a query asks for; `floating` are the names of labels that are kept out of streams.
    pub(crate) fn new(select: &LogSelect<'_>, floating: &[String]) -> Self {
        let (start_ns, end_ns) = (select.start_ns, select.end_ns);
        let (start_ns, last_ns) = if start_ns < end_ns { (start_ns, end_ns - 1) } else { (i64::MAX, i64::MIN) };
        let id = |predicate: &LinePredicate| match predicate {
            LinePredicate::Contains(text) => filter::Needle::new(text),
            _ => None,
        };
        let names: Vec<String> = select.fields.iter().map(|field| field.name.clone()).collect();
        Selection {
            start_ns,
            last_ns,
            direction: select.direction,
            rows_hint: select.rows_hint,
            lines: select.lines.iter().map(Test::new).collect(),
            mentions: select.mentions.iter().map(Mentioned::new).collect(),
            ids: select.lines.iter().filter_map(id).collect(),
            selector: Selector::new(select.matchers.to_vec(), floating),
            fields: Selector::new(select.fields.to_vec(), &names),
        }
    }

    /// The tests on lines.
    pub(super) fn lines(&self) -> &[Test] {
        &self.lines
    }

    /// The tests on lines, and what lines say of mentions.
    pub(super) fn tests(&self) -> impl Iterator<Item = &Test> + Clone {
        self.lines.iter().chain(self.mentions.iter().map(|mention| &mention.test))
    }

    /// Whether there are any of these.
    pub(crate) fn has_tests(&self) -> bool {
        !self.lines.is_empty() || !self.mentions.is_empty()
    }

    /// What a stream of these labels leaves to its entries; `None`: none of them can pass.
    pub(crate) fn of_stream(&self, labels: LabelsRef<'_>) -> Option<EntryTests<'_>> {
        let tests = [self.selector.of_stream(labels)?, self.fields.of_stream(labels)?];
        Some(EntryTests { tests, mentions: self.mentions_left(labels) })
    }

    /// The mentions that a stream of these labels leaves to its entries.
    fn mentions_left(&self, labels: LabelsRef<'_>) -> Vec<&Mentioned> {
        self.mentions.iter().filter(|mention| !mention.is_of(labels)).collect()
    }

    /// Whether entries have to be looked at at all.
    pub(crate) fn is_selective(&self) -> bool {
        let about_entries = |matcher: &Matcher| matcher.name != OWN_STREAM_LABEL;
        self.has_tests() || !self.fields.matchers().is_empty() || self.selector.matchers().iter().any(about_entries)
    }

    /// Whether a block may have what is asked for, as far as its class tells.
    pub(crate) fn may_be_in(&self, block: &BlockMeta) -> bool {
        may_be_of_class(self.selector.matchers(), block.class)
    }

    /// What can be told of the groups of a stream of these labels before they are read.
    pub(crate) fn sought(&self, labels: LabelsRef<'_>) -> Sought {
        let mentions = self.mentions_left(labels);
        Sought::new(self.needles(labels), &mentions, mentions.len() < self.mentions.len())
    }

    /// What filters are asked about a stream of these labels.
    fn needles(&self, labels: LabelsRef<'_>) -> Vec<filter::Needle> {
        let mut sought = self.ids.clone();
        let rest = |m: &&Matcher| m.op == MatchOp::Equal && !m.value.is_empty() && labels.get(&m.name).is_none();
        for matcher in self.selector.matchers().iter().filter(rest) {
            // All floating labels are in filters; metadata only under names of ids.
            if filter::is_id_name(&matcher.name) || !self.selector.counts_metadata(&matcher.name) {
                sought.push(filter::Needle::field(&matcher.name, &matcher.value));
            }
        }
        for field in self.fields.matchers().iter().filter(rest).filter(|field| filter::is_id_name(&field.name)) {
            sought.push(filter::Needle::field(&field.name, &field.value));
        }
        sought
    }
}

/// What a stream leaves to its entries to decide.
pub(crate) struct EntryTests<'s> {
    tests: [PerEntry<'s>; 2],
    mentions: Vec<&'s Mentioned>,
}

impl<'s> EntryTests<'s> {
    /// What lines mention or entries have.
    pub(super) fn mentions(&self) -> &[&'s Mentioned] {
        &self.mentions
    }

    /// Whether all entries pass by their metadata.
    pub(crate) fn is_all(&self) -> bool {
        self.tests.iter().all(PerEntry::is_all)
    }

    /// Whether entries pass that have none of the names looked for.
    pub(crate) fn accepts_bare(&self) -> bool {
        self.tests.iter().all(PerEntry::accepts_bare)
    }

    /// Whether an entry with this metadata passes.
    pub(crate) fn accepts(&self, metadata: LabelsRef<'_>) -> bool {
        self.tests.iter().all(|test| test.accepts(metadata))
    }

    /// Each test, as [`PerEntry::tests`] has it.
    pub(crate) fn each(&self) -> impl Iterator<Item = (&Matcher, &str, bool)> {
        self.tests.iter().flat_map(PerEntry::tests)
    }

    /// Whether metadata of this name matters.
    pub(crate) fn reads(&self, name: &str) -> bool {
        self.tests.iter().any(|test| test.reads(name))
    }
}
