//! One rule, as it is written, checked and compiled.

use super::template::{Template, has_variables};
use regex::{Regex, RegexBuilder};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// Upper bound of a compiled expression's size in bytes.
const REGEX_SIZE_MAX_BYTES: usize = 2 << 20;

/// The expression of a rule that says none.
pub(super) const DEFAULT_REGEX: &str = "(.*)";
const DEFAULT_SEPARATOR: &str = ";";
const DEFAULT_REPLACEMENT: &str = "$1";

/// What a rule does.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Action {
    /// Sets `target_label` to `replacement` where `regex` matches.
    #[default]
    Replace,
    /// Keeps what matches.
    Keep,
    /// Drops what matches.
    Drop,
    /// Keeps where the joined values equal those of `target_label`.
    KeepEqual,
    /// Drops where the joined values equal those of `target_label`.
    DropEqual,
    /// Sets `target_label` to a hash of the joined values, modulo `modulus`.
    HashMod,
    /// Copies labels whose name matches to the name in `replacement`.
    LabelMap,
    /// Drops labels whose name matches.
    LabelDrop,
    /// Keeps labels whose name matches.
    LabelKeep,
    /// Sets `target_label` to the joined values in small letters.
    Lowercase,
    /// Sets `target_label` to the joined values in capitals.
    Uppercase,
}

impl Action {
    const NAMES: [(Action, &'static str); 11] = [
        (Action::Replace, "replace"),
        (Action::Keep, "keep"),
        (Action::Drop, "drop"),
        (Action::KeepEqual, "keepequal"),
        (Action::DropEqual, "dropequal"),
        (Action::HashMod, "hashmod"),
        (Action::LabelMap, "labelmap"),
        (Action::LabelDrop, "labeldrop"),
        (Action::LabelKeep, "labelkeep"),
        (Action::Lowercase, "lowercase"),
        (Action::Uppercase, "uppercase"),
    ];

    /// The name in configurations.
    pub fn as_str(self) -> &'static str {
        Self::NAMES.iter().find(|(action, _)| *action == self).map_or("", |(_, name)| name)
    }

    /// The action of that name, in any case.
    fn from_name(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(_, known)| known.eq_ignore_ascii_case(name)).map(|(action, _)| *action)
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What is wrong with a rule, in Prometheus' words.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct RelabelError(String);

/// The fields of a rule as they are written; those that are missing have Prometheus' defaults.
#[derive(Clone, PartialEq, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct RelabelRule {
    /// Labels whose values are joined.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub source_labels: Vec<String>,
    /// Between the joined values.
    pub separator: String,
    /// What the joined values (or, for `label*`, names) are held against, whole.
    pub regex: String,
    /// Divisor of `hashmod`.
    #[serde(skip_serializing_if = "is_zero")]
    pub modulus: u64,
    /// The label that is set.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub target_label: String,
    /// What it is set to.
    pub replacement: String,
    /// One of the actions' names; `replace` when empty or missing.
    pub action: String,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Default for RelabelRule {
    fn default() -> Self {
        RelabelRule {
            source_labels: Vec::new(),
            separator: DEFAULT_SEPARATOR.to_owned(),
            regex: DEFAULT_REGEX.to_owned(),
            modulus: 0,
            target_label: String::new(),
            replacement: DEFAULT_REPLACEMENT.to_owned(),
            action: Action::Replace.as_str().to_owned(),
        }
    }
}

/// What a rule compiles to.
#[derive(Debug)]
pub(super) struct Compiled {
    pub(super) regex: Regex,
    pub(super) target: Template,
    pub(super) replacement: Template,
    /// A replacement that is the same for whatever matches, held against nothing: needs no captures.
    pub(super) is_constant: bool,
}

/// One rule of `relabel_configs` or `metric_relabel_configs`: checked and compiled when it is read. Cheap to clone;
/// equal when what is written is.
#[derive(Clone, Deserialize)]
#[serde(try_from = "RelabelRule")]
pub struct RelabelConfig {
    rule: Arc<RelabelRule>,
    action: Action,
    compiled: Arc<Compiled>,
}

impl PartialEq for RelabelConfig {
    fn eq(&self, other: &Self) -> bool {
        self.rule == other.rule
    }
}

impl fmt::Debug for RelabelConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.rule.fmt(f)
    }
}

