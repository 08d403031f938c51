//! A text that is looked for, tried against templates instead of lines.
//!
//! A line of a template is its literals with a token in each slot, and what a token of a kind can look like is known.
//! So for each template the text is laid over literals and slots in every way that fits: if none does, no line of the
//! template contains it; if a literal contains it, all lines do; else it says where to look.
//!
//! What a kind of slot can do with a text does not depend on the template, and is worked out once ([`Fit`]). Most
//! templates are refused by one search: a run of the text that no slot of theirs can hold has to stand in a literal.

use crate::search::shape::{Shape, Shapes, family, shape};
use crate::template::{Kind, Part};
use memchr::memmem::Finder;
use parking_lot::RwLock;
use std::sync::Arc;

/// What a template says of a text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Verdict {
    /// No line of it contains the text.
    Never,
    /// All do.
    Always,
    /// A line does if one of these slots does (bit n: slot n).
    InSlots(u64),
    /// Only the line can tell.
    Maybe,
}

/// Longer texts are tried by their first bytes, which can only refuse.
const TRIED_BYTES_MAX: usize = 192;
/// Slots beyond are not told apart.
const SLOTS_MAX: u32 = 64;

/// How a text can lie in the tokens of one kind.
#[derive(Clone, Default, Debug)]
struct Fit {
    /// All of it within a token.
    inside: bool,
    /// Lengths of its beginnings (not all of it) that can end a token.
    ends: Vec<u16>,
    /// For each position: lengths of what follows, least and most, that can be a whole token. Least 0: none.
    whole: Vec<(u16, u16)>,
    /// For each position above 0: whether all that follows can begin a token.
    begins: Vec<bool>,
}

impl Fit {
    fn new(text: &[u8], kind: Kind) -> Fit {
        match shape(kind) {
            Shape::Run { may, bytes_max, digit } => Fit::of_run(text, may, bytes_max, digit),
            Shape::Fixed(pattern) => Fit::of_fixed(text, &pattern),
        }
    }

    fn of_run(text: &[u8], may: fn(u8) -> bool, bytes_max: usize, digit: bool) -> Fit {
        let run = |from: usize| text[from..].iter().take_while(|&&b| may(b)).count().min(bytes_max);
        let first = run(0);
        let mut fit = Fit { inside: first == text.len(), ..Fit::default() };
        fit.ends = (1..=first.min(text.len().saturating_sub(1)) as u16).collect();
        for from in 0..text.len() {
            let most = run(from);
            let least = match text[from..from + most].iter().position(u8::is_ascii_digit) {
                _ if !digit => usize::from(most > 0),
                Some(at) => at + 1,
                None => 0,
            };
            fit.whole.push((least as u16, most as u16));
            fit.begins.push(from > 0 && most == text.len() - from);
        }
        fit
    }

    fn of_fixed(text: &[u8], pattern: &[fn(u8) -> bool]) -> Fit {
        let lies = |from: usize, at: usize| text[from..].iter().zip(&pattern[at..]).all(|(&b, may)| may(b));
        let mut fit = Fit::default();
        for at in 0..pattern.len() {
            let rest = pattern.len() - at;
            if lies(0, at) {
                if text.len() <= rest {
                    fit.inside = true;
                } else {
                    fit.ends.push(rest as u16);
                }
            }
        }
        for from in 0..text.len() {
            let (left, fits) = (text.len() - from, lies(from, 0));
            let whole = if fits && left >= pattern.len() { pattern.len() as u16 } else { 0 };
            fit.whole.push((whole, whole));
            fit.begins.push(from > 0 && fits && left <= pattern.len());
        }
        fit
    }

    /// Marks the positions of the text that a token can hold.
    fn cover(&self, covered: &mut [bool]) {
        if self.inside {
            covered.fill(true);
        }
        let ends = self.ends.iter().max().map_or(0, |&n| usize::from(n));
        covered.iter_mut().take(ends).for_each(|c| *c = true);
        for (from, &(_, most)) in self.whole.iter().enumerate().filter(|(_, w)| w.0 > 0) {
            covered.iter_mut().skip(from).take(usize::from(most)).for_each(|c| *c = true);
        }
        if let Some(from) = self.begins.iter().position(|&b| b) {
            covered.iter_mut().skip(from).for_each(|c| *c = true);
        }
    }
}

/// A text made ready to be looked for in templates and lines.
pub(crate) struct Needle {
    finder: Finder<'static>,
    /// What is tried against templates: the text or its first bytes.
    tried: Vec<u8>,
    tried_finder: Finder<'static>,
    /// By kind; filled as kinds turn up.
    fits: RwLock<Vec<(Kind, Arc<Fit>)>>,
    /// By the families of kinds that a template has: what has to stand in a literal, as far as something has to.
    required: RwLock<Vec<(u16, Option<Arc<Finder<'static>>>)>>,
}

impl Needle {
    /// Makes `text` ready.
    pub(crate) fn new(text: &[u8]) -> Needle {
        let tried = text[..text.len().min(TRIED_BYTES_MAX)].to_vec();
        Needle {
            finder: Finder::new(text).into_owned(),
            tried_finder: Finder::new(&tried).into_owned(),
            tried,
            fits: RwLock::default(),
            required: RwLock::default(),
        }
    }

