//! Relabelling: Prometheus' rules over label sets, for targets, for what is scraped, and for log sources.
//!
//! A rule ([`RelabelConfig`]) is checked and compiled when it is read from a configuration; [`relabel`] runs a list of
//! them over the labels of one target or series. Semantics and defaults: Prometheus 3.5, "relabel_config". Expressions
//! are anchored at both ends and `.` matches line breaks.
//!
//! ```
//! use bramble_collect::relabel::{RelabelConfig, RelabelRule, relabel};
//! let rule = RelabelRule {
//!     source_labels: vec!["__address__".into()],
//!     regex: "(.*):.*".into(),
//!     target_label: "host".into(),
//!     ..RelabelRule::default()
//! };
//! let rules = [RelabelConfig::new(rule)?];
//! let mut labels = vec![("__address__".to_owned(), "pi:9100".to_owned())];
//! assert!(relabel(&mut labels, &rules));
//! assert_eq!(labels[1], ("host".to_owned(), "pi".to_owned()));
//! # Ok::<(), bramble_collect::relabel::RelabelError>(())
//! ```

mod config;
mod md5;
mod template;
#[cfg(test)]
mod tests;

pub use config::{Action, RelabelConfig, RelabelError, RelabelRule};

/// Labels on their way through rules: names are unique and not empty, values are not empty; in any order.
pub type LabelPairs = Vec<(String, String)>;

/// The value of a label; empty when it is not there.
pub fn get<'a>(labels: &'a [(String, String)], name: &str) -> &'a str {
    labels.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
}

/// Sets a label; an empty value removes it.
pub fn set(labels: &mut LabelPairs, name: &str, value: &str) {
    match labels.iter().position(|(known, _)| known == name) {
        Some(at) if value.is_empty() => drop(labels.remove(at)),
        Some(at) => {
            if let Some((_, old)) = labels.get_mut(at) {
                value.clone_into(old);
            }
        }
        None if value.is_empty() => {}
        None => labels.push((name.to_owned(), value.to_owned())),
    }
}

/// Runs `rules` over `labels`, in order. `false` when one of them drops what the labels are of; `labels` are then as
/// they were before that rule.
pub fn relabel(labels: &mut LabelPairs, rules: &[RelabelConfig]) -> bool {
    let mut joined = String::new();
    rules.iter().all(|rule| apply(labels, rule, &mut joined))
}

/// Runs one rule; `joined` is scratch memory.
fn apply(labels: &mut LabelPairs, config: &RelabelConfig, joined: &mut String) -> bool {
    let (rule, compiled) = (config.rule(), config.compiled());
    join(labels, rule, joined);
    let value = joined.as_str();
    match config.action() {
        Action::Keep => return compiled.regex.is_match(value),
        Action::Drop => return !compiled.regex.is_match(value),
        Action::KeepEqual => return get(labels, &rule.target_label) == value,
        Action::DropEqual => return get(labels, &rule.target_label) != value,
        Action::Replace => replace(labels, config, value),
        Action::Lowercase => set(labels, &rule.target_label, &value.to_lowercase()),
        Action::Uppercase => set(labels, &rule.target_label, &value.to_uppercase()),
        Action::HashMod => set(labels, &rule.target_label, &hash_modulo(value, rule.modulus).to_string()),
        Action::LabelMap => map_labels(labels, config),
        Action::LabelDrop => labels.retain(|(name, _)| !compiled.regex.is_match(name)),
        Action::LabelKeep => labels.retain(|(name, _)| compiled.regex.is_match(name)),
    }
    true
}

fn join(labels: &LabelPairs, rule: &RelabelRule, joined: &mut String) {
    joined.clear();
    for (at, name) in rule.source_labels.iter().enumerate() {
        if at > 0 {
            joined.push_str(&rule.separator);
        }
        joined.push_str(get(labels, name));
    }
}

fn replace(labels: &mut LabelPairs, config: &RelabelConfig, value: &str) {
    let (rule, compiled) = (config.rule(), config.compiled());
    if compiled.is_constant {
        return set(labels, &rule.target_label, &rule.replacement);
    }
    let Some(captures) = compiled.regex.captures(value) else { return };
    let (mut target, mut replacement) = (String::new(), String::new());
    compiled.target.expand(&captures, &mut target);
    if target.is_empty() {
        return;
    }
    compiled.replacement.expand(&captures, &mut replacement);
    set(labels, &target, &replacement);
}

/// The last eight bytes of the MD5 as a number, modulo `modulus` (not 0).
fn hash_modulo(value: &str, modulus: u64) -> u64 {
    let digest = md5::md5(value.as_bytes());
    let number = digest.iter().skip(8).fold(0u64, |number, &byte| (number << 8) | u64::from(byte));
    number.checked_rem(modulus).unwrap_or(0)
}

/// Copies labels; where several become one name, the one whose old name is last in order wins.
fn map_labels(labels: &mut LabelPairs, config: &RelabelConfig) {
    let compiled = config.compiled();
    let mut mapped: Vec<(String, String, String)> = Vec::new();
    for (name, value) in labels.iter() {
        if let Some(captures) = compiled.regex.captures(name) {
            let mut target = String::new();
            compiled.replacement.expand(&captures, &mut target);
            if !target.is_empty() {
                mapped.push((name.clone(), target, value.clone()));
            }
        }
    }
    mapped.sort_unstable();
    for (_, target, value) in mapped {
        set(labels, &target, &value);
    }
}
