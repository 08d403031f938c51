//! Texts of which a line must contain one if an expression is to match it.

use regex_syntax::hir::literal::{ExtractKind, Extractor, Seq};
use regex_syntax::hir::{Hir, HirKind};

/// Sets with more texts tell too little for their price.
const TEXTS_MAX: usize = 24;
/// Shorter texts are in every second line.
const TEXT_BYTES_MIN: usize = 2;

/// What an expression says of the lines that it matches.
pub(crate) struct Facts {
    /// Every line that matches contains one of these; empty when nothing is known.
    pub(crate) one_of: Vec<Vec<u8>>,
    /// Whether a match in a part of a line is a match in the line: nothing in the expression looks around.
    pub(crate) local: bool,
}

/// Reads `pattern` with the flags of [`regex::bytes::Regex::new`]: other flags have to stand in the pattern.
pub(crate) fn facts(pattern: &str) -> Facts {
    let parsed = regex_syntax::ParserBuilder::new().utf8(false).build().parse(pattern);
    match parsed {
        Ok(hir) => Facts { one_of: one_of(&hir), local: hir.properties().look_set().is_empty() },
        Err(_) => Facts { one_of: Vec::new(), local: false },
    }
}

fn one_of(hir: &Hir) -> Vec<Vec<u8>> {
    let candidates = match hir.kind() {
        HirKind::Concat(parts) => {
            // What begins at each part: an expression may begin with anything and have its literal further on.
            (0..parts.len()).map(|from| prefixes(&Hir::concat(parts[from..].to_vec()))).collect()
        }
        HirKind::Capture(capture) => vec![one_of(&capture.sub)],
        HirKind::Repetition(repetition) if repetition.min > 0 => vec![one_of(&repetition.sub)],
        HirKind::Alternation(parts) => vec![one_of_each(parts)],
        _ => vec![prefixes(hir)],
    };
    candidates.into_iter().filter(|texts| !texts.is_empty()).max_by_key(|texts| worth(texts)).unwrap_or_default()
}

/// One of the texts of each alternative.
fn one_of_each(parts: &[Hir]) -> Vec<Vec<u8>> {
    let each: Vec<Vec<Vec<u8>>> = parts.iter().map(one_of).collect();
    let count = each.iter().map(Vec::len).sum::<usize>();
    if each.iter().any(Vec::is_empty) || count > TEXTS_MAX { Vec::new() } else { each.into_iter().flatten().collect() }
}

/// Long texts are worth more, many are worth less.
fn worth(texts: &[Vec<u8>]) -> usize {
    let shortest = texts.iter().map(Vec::len).min().unwrap_or(0);
    shortest.min(16) * 4 + TEXTS_MAX.saturating_sub(texts.len())
}

fn prefixes(hir: &Hir) -> Vec<Vec<u8>> {
    let mut extractor = Extractor::new();
    extractor.kind(ExtractKind::Prefix).limit_total(TEXTS_MAX).limit_class(4);
    let found: Seq = extractor.extract(hir);
    let texts: Vec<Vec<u8>> = found.literals().unwrap_or_default().iter().map(|l| l.as_bytes().to_vec()).collect();
    if texts.iter().any(|text| text.len() < TEXT_BYTES_MIN) { Vec::new() } else { texts }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn texts(pattern: &str) -> Vec<String> {
        facts(pattern).one_of.into_iter().map(|t| String::from_utf8(t).unwrap()).collect()
    }

    #[test]
    fn literals_are_found_wherever_they_stand() {
        assert_eq!(
            texts("Failed password for (root|admin) from 1[0-9.]+ port 22[0-9]+"),
            ["Failed password for root from 1", "Failed password for admin from 1"]
        );
        assert_eq!(texts("[0-9]+ms in handler"), ["ms in handler"]);
        assert_eq!(texts("(ab|cd)+x"), ["ab", "cd"].map(String::from).to_vec());
        assert!(texts("[a-z]+[0-9]*").is_empty());
        assert!(!texts("(?i)error").is_empty() || facts("(?i)error").local);
        assert!(!facts(r"\berror$").local && facts("err(or)?").local);
    }

    proptest! {
        #[test]
        fn every_match_has_one(pattern in "(a|ab|[bc]){0,2}(ab?c|x(b|c)|c*){1,2}[a-c]?(bc)?", line in "[abcx]{0,12}") {
            let Facts { one_of, .. } = facts(&pattern);
            if !one_of.is_empty() && regex::bytes::Regex::new(&pattern).unwrap().is_match(line.as_bytes()) {
                prop_assert!(one_of.iter().any(|text| memchr::memmem::find(line.as_bytes(), text).is_some()));
            }
        }
    }
}