impl Serialize for RelabelConfig {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.rule.serialize(serializer)
    }
}

impl RelabelConfig {
    /// Checks and compiles a rule.
    ///
    /// # Errors
    /// [`RelabelError`] with the text that Prometheus refuses it with.
    pub fn new(mut rule: RelabelRule) -> Result<Self, RelabelError> {
        if rule.action.is_empty() {
            rule.action = Action::Replace.as_str().to_owned();
        }
        let unknown = || RelabelError(format!("unknown relabel action {:?}", rule.action));
        let action = Action::from_name(&rule.action).ok_or_else(unknown)?;
        rule.action = action.as_str().to_owned();
        let regex = RegexBuilder::new(&format!("^(?s:{})$", rule.regex)).size_limit(REGEX_SIZE_MAX_BYTES).build();
        let regex = regex.map_err(|error| RelabelError(format!("error parsing regexp: {}", regex_text(&error))))?;
        check(&rule, action).map_err(RelabelError)?;
        let compiled = Compiled {
            target: Template::new(&rule.target_label, &regex),
            replacement: Template::new(&rule.replacement, &regex),
            is_constant: rule.regex == DEFAULT_REGEX
                && !has_variables(&rule.target_label)
                && !has_variables(&rule.replacement),
            regex,
        };
        Ok(RelabelConfig { rule: Arc::new(rule), action, compiled: Arc::new(compiled) })
    }

    /// What it does.
    pub fn action(&self) -> Action {
        self.action
    }

    /// Its fields, defaults filled in.
    pub fn rule(&self) -> &RelabelRule {
        &self.rule
    }

    pub(super) fn compiled(&self) -> &Compiled {
        &self.compiled
    }
}

impl TryFrom<RelabelRule> for RelabelConfig {
    type Error = RelabelError;

    fn try_from(rule: RelabelRule) -> Result<Self, RelabelError> {
        Self::new(rule)
    }
}

/// The last line of a message of the regex crate: those before draw where it is.
fn regex_text(error: &regex::Error) -> String {
    let text = error.to_string();
    let last = text.lines().last().unwrap_or_default();
    last.strip_prefix("error: ").unwrap_or(last).to_owned()
}

fn check(rule: &RelabelRule, action: Action) -> Result<(), String> {
    use Action::{DropEqual, HashMod, KeepEqual, LabelDrop, LabelKeep, LabelMap, Lowercase, Replace, Uppercase};
    let RelabelRule { source_labels, separator, regex, modulus, target_label, replacement, .. } = rule;
    if source_labels.iter().any(String::is_empty) {
        return Err("\"\" is not a valid label name".to_owned());
    }
    if *modulus == 0 && action == HashMod {
        return Err("relabel configuration for hashmod requires non-zero modulus".to_owned());
    }
    let wants_target = matches!(action, Replace | HashMod | Lowercase | Uppercase | KeepEqual | DropEqual);
    if wants_target && target_label.is_empty() {
        return Err(format!("relabel configuration for {action} action requires 'target_label' value"));
    }
    let is_plain = separator == DEFAULT_SEPARATOR && replacement == DEFAULT_REPLACEMENT && *modulus == 0;
    let changes_case_or_compares = matches!(action, Lowercase | Uppercase | KeepEqual | DropEqual);
    if changes_case_or_compares && replacement != DEFAULT_REPLACEMENT {
        return Err(format!("'replacement' can not be set for {action} action"));
    }
    if action == LabelMap && replacement.is_empty() {
        return Err(format!("{replacement:?} is invalid 'replacement' for {action} action"));
    }
    if matches!(action, DropEqual | KeepEqual) && !(is_plain && regex == DEFAULT_REGEX) {
        return Err(format!("{action} action requires only 'source_labels' and `target_label`, and no other fields"));
    }
    if matches!(action, LabelDrop | LabelKeep) && !(is_plain && source_labels.is_empty() && target_label.is_empty()) {
        return Err(format!("{action} action requires only 'regex', and no other fields"));
    }
    Ok(())
}
