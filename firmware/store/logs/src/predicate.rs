//! Line predicates made ready: searchers are built once, templates and filters are asked before lines.

use crate::dictionary::Dictionary;
use crate::filter::Needle;
use crate::template::{Kind, Part, parts};
use bramble_storage::{Direction, LinePredicate};
use memchr::memmem::Finder;
use regex::bytes::Regex;

enum Test {
    Contains(Finder<'static>),
    NotContains(Finder<'static>),
    Matches(Regex),
    NotMatches(Regex),
}

/// Range, order and tests of one query, or of one flush.
pub(crate) struct Selection {
    pub(crate) start_ns: i64,
    /// Inclusive; below `start_ns` when nothing is asked for.
    pub(crate) last_ns: i64,
    pub(crate) direction: Direction,
    tests: Vec<Test>,
    needles: Vec<Needle>,
}

impl Selection {
    /// Everything from `start_ns` to `last_ns`, oldest first.
    pub(crate) fn all(start_ns: i64, last_ns: i64) -> Self {
        Selection { start_ns, last_ns, direction: Direction::Forward, tests: Vec::new(), needles: Vec::new() }
    }

    /// What a query asks for; `end_ns` exclusive.
    pub(crate) fn new(start_ns: i64, end_ns: i64, direction: Direction, lines: &[LinePredicate]) -> Self {
        let (start_ns, last_ns) = if start_ns < end_ns { (start_ns, end_ns - 1) } else { (i64::MAX, i64::MIN) };
        let test = |predicate: &LinePredicate| match predicate {
            LinePredicate::Contains(text) => Test::Contains(Finder::new(text).into_owned()),
            LinePredicate::NotContains(text) => Test::NotContains(Finder::new(text).into_owned()),
            LinePredicate::Matches(regex) => Test::Matches(regex.clone()),
            LinePredicate::NotMatches(regex) => Test::NotMatches(regex.clone()),
        };
        let needle = |predicate: &LinePredicate| match predicate {
            LinePredicate::Contains(text) => Needle::new(text),
            _ => None,
        };
        Selection {
            start_ns,
            last_ns,
            direction,
            tests: lines.iter().map(test).collect(),
            needles: lines.iter().filter_map(needle).collect(),
        }
    }

    /// Whether an id filter has to be asked at all.
    pub(crate) fn has_needles(&self) -> bool {
        !self.needles.is_empty()
    }

    /// Whether a group with this filter may have a line that passes.
    pub(crate) fn may_be_in(&self, filter: &[u8]) -> bool {
        self.needles.iter().all(|needle| needle.may_be_in(filter))
    }

    /// Whether `line` passes all tests.
    pub(crate) fn accepts(&self, line: &[u8]) -> bool {
        self.tests.iter().all(|test| match test {
            Test::Contains(finder) => finder.find(line).is_some(),
            Test::NotContains(finder) => finder.find(line).is_none(),
            Test::Matches(regex) => regex.is_match(line),
            Test::NotMatches(regex) => !regex.is_match(line),
        })
    }

    /// For each template whether no line of it can pass; empty when templates cannot tell.
    pub(crate) fn ruled_out(&self, dictionary: &Dictionary) -> Vec<bool> {
        let words: Vec<&Finder<'static>> = self
            .tests
            .iter()
            .filter_map(|test| match test {
                Test::Contains(finder) if is_word(finder.needle()) => Some(finder),
                _ => None,
            })
            .collect();
        if words.is_empty() {
            return Vec::new();
        }
        (0..dictionary.len()).map(|id| words.iter().any(|word| rules_out(dictionary.text(id), word))).collect()
    }
}

/// Whether a text lies in one literal of a template or not at all, where all slots hold numbers or times: it has no
/// digit, so it cannot cover a part of a number; and nothing that a time has between or after its digits, unless
/// something else follows that a time does not have.
fn is_word(text: &[u8]) -> bool {
    let in_time = |b: &u8| matches!(b, b'-' | b':' | b'.' | b'T' | b'Z');
    !text.is_empty() && !text.iter().any(u8::is_ascii_digit) && !text.iter().any(in_time)
}

fn rules_out(template: &[u8], word: &Finder<'static>) -> bool {
    let Some(parts) = parts(template) else { return false };
    parts.iter().all(|part| match *part {
        Part::Slot(Kind::Number | Kind::Time(_) | Kind::Clock) => true,
        Part::Slot(_) => false,
        Part::Literal(from, to) => {
            template.get(from as usize..to as usize).is_some_and(|literal| word.find(literal).is_none())
        }
    })
}
