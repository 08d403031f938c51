//! Attribute actions: insert, update, upsert, delete, hash, extract and convert, as the Collector's attributes processor
//! names them, on attributes of resources and spans, on labels of streams and series, and on metadata of entries.

use super::config::{ActionConfig, ActionKind, ConvertTo, EnrichConfig, FieldValue, Place};
use super::fields::{Fields, Value};
use super::selector::label_name;
use bramble_signal::attributes::AttributeValue;
use regex::Regex;
use sha2::{Digest, Sha256};
use std::borrow::Cow;

/// Which fields an action is for.
#[derive(Clone, Debug)]
enum Keys {
    One(String),
    Matching(Regex),
}

impl Keys {
    fn has(&self, key: &str) -> bool {
        match self {
            Keys::One(one) => one == key,
            Keys::Matching(regex) => regex.is_match(key),
        }
    }
}

/// Where a new value comes from.
#[derive(Clone, Debug)]
enum Source {
    Given(FieldValue),
    From(String),
}

/// Whether the field must be there, must be absent, or either.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum When {
    Absent,
    Present,
    Always,
}

/// One action.
#[derive(Clone, Debug)]
enum Action {
    Set { key: String, when: When, source: Source },
    Delete(Keys),
    Hash(Keys),
    Extract { key: String, regex: Regex, names: Vec<(usize, String)> },
    Convert { key: String, to: ConvertTo },
}

/// Actions in order, with their names as attributes have them and as labels have them.
#[derive(Clone, Debug, Default)]
pub(super) struct Actions {
    resource: Named,
    item: Named,
}

#[derive(Clone, Debug, Default)]
struct Named {
    attributes: Vec<Action>,
    labels: Vec<Action>,
}

impl Actions {
    /// Compiles what is declared.
    ///
    /// # Errors
    /// The place of the wrong action, and why.
    pub(super) fn compile(configs: &[ActionConfig]) -> Result<Actions, String> {
        let mut actions = Actions::default();
        for (at, config) in configs.iter().enumerate() {
            let named = match config.on {
                Place::Resource => &mut actions.resource,
                Place::Item => &mut actions.item,
            };
            let at_place = |error: String| format!("[{at}]: {error}");
            named.attributes.push(compile(config, str::to_owned).map_err(at_place)?);
            named.labels.push(compile(config, label_name).map_err(at_place)?);
        }
        Ok(actions)
    }

    /// Actions that add what is known of the place, where it is absent (or always).
    pub(super) fn enriching(config: &EnrichConfig, found: &[(String, String)]) -> Actions {
        let mut actions = Actions::default();
        let when = if config.replace { When::Always } else { When::Absent };
        let declared = config.attributes.iter();
        let missing = found.iter().filter(|(key, _)| !config.attributes.contains_key(key)).map(|(k, v)| (k, v));
        for (key, value) in declared.chain(missing) {
            let set = |key: String| Action::Set { key, when, source: Source::Given(FieldValue::Text(value.clone())) };
            actions.resource.attributes.push(set(key.clone()));
            actions.resource.labels.push(set(label_name(key)));
        }
        actions
    }

    /// Whether there are actions on resources, streams and series; on spans and entries.
    pub(super) fn are_for(&self) -> (bool, bool) {
        (!self.resource.labels.is_empty(), !self.item.labels.is_empty())
    }

    /// Acts on a resource's or a span's attributes.
    pub(super) fn change_attributes(&self, place: Place, fields: &mut Fields<'_>) {
        run(&self.of(place).attributes, fields);
    }

    /// Acts on the labels of a stream or the metadata of an entry.
    pub(super) fn change_labels(&self, place: Place, fields: &mut Fields<'_>) {
        run(&self.of(place).labels, fields);
    }

    fn of(&self, place: Place) -> &Named {
        match place {
            Place::Resource => &self.resource,
            Place::Item => &self.item,
        }
    }
}

