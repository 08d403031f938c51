//! `label_replace` and `label_join`.

use super::engine::failed;
use super::evaluator::{Evaluator, Outcome, Sink};
use super::names::merge_equal;
use super::rows::{Grid, Row};
use crate::syntax::{Expr, go_quote, raw_byte};
use bramble_signal::METRIC_NAME;
use bramble_storage::ReadError;
use regex::{Captures, RegexBuilder};

/// Bytes a compiled expression may take.
const REGEX_SIZE_MAX_BYTES: usize = 1 << 20;

/// Bytes of a value that is made here: far above any that means something, so that nested joins cannot eat the memory.
const VALUE_BYTES_MAX: usize = 64 << 10;

/// Whether a label may have this name: any UTF-8 text.
pub(crate) fn is_label_name(name: &str) -> bool {
    !name.is_empty() && !name.chars().any(|c| raw_byte(c).is_some())
}

impl Evaluator<'_> {
    pub(crate) fn label_replace(&self, args: &[Expr], grid: Grid, sink: Sink<'_>) -> Outcome<()> {
        let [vector, target, replacement, source, pattern] = args else { return failed("label_replace: arguments") };
        let (target, replacement) = (self.text(target)?, self.text(replacement)?);
        let (source, pattern) = (self.text(source)?, self.text(pattern)?);
        let regex = RegexBuilder::new(&format!("^(?s:{pattern})$")).size_limit(REGEX_SIZE_MAX_BYTES).build();
        let Ok(regex) = regex else {
            return failed(format!("invalid regular expression in label_replace(): {pattern}"));
        };
        if !is_label_name(&target) {
            return failed(format!("invalid destination label name in label_replace(): {}", shown(&target)));
        }
        self.relabelled(vector, &target, grid, sink, &|row| {
            let value = row.labels.get(&source).unwrap_or_default();
            let Some(captures) = regex.captures(value) else { return Ok(None) };
            // No reference gives more than the whole value.
            let references = replacement.bytes().filter(|b| *b == b'$').count();
            fitting(references.saturating_mul(value.len()).saturating_add(replacement.len()))?;
            Ok(Some(expand(&replacement, &captures)))
        })
    }

    pub(crate) fn label_join(&self, args: &[Expr], grid: Grid, sink: Sink<'_>) -> Outcome<()> {
        let [vector, target, separator, sources @ ..] = args else { return failed("label_join: arguments") };
        let (target, separator) = (self.text(target)?, self.text(separator)?);
        let sources = sources.iter().map(|s| self.text(s)).collect::<Outcome<Vec<_>>>()?;
        if let Some(bad) = sources.iter().find(|s| !is_label_name(s)) {
            return failed(format!("invalid source label name in label_join(): {}", shown(bad)));
        }
        if !is_label_name(&target) {
            return failed(format!("invalid destination label name in label_join(): {}", shown(&target)));
        }
        self.relabelled(vector, &target, grid, sink, &|row| {
            let values: Vec<&str> = sources.iter().map(|s| row.labels.get(s).unwrap_or_default()).collect();
            fitting(values.iter().map(|v| v.len() + separator.len()).sum())?;
            Ok(Some(values.join(&separator)))
        })
    }

    fn relabelled(
        &self,
        vector: &Expr,
        target: &str,
        grid: Grid,
        sink: Sink<'_>,
        value: &dyn Fn(&Row) -> Outcome<Option<String>>,
    ) -> Outcome<()> {
        let mut rows = self.collect(vector, grid)?.take();
        for row in &mut rows {
            let Some(value) = value(row)? else { continue };
            self.context.check()?;
            self.context.reserve(value.len()).map_err(ReadError::from)?;
            let mut builder = row.labels.to_builder();
            builder.set(target, &value);
            row.labels = builder.build();
            if target == METRIC_NAME {
                // A name that was given on purpose stays.
                row.drop_name = false;
            }
        }
        merge_equal(rows)?.into_iter().try_for_each(sink)
    }
}

/// Refuses a value that may become too long.
fn fitting(bytes: usize) -> Outcome<()> {
    if bytes > VALUE_BYTES_MAX {
        return failed(format!("a label value would be longer than {VALUE_BYTES_MAX} bytes"));
    }
    Ok(())
}

fn shown(name: &str) -> String {
    let quoted = go_quote(name);
    quoted.get(1..quoted.len() - 1).unwrap_or_default().to_owned()
}

/// Go's template: `$1`, `$name`, `${name}`, `$$`. A name is the longest run of letters, digits and `_`.
fn expand(template: &str, captures: &Captures<'_>) -> String {
    let mut out = String::new();
    captures.expand(template, &mut out);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_expand_like_go() {
        let regex = regex::Regex::new("^(?s:(a)(?P<rest>.*))$").unwrap();
        let captures = regex.captures("abc").unwrap();
        for (template, text) in [("$1-${rest}", "a-bc"), ("$$", "$"), ("$1x", ""), ("${1}x", "ax"), ("$9", "")] {
            assert_eq!(expand(template, &captures), text, "{template}");
        }
    }

    #[test]
    fn names_are_texts() {
        assert!(is_label_name("my.label") && is_label_name("ä") && !is_label_name(""));
    }
}