    /// The text.
    pub(crate) fn text(&self) -> &[u8] {
        self.finder.needle()
    }

    /// Whether `line` contains the text.
    pub(crate) fn is_in(&self, line: &[u8]) -> bool {
        self.finder.find(line).is_some()
    }

    fn fit(&self, kind: Kind) -> Arc<Fit> {
        // Few kinds turn up, so a list is fast enough.
        if let Some((_, fit)) = self.fits.read().iter().find(|(known, _)| *known == kind) {
            return fit.clone();
        }
        let fit = Arc::new(Fit::new(&self.tried, kind));
        self.fits.write().push((kind, fit.clone()));
        fit
    }

    fn required(&self, families: u16) -> Option<Arc<Finder<'static>>> {
        if let Some((_, known)) = self.required.read().iter().find(|(known, _)| *known == families) {
            return known.clone();
        }
        let mut covered = vec![false; self.tried.len()];
        for bit in (1..16).map(|n| 1u16 << n).filter(|bit| families & bit != 0) {
            for &kind in FAMILY_MEMBERS.iter().filter(|&&kind| family(kind) == bit) {
                self.fit(kind).cover(&mut covered);
            }
            if bit == family(Kind::HexLower(8)) || bit == family(Kind::HexUpper(8)) {
                // Of any width: by its bytes.
                let may = if bit == family(Kind::HexLower(8)) { is_hex_lower } else { is_hex_upper };
                covered.iter_mut().zip(&self.tried).for_each(|(c, &b)| *c |= may(b));
            }
        }
        let (mut best, mut at) = (0..0, 0);
        for run in covered.chunk_by(|a, b| a == b) {
            if !run[0] && run.len() > best.len() {
                best = at..at + run.len();
            }
            at += run.len();
        }
        let found = (!best.is_empty()).then(|| Arc::new(Finder::new(&self.tried[best]).into_owned()));
        self.required.write().push((families, found.clone()));
        found
    }

    /// Tries the text against a template.
    pub(crate) fn against(&self, template: &Shapes<'_>) -> Verdict {
        if self.tried.is_empty() {
            return Verdict::Always;
        }
        if let Some(run) = self.required(template.families())
            && run.find(template.text()).is_none()
        {
            return Verdict::Never;
        }
        match self.lay(template.text(), template.parts()) {
            // The first bytes of a long text can be there without the rest.
            Verdict::Always | Verdict::InSlots(_) if self.tried.len() < self.text().len() => Verdict::Maybe,
            verdict => verdict,
        }
    }

    /// Lays the text over the parts in every way.
    fn lay(&self, template: &[u8], parts: &[Part]) -> Verdict {
        let text = &self.tried;
        let (mut slots, mut slot, mut crossing) = (0u64, 0u32, false);
        // Positions of the text that can be reached at the edge between two parts.
        let (mut here, mut next): (Vec<bool>, Vec<bool>) = (vec![false; text.len()], vec![false; text.len()]);
        for part in parts {
            next.fill(false);
            match *part {
                Part::Literal(from, to) => {
                    let literal = template.get(from as usize..to as usize).unwrap_or_default();
                    if self.tried_finder.find(literal).is_some() {
                        return Verdict::Always;
                    }
                    crossing |= lay_over_literal(text, literal, &here, &mut next);
                }
                Part::Slot(kind) => {
                    let fit = self.fit(kind);
                    if fit.inside {
                        crossing |= slot >= SLOTS_MAX;
                        slots |= 1u64.checked_shl(slot).unwrap_or(0);
                    }
                    crossing |= lay_over_slot(&fit, &here, &mut next);
                    slot += 1;
                }
            }
            std::mem::swap(&mut here, &mut next);
        }
        match (crossing, slots) {
            (true, _) => Verdict::Maybe,
            (false, 0) => Verdict::Never,
            (false, slots) => Verdict::InSlots(slots),
        }
    }
}

/// Whether the text ends in this literal, having begun before it.
fn lay_over_literal(text: &[u8], literal: &[u8], here: &[bool], next: &mut [bool]) -> bool {
    for begun in 1..text.len().min(literal.len() + 1) {
        next[begun] |= literal.ends_with(&text[..begun]);
    }
    let mut found = false;
    for at in (1..text.len()).filter(|&at| here[at]) {
        let rest = &text[at..];
        if literal.len() >= rest.len() {
            found |= literal.starts_with(rest);
        } else if rest.starts_with(literal) {
            next[at + literal.len()] = true;
        }
    }
    found
}

