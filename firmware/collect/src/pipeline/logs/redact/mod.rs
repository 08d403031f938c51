//! Redaction: secrets in lines, metadata and attributes become `<redacted:kind>`.
//!
//! What is looked for has a shape of its own: tokens with prefixes that their issuers chose, credentials in URLs and
//! headers, PEM blocks, values behind names that say so, numbers of cards. One pass of a multi-pattern search finds
//! literals that each of these must contain; only where one stands is more looked at. Lines without any, which are nearly
//! all, cost that pass and no more.
//!
//! It is not a promise: a password in a sentence, or a key whose PEM block was cut into lines, is not recognised. What is
//! redacted is gone before it is written or sent.

mod fields;
mod kind;
mod numbers;
mod personal;
mod tokens;

#[cfg(test)]
mod tests;

pub use kind::Kind;

use super::labels::LabelSet;
use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use personal::Personal;
use prometheus::{IntCounter, IntCounterVec, Opts, Registry};
use serde::Deserialize;
use smallvec::SmallVec;
use std::num::NonZeroU32;

/// What is redacted.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RedactConfig {
    /// Kinds beside those that are redacted by default: `email`, `ipv4`, `ipv6`, `phone`.
    pub also: Vec<String>,
    /// Kinds that are left alone.
    pub not: Vec<String>,
}

/// Something to redact.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Found {
    start: usize,
    end: usize,
    kind: Kind,
}

/// Shorter texts have nothing in them, and are not searched: the shortest are `h://:p@` and `dbpwd=x`.
const FOUND_BYTES_MIN: usize = 7;

type FoundList = SmallVec<[Found; 8]>;

/// Finds and replaces secrets. Shared by all threads.
pub struct Redactor {
    triggers: AhoCorasick,
    /// By trigger: who looks at it.
    looks: Vec<tokens::Look>,
    kinds: u32,
    personal: Option<Personal>,
    counted: IntCounterVec,
    counts: Vec<IntCounter>,
}

impl Redactor {
    /// A redactor.
    ///
    /// # Errors
    /// A kind that is none.
    pub fn new(config: &RedactConfig) -> Result<Self, String> {
        Self::counting(config, Self::counter().map_err(|e| e.to_string())?)
    }

    /// `bramble_redacted_values_total{kind}`.
    pub(super) fn counter() -> Result<IntCounterVec, prometheus::Error> {
        let help = "Secrets that were replaced before they were stored.";
        IntCounterVec::new(Opts::new("bramble_redacted_values_total", help), &["kind"])
    }