fn compile(config: &ActionConfig, name: impl Fn(&str) -> String) -> Result<Action, String> {
    let key = || match config.key.as_str() {
        "" => Err(format!("`{}` needs a key", config.action.as_str())),
        key => Ok(name(key)),
    };
    let regex = || {
        let pattern = config.pattern.as_deref().ok_or("a pattern is needed")?;
        Regex::new(pattern).map_err(|error| format!("pattern: {error}"))
    };
    let keys = || match (&config.pattern, config.key.is_empty()) {
        (Some(_), true) => regex().map(Keys::Matching),
        (Some(_), false) => Err("either a key or a pattern of keys, not both".to_owned()),
        (None, _) => key().map(Keys::One),
    };
    let set = |when| {
        let source = match (&config.value, &config.from_attribute) {
            (Some(value), None) => Source::Given(value.clone()),
            (None, Some(from)) => Source::From(name(from)),
            _ => return Err("either a value or from_attribute is needed".to_owned()),
        };
        Ok(Action::Set { key: key()?, when, source })
    };
    match config.action {
        ActionKind::Insert => set(When::Absent),
        ActionKind::Update => set(When::Present),
        ActionKind::Upsert => set(When::Always),
        ActionKind::Delete => Ok(Action::Delete(keys()?)),
        ActionKind::Hash => Ok(Action::Hash(keys()?)),
        ActionKind::Convert => {
            let to = config.converted_type.ok_or("converted_type is needed: int, double, string or bool")?;
            Ok(Action::Convert { key: key()?, to })
        }
        ActionKind::Extract => {
            let regex = regex()?;
            let named = |(at, group): (usize, Option<&str>)| group.map(|group| (at, name(group)));
            let names: Vec<(usize, String)> = regex.capture_names().enumerate().filter_map(named).collect();
            if names.is_empty() {
                return Err("pattern has no named groups, such as (?P<user>.*)".to_owned());
            }
            Ok(Action::Extract { key: key()?, regex, names })
        }
    }
}

fn run(actions: &[Action], fields: &mut Fields<'_>) {
    for action in actions {
        match action {
            Action::Set { key, when, source } => set(key, *when, source, fields),
            Action::Delete(keys) => fields.remove(|name| keys.has(name)),
            Action::Hash(keys) => fields.change(|name| keys.has(name), |value| value.text().map(|text| hashed(&text))),
            Action::Extract { key, regex, names } => extract(key, regex, names, fields),
            Action::Convert { key, to } => fields.change(|name| name == key, |value| convert(value, *to)),
        }
    }
}

fn set(key: &str, when: When, source: &Source, fields: &mut Fields<'_>) {
    let wanted = match when {
        When::Always => true,
        When::Absent => !fields.has(key),
        When::Present => fields.has(key),
    };
    if !wanted {
        return;
    }
    let value = match source {
        Source::Given(FieldValue::Text(text)) => Value::Text(Cow::Owned(text.clone())),
        Source::Given(FieldValue::Bool(is)) => Value::Other(AttributeValue::Bool(*is)),
        Source::Given(FieldValue::Int(number)) => Value::Other(AttributeValue::Int(*number)),
        Source::Given(FieldValue::Double(number)) => Value::Other(AttributeValue::Double(*number)),
        Source::From(other) => match fields.get(other) {
            Some(value) => value.clone(),
            None => return,
        },
    };
    let same = |old: &Value<'_>| match (old, &value) {
        (Value::Text(old), Value::Text(new)) => old == new,
        (Value::Other(old), Value::Other(new)) => old == new,
        _ => false,
    };
    if !fields.get(key).is_some_and(same) {
        fields.set(key, value);
    }
}

/// SHA-256 in hex: equal values stay comparable, and are not there to be read.
fn hashed<'a>(text: &str) -> Value<'a> {
    let digest = Sha256::digest(text.as_bytes());
    Value::Text(Cow::Owned(digest.iter().map(|byte| format!("{byte:02x}")).collect()))
}

fn extract(key: &str, regex: &Regex, names: &[(usize, String)], fields: &mut Fields<'_>) {
    let Some(text) = fields.get(key).and_then(Value::text).map(Cow::into_owned) else { return };
    let Some(captures) = regex.captures(&text) else { return };
    for (group, name) in names {
        if let Some(found) = captures.get(*group).filter(|found| !found.is_empty()) {
            fields.set(name, Value::Text(Cow::Owned(found.as_str().to_owned())));
        }
    }
}

/// The value in another type; `None` where it has none in it or has it already.
fn convert<'a>(value: &Value<'a>, to: ConvertTo) -> Option<Value<'a>> {
    let text = value.text()?;
    let text = text.trim();
    let is = |kind: ConvertTo| match value {
        Value::Text(_) => kind == ConvertTo::String,
        Value::Other(AttributeValue::Int(_)) => kind == ConvertTo::Int,
        Value::Other(AttributeValue::Double(_)) => kind == ConvertTo::Double,
        Value::Other(AttributeValue::Bool(_)) => kind == ConvertTo::Bool,
        Value::Other(_) => false,
    };
    if is(to) {
        return None;
    }
    Some(match to {
        ConvertTo::String => Value::Text(Cow::Owned(text.to_owned())),
        ConvertTo::Double => Value::Other(AttributeValue::Double(text.parse().ok()?)),
        ConvertTo::Int => {
            let whole = |number: f64| (number.is_finite() && number.abs() < 9e18).then_some(number.trunc() as i64);
            Value::Other(AttributeValue::Int(text.parse().ok().or_else(|| text.parse().ok().and_then(whole))?))
        }
        ConvertTo::Bool => match text.to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" => Value::Other(AttributeValue::Bool(true)),
            "false" | "0" | "no" => Value::Other(AttributeValue::Bool(false)),
            _ => return None,
        },
    })
}