/// Whether the text ends in this slot, having begun before it.
fn lay_over_slot(fit: &Fit, here: &[bool], next: &mut [bool]) -> bool {
    for &begun in &fit.ends {
        next[usize::from(begun)] = true;
    }
    let mut found = false;
    for at in (1..here.len()).filter(|&at| here[at]) {
        found |= fit.begins[at];
        let (least, most) = fit.whole[at];
        for len in least.max(1)..=if least == 0 { 0 } else { most } {
            match next.get_mut(at + usize::from(len)) {
                Some(reached) => *reached = true,
                None => found = true,
            }
        }
    }
    found
}

fn is_hex_lower(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}

fn is_hex_upper(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'A'..=b'F')
}

/// One of each kind whose tokens differ in shape; hexadecimal ones are covered by their bytes instead.
const FAMILY_MEMBERS: [Kind; 15] = [
    Kind::Number,
    Kind::Text,
    Kind::Uuid,
    Kind::Clock,
    Kind::Value,
    Kind::Time(0),
    Kind::Time(1),
    Kind::Time(2),
    Kind::Time(3),
    Kind::Time(4),
    Kind::Time(5),
    Kind::Time(6),
    Kind::Time(7),
    Kind::Time(8),
    Kind::Time(9),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::template::split;
    use proptest::prelude::*;

    fn verdict(line: &[u8], text: &[u8]) -> Option<Verdict> {
        let (mut template, mut tokens) = (Vec::new(), Vec::new());
        split(line, &mut template, &mut tokens).then(|| Needle::new(text).against(&Shapes::new(&template)))
    }

    #[test]
    fn templates_answer_for_their_lines() {
        let line = br#"{"level":"info","id":"9f4ef63a1b","at":"2026-11-19T00:00:00.123Z","ms":12,"in":"rpi-003"} done"#;
        let of = |text: &str| verdict(line, text.as_bytes()).unwrap();
        assert_eq!(of("level"), Verdict::Always);
        assert_eq!(of("done"), Verdict::Always);
        assert_eq!(of("warn"), Verdict::InSlots(1), "a value could say it");
        assert_eq!(of("level\":\"warn"), Verdict::Maybe);
        assert_eq!(of("level\":\"404"), Verdict::Never, "a value has no digits");
        assert_eq!(of("9f4ef63a1b0"), Verdict::Never, "too long for the id");
        assert_eq!(of("T01:"), Verdict::InSlots(1 << 2));
        assert_eq!(of("rpi-0"), Verdict::Maybe);
        assert_eq!(of("x-0"), Verdict::Never);
        let text = |text: &str| verdict(b"took 12ms for a1b2 on host", text.as_bytes()).unwrap();
        assert_eq!(text("quota ledger mismatch"), Verdict::Never);
        assert_eq!(text("2ms for x9"), Verdict::Maybe);
        assert_eq!(text("ms for xy on"), Verdict::Never, "a word without digit would be literal");
        assert_eq!(text("1"), Verdict::InSlots(0b11));
        assert_eq!(text(&"9".repeat(300)), Verdict::Maybe, "a word of so many digits");
        assert_eq!(text(""), Verdict::Always);
    }

    proptest! {
        #[test]
        fn what_a_line_contains_its_template_does_not_deny(
            line in r#"(\{"a":")?([a-c]{0,3}[0-9]{0,3}[ :"\\-]?|[0-9a-f]{8,12}|f81d4fae-7dec-11d0-a765-00a0c91e6bf6|2026-11-19T00:00:00(\.12)?Z|12:34:56|":"|[0-9]{20}){0,6}"#,
            other in r#"[a-c0-3:" -]{0,4}"#, from in 0usize..80, len in 0usize..60
        ) {
            let line = line.as_bytes();
            let from = from.min(line.len());
            for text in [&line[from..(from + len).min(line.len())], other.as_bytes()] {
                let is_in = memchr::memmem::find(line, text).is_some();
                let (mut template, mut tokens) = (Vec::new(), Vec::new());
                prop_assert!(split(line, &mut template, &mut tokens));
                match Needle::new(text).against(&Shapes::new(&template)) {
                    Verdict::Never => prop_assert!(!is_in),
                    Verdict::Always => prop_assert!(is_in),
                    Verdict::InSlots(slots) => {
                        let in_slot = tokens.iter().enumerate().filter(|(n, _)| slots >> n & 1 == 1).any(|(_, t)| {
                            memchr::memmem::find(&line[t.start as usize..t.end as usize], text).is_some()
                        });
                        prop_assert_eq!(in_slot, is_in);
                    }
                    Verdict::Maybe => {}
                }
            }
        }
    }
}
