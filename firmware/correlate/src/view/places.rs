//! Participants of a trace and their clocks.

use crate::skew::Skews;
use std::collections::BTreeMap;

/// Who has spans, numbered in the order of names.
#[derive(Default, Debug)]
pub(crate) struct Places {
    /// Service, node and clock; ascending.
    places: Vec<(String, String, u32)>,
    skews: Skews,
}

impl Places {
    /// Numbers pairs of service and node. A machine has one clock; where the machine is not known, a service has.
    pub(crate) fn new<'a>(all: impl Iterator<Item = (&'a str, &'a str)>) -> Places {
        let mut names: Vec<(&str, &str)> = all.collect();
        names.sort_unstable();
        names.dedup();
        let mut clocks: BTreeMap<(&str, &str), u32> = BTreeMap::new();
        for (service, node) in &names {
            clocks.insert(if node.is_empty() { (service, "") } else { ("", node) }, 0);
        }
        clocks.values_mut().zip(0..).for_each(|(clock, n)| *clock = n);
        let clock = |service: &str, node: &str| {
            let key = if node.is_empty() { (service, "") } else { ("", node) };
            clocks.get(&key).copied().unwrap_or(0)
        };
        let places = names.iter().map(|(s, n)| ((*s).to_owned(), (*n).to_owned(), clock(s, n))).collect();
        Places { places, skews: Skews::default() }
    }

    /// What spans tell of the clocks.
    pub(crate) fn set_skews(&mut self, skews: Skews) {
        self.skews = skews;
    }

    pub(crate) fn skews(&self) -> &Skews {
        &self.skews
    }

    /// Number of a participant, and of its clock.
    pub(crate) fn number(&self, service: &str, node: &str) -> Option<(u32, u32)> {
        let found = self.places.binary_search_by(|(s, n, _)| (s.as_str(), n.as_str()).cmp(&(service, node)));
        let at = found.ok()?;
        Some((at as u32, self.places.get(at)?.2))
    }

    /// Service and node of a number.
    pub(crate) fn names(&self, place: u32) -> Option<(&str, &str)> {
        self.places.get(place as usize).map(|(service, node, _)| (service.as_str(), node.as_str()))
    }

    /// Number of participants.
    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }

    /// By how much the clock is ahead with which someone writes log entries: that of its node where spans come from there,
    /// else that of its service where that has but one. Nothing is moved by a guess.
    pub(crate) fn ahead_ns(&self, service: &str, node: &str) -> i64 {
        if self.skews.is_skewed() { self.known_ahead_ns(service, node).unwrap_or(0) } else { 0 }
    }

    /// Likewise; `None` where no span tells.
    pub(crate) fn known_ahead_ns(&self, service: &str, node: &str) -> Option<i64> {
        let of_node = || self.places.iter().find(|(_, n, _)| !node.is_empty() && n == node).map(|(_, _, clock)| *clock);
        let of_service = || {
            let mut clocks = self.places.iter().filter(|(s, n, _)| s == service && (n.is_empty() || node.is_empty()));
            let first = clocks.next()?.2;
            clocks.all(|(_, _, clock)| *clock == first).then_some(first)
        };
        of_node().or_else(of_service).map(|clock| self.skews.ahead_ns(clock))
    }
}