    /// A redactor that counts there.
    pub(super) fn counting(config: &RedactConfig, counted: IntCounterVec) -> Result<Self, String> {
        let kind = |name: &String| {
            Kind::of_name(name).ok_or_else(|| {
                let all: Vec<&str> = Kind::ALL.iter().map(|k| k.as_str()).collect();
                format!("no kind of secret ({}): {name}", all.join(", "))
            })
        };
        let mut kinds = Kind::ALL.iter().filter(|k| k.is_default()).fold(0, |bits, kind| bits | kind.bit());
        for name in &config.also {
            kinds |= kind(name)?.bit();
        }
        for name in &config.not {
            kinds &= !kind(name)?.bit();
        }
        let mut looks: Vec<tokens::Look> = tokens::TRIGGERS.iter().map(|(_, look)| *look).collect();
        looks.extend(fields::TRIGGERS.iter().map(|_| fields::look as tokens::Look));
        let texts = tokens::TRIGGERS.iter().map(|(text, _)| *text).chain(fields::TRIGGERS);
        let triggers = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostFirst)
            .kind(Some(AhoCorasickKind::DFA))
            .build(texts)
            .map_err(|e| e.to_string())?;
        let counts = Kind::ALL.iter().map(|kind| counted.with_label_values(&[kind.as_str()])).collect();
        Ok(Redactor { triggers, looks, kinds, personal: Personal::new(kinds)?, counted, counts })
    }

    /// Shows `bramble_redacted_values_total{kind}`.
    ///
    /// # Errors
    /// It is registered already.
    pub fn register(&self, registry: &Registry) -> Result<(), prometheus::Error> {
        registry.register(Box::new(self.counted.clone()))
    }

    /// How many were redacted of a kind.
    pub fn count(&self, kind: Kind) -> u64 {
        self.counts.get(kind as usize).map_or(0, IntCounter::get)
    }

    fn find(&self, text: &[u8], found: &mut FoundList) {
        let mut from = 0;
        while let Some(hit) = self.triggers.find(aho_corasick::Input::new(text).range(from..)) {
            let look = self.looks.get(hit.pattern().as_usize());
            from = match look.and_then(|look| look(text, hit.start(), hit.end())) {
                Some(one) if self.kinds & one.kind.bit() != 0 => {
                    found.push(one);
                    one.end.max(hit.start() + 1)
                }
                _ => hit.start() + 1,
            };
        }
        if self.kinds & Kind::CreditCard.bit() != 0 {
            numbers::cards(text, |one| found.push(one));
        }
        if let Some(personal) = &self.personal {
            personal.find(text, |one| found.push(one));
        }
    }

    /// Replaces secrets in a text. `None`: there is none, `out` is as it was. Otherwise how many, and `out` is the text
    /// without them.
    pub fn redact(&self, text: &[u8], out: &mut Vec<u8>) -> Option<NonZeroU32> {
        if text.len() < FOUND_BYTES_MIN && self.personal.is_none() {
            return None;
        }
        let mut found = FoundList::new();
        self.find(text, &mut found);
        if found.is_empty() {
            return None;
        }
        found.sort_by_key(|f| (f.start, usize::MAX - f.end));
        out.clear();
        let (mut from, mut count) = (0, 0);
        for one in found {
            // What lies in another one is gone with it.
            if one.start < from {
                continue;
            }
            out.extend_from_slice(text.get(from..one.start).unwrap_or(&[]));
            put(one.kind, out);
            from = one.end;
            count += 1;
            self.tell(one.kind);
        }
        out.extend_from_slice(text.get(from..).unwrap_or(&[]));
        NonZeroU32::new(count)
    }

    /// As [`redact`](Self::redact) for the value of a named field (structured metadata, an attribute): a name that says so
    /// makes the whole value a secret.
    pub fn redact_field(&self, name: &str, value: &[u8], out: &mut Vec<u8>) -> Option<NonZeroU32> {
        self.redact_named(name.as_bytes(), value, out)
    }

    fn redact_named(&self, name: &[u8], value: &[u8], out: &mut Vec<u8>) -> Option<NonZeroU32> {
        if let Some(kind) = fields::of_field(name, value)
            && self.kinds & kind.bit() != 0
        {
            out.clear();
            put(kind, out);
            self.tell(kind);
            return NonZeroU32::new(1);
        }
        self.redact(value, out)
    }

    /// Redacts the values of labels or metadata; how many were replaced.
    pub(super) fn redact_labels(&self, labels: &mut LabelSet) -> u32 {
        if labels.is_empty() {
            return 0;
        }
        let (mut out, mut count) = (Vec::new(), 0);
        let change = |name: &[u8], value: &[u8], made: &mut String| {
            let Some(n) = self.redact_named(name, value, &mut out) else { return false };
            count += n.get();
            made.clear();
            // Only whole characters of ASCII are cut away, so this is text still.
            made.push_str(&String::from_utf8_lossy(&out));
            true
        };
        labels.map_values(change, &mut String::new());
        count
    }

    fn tell(&self, kind: Kind) {
        if let Some(count) = self.counts.get(kind as usize) {
            count.inc();
        }
    }
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kinds = Kind::ALL.iter().filter(|kind| self.kinds & kind.bit() != 0).map(|kind| kind.as_str());
        f.debug_list().entries(kinds).finish()
    }
}

fn put(kind: Kind, out: &mut Vec<u8>) {
    out.extend_from_slice(b"<redacted:");
    out.extend_from_slice(kind.as_str().as_bytes());
    out.push(b'>');
}
