//! Tests on the values of a column.

use crate::group_read::{Column, Range};
use crate::row_set::RowSet;
use crate::view::ValueType;
use bramble_signal::attributes::{ArrayRef, AttributeValue, AttributesRef};
use bramble_storage::ValueTest;

/// What a column says to a test.
pub(crate) enum Passing {
    /// No value passes.
    None,
    /// Every value does.
    All,
    /// Strings of these numbers do.
    Texts(RowSet),
    /// Values at these places do.
    Values(RowSet),
    /// The span's duration divided by this is the value.
    Duration(f64),
}

fn passing(set: RowSet, of: impl FnOnce(RowSet) -> Passing) -> Passing {
    if set.is_empty() { Passing::None } else { of(set) }
}

/// A test on numbers and truth values, its text read once.
pub(crate) struct NumberTest {
    int: Option<i64>,
    double: Option<f64>,
    boolean: Option<bool>,
    range: Option<(f64, f64)>,
    present: bool,
}

impl NumberTest {
    pub(crate) fn new(test: &ValueTest) -> Self {
        let text = if let ValueTest::Is(text) = test { text.as_str() } else { "" };
        NumberTest {
            // Only what prints back the same is the same: "07" is no number's text.
            int: text.parse().ok().filter(|i: &i64| i.to_string() == text),
            double: text.parse().ok().filter(|d: &f64| d.to_string() == text),
            boolean: text.parse().ok(),
            range: if let ValueTest::Within { at_least, at_most } = test { Some((*at_least, *at_most)) } else { None },
            present: matches!(test, ValueTest::Present),
        }
    }

    fn within(&self, value: f64) -> bool {
        self.range.is_some_and(|(at_least, at_most)| (at_least..=at_most).contains(&value))
    }

    pub(crate) fn int(&self, value: i64) -> bool {
        self.present || self.int == Some(value) || self.within(value as f64)
    }

    pub(crate) fn double(&self, value: f64) -> bool {
        let same = |d: f64| d.to_bits() == value.to_bits() || (d.is_nan() && value.is_nan());
        self.present || self.double.is_some_and(same) || self.within(value)
    }

    fn boolean(&self, value: bool) -> bool {
        self.present || self.boolean == Some(value)
    }
}

impl Range {
    /// Whether some value between the ends may pass.
    pub(crate) fn may_pass(self, test: &ValueTest) -> bool {
        let number = NumberTest::new(test);
        match (self, test) {
            (Range::Ints(low, high), ValueTest::Is(_)) => number.int.is_some_and(|i| (low..=high).contains(&i)),
            (Range::Doubles(low, high), ValueTest::Is(_)) => {
                number.double.is_some_and(|d| d.is_nan() || (low..=high).contains(&d))
            }
            (Range::Ints(low, high), ValueTest::Within { at_least, at_most }) => {
                high as f64 >= *at_least && low as f64 <= *at_most
            }
            (Range::Doubles(low, high), ValueTest::Within { at_least, at_most }) => {
                high >= *at_least && low <= *at_most
            }
            _ => true,
        }
    }
}

/// Whether a value that is kept as bytes passes.
fn bytes_pass(key: &str, test: &ValueTest, value_type: ValueType, bytes: &[u8]) -> bool {
    match value_type {
        ValueType::Rest => test.accepts_attribute(AttributesRef::from_encoded(bytes), key),
        ValueType::Text => match test {
            ValueTest::Is(text) => text.as_bytes() == bytes,
            _ => test.accepts_text(std::str::from_utf8(bytes).unwrap_or("")),
        },
        ValueType::Array => test.accepts(&AttributeValue::Array(ArrayRef::from_encoded(bytes))),
        ValueType::List => test.accepts(&AttributeValue::List(AttributesRef::from_encoded(bytes))),
        _ => matches!(test, ValueTest::Present),
    }
}

/// Which values of a column pass a test on `key`.
pub(crate) fn passing_values(key: &str, test: &ValueTest, column: &Column, value_type: ValueType) -> Passing {
    if matches!(test, ValueTest::Present) && value_type != ValueType::Rest {
        return Passing::All;
    }
    let number = NumberTest::new(test);
    match column {
        Column::Empty => Passing::None,
        Column::Bools(values) => passing(
            RowSet::accepted(values.len(), |at| values.get(at).is_some_and(|b| number.boolean(*b != 0))),
            Passing::Values,
        ),
        Column::Ints(values) => passing(
            RowSet::accepted(values.len(), |at| values.get(at).is_some_and(|i| number.int(*i))),
            Passing::Values,
        ),
        Column::Doubles(values) => passing(
            RowSet::accepted(values.len(), |at| values.get(at).is_some_and(|d| number.double(*d))),
            Passing::Values,
        ),
        Column::Duration(unit) => Passing::Duration(*unit),
        Column::Texts(texts) => {
            let pass = |at: usize| bytes_pass(key, test, value_type, texts.list.get(at as u32));
            passing(RowSet::accepted(texts.list.len(), pass), Passing::Texts)
        }
    }
}
