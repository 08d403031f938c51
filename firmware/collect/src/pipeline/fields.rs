//! Labels, metadata and attributes taken apart, changed, and put together again.

use bramble_signal::attributes::{AttributeValue, AttributesRef, put_attribute};
use bramble_signal::labels::encode_sorted;
use bramble_signal::{LabelsRef, floating_label};
use std::borrow::Cow;

/// A value: a text of ours or theirs, or another of their values.
#[derive(Clone, Debug)]
pub(super) enum Value<'a> {
    Text(Cow<'a, str>),
    Other(AttributeValue<'a>),
}

impl Value<'_> {
    /// As a text, if it has a short one.
    pub(super) fn text(&self) -> Option<Cow<'_, str>> {
        match self {
            Value::Text(text) => Some(Cow::Borrowed(text.as_ref())),
            Value::Other(value) => super::selector::value_text(*value),
        }
    }
}

/// Pairs of a label set, of metadata or of attributes, in their order.
#[derive(Debug)]
pub(super) struct Fields<'a> {
    pairs: Vec<(Cow<'a, str>, Value<'a>)>,
    /// Whether something was changed.
    pub(super) changed: bool,
}

impl<'a> Fields<'a> {
    pub(super) fn of_labels(labels: LabelsRef<'a>) -> Self {
        let pairs = labels.iter().map(|(name, value)| (Cow::Borrowed(name), Value::Text(Cow::Borrowed(value))));
        Fields { pairs: pairs.collect(), changed: false }
    }

    pub(super) fn of_attributes(attributes: AttributesRef<'a>) -> Self {
        let value = |value| match value {
            AttributeValue::Str(text) => Value::Text(Cow::Borrowed(text)),
            other => Value::Other(other),
        };
        let pairs = attributes.iter().map(|(key, v)| (Cow::Borrowed(key), value(v))).collect();
        Fields { pairs, changed: false }
    }

    fn position(&self, key: &str) -> Option<usize> {
        let is = |name: &str| name == key || floating_label(name) == Some(key);
        self.pairs.iter().position(|(name, _)| is(name))
    }

    pub(super) fn get(&self, key: &str) -> Option<&Value<'a>> {
        self.position(key).and_then(|at| self.pairs.get(at)).map(|(_, value)| value)
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.position(key).is_some()
    }

    /// Sets a pair, in the place of the one of its name if there is one.
    pub(super) fn set(&mut self, key: &str, value: Value<'a>) {
        self.changed = true;
        match self.position(key).and_then(|at| self.pairs.get_mut(at)) {
            Some((_, old)) => *old = value,
            None => self.pairs.push((Cow::Owned(key.to_owned()), value)),
        }
    }

    /// Takes out pairs by name; a floating label goes by the name it was sent as.
    pub(super) fn remove(&mut self, is_gone: impl Fn(&str) -> bool) {
        let before = self.pairs.len();
        self.pairs.retain(|(name, _)| !is_gone(floating_label(name).unwrap_or(name)));
        self.changed |= self.pairs.len() != before;
    }

    /// Changes values by name; `None` leaves one as it is.
    pub(super) fn change(&mut self, is_meant: impl Fn(&str) -> bool, new: impl Fn(&Value<'a>) -> Option<Value<'a>>) {
        for (name, value) in &mut self.pairs {
            if is_meant(floating_label(name).unwrap_or(name))
                && let Some(new) = new(value)
            {
                *value = new;
                self.changed = true;
            }
        }
    }

    /// Appends the encoding of a label set: sorted, the first of a name wins, values without a text are left out.
    pub(super) fn encode_labels(&self, out: &mut Vec<u8>) {
        let mut pairs: Vec<(&str, Cow<'_, str>)> =
            self.pairs.iter().filter_map(|(name, value)| Some((name.as_ref(), value.text()?))).collect();
        pairs.retain(|(name, _)| !name.is_empty());
        pairs.sort_by(|a, b| a.0.cmp(b.0));
        pairs.dedup_by(|later, first| later.0 == first.0);
        encode_sorted(pairs.iter().map(|(name, value)| (*name, value.as_ref())), out);
    }

    /// Appends the encoding of attributes, in order.
    pub(super) fn encode_attributes(&self, out: &mut Vec<u8>) {
        for (key, value) in &self.pairs {
            put_attribute(
                out,
                key,
                match value {
                    Value::Text(text) => AttributeValue::Str(text),
                    Value::Other(value) => *value,
                },
            );
        }
    }
}
