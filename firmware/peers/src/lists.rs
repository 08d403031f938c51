//! Items of lists as JSON.

use crate::forms::Wanted;
use crate::frame::{FRAME_BYTES, FrameWriter, LIST};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bramble_signal::{Labels, LabelsRef, SpanKind};
use bramble_storage::{AttributeScope, FoundValue, ReadError, StreamSteps, TemplateCounts};
use serde::{Deserialize, Serialize};

/// Sends items, in as many frames as they need.
pub(crate) fn send<T: Serialize>(
    items: impl IntoIterator<Item = T>,
    out: &mut FrameWriter<'_>,
) -> Result<(), ReadError> {
    let mut payload = Vec::new();
    for item in items {
        payload.push(if payload.is_empty() { b'[' } else { b',' });
        serde_json::to_writer(&mut payload, &item).map_err(|error| ReadError::Storage(error.to_string()))?;
        if payload.len() >= FRAME_BYTES {
            payload.push(b']');
            out.send(LIST, &payload)?;
            payload.clear();
        }
    }
    if !payload.is_empty() {
        payload.push(b']');
        out.send(LIST, &payload)?;
    }
    Ok(())
}

type Pairs = Vec<(String, String)>;

fn pairs(labels: LabelsRef<'_>) -> Pairs {
    labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// [`StreamSteps`].
#[derive(Serialize, Deserialize)]
pub(crate) struct Steps {
    labels: Pairs,
    steps: Vec<(i64, u64, u64)>,
}

impl From<StreamSteps> for Steps {
    fn from(stream: StreamSteps) -> Self {
        Steps { labels: pairs(stream.labels.as_ref()), steps: stream.steps }
    }
}

impl From<Steps> for StreamSteps {
    fn from(steps: Steps) -> Self {
        StreamSteps { labels: Labels::from_pairs(steps.labels), steps: steps.steps }
    }
}

/// [`TemplateCounts`]; the example in base64, since a line is any bytes.
#[derive(Serialize, Deserialize)]
pub(crate) struct Template {
    labels: Pairs,
    pattern: String,
    example: String,
    first_ns: i64,
    last_ns: i64,
    count: u64,
    samples: Vec<(i64, u64)>,
}

impl From<TemplateCounts> for Template {
    fn from(template: TemplateCounts) -> Self {
        let TemplateCounts { labels, pattern, example, first_ns, last_ns, count, samples } = template;
        let (labels, example) = (pairs(labels.as_ref()), STANDARD.encode(example));
        Template { labels, pattern, example, first_ns, last_ns, count, samples }
    }
}

impl From<Template> for TemplateCounts {
    fn from(template: Template) -> Self {
        let Template { labels, pattern, example, first_ns, last_ns, count, samples } = template;
        let (labels, example) = (Labels::from_pairs(labels), STANDARD.decode(example).unwrap_or_default());
        TemplateCounts { labels, pattern, example, first_ns, last_ns, count, samples }
    }
}

/// An operation: its name, and its kind by OTLP's number.
pub(crate) type Operation = (String, u8);

/// An operation's kind.
pub(crate) fn kind_of(operation: Operation) -> (String, SpanKind) {
    (operation.0, SpanKind::from_code(operation.1.into()))
}

/// The key of an attribute and where it was found.
#[derive(Serialize, Deserialize)]
pub(crate) struct Key {
    #[serde(with = "Wanted")]
    pub(crate) scope: AttributeScope,
    pub(crate) key: String,
}

/// [`FoundValue`].
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Value {
    Bool(bool),
    Int(i64),
    DoubleBits(u64),
    Text(String),
}

impl From<FoundValue> for Value {
    fn from(value: FoundValue) -> Self {
        match value {
            FoundValue::Bool(b) => Value::Bool(b),
            FoundValue::Int(i) => Value::Int(i),
            FoundValue::Double(bits) => Value::DoubleBits(bits),
            FoundValue::Text(text) => Value::Text(text),
        }
    }
}

impl From<Value> for FoundValue {
    fn from(value: Value) -> Self {
        match value {
            Value::Bool(b) => FoundValue::Bool(b),
            Value::Int(i) => FoundValue::Int(i),
            Value::DoubleBits(bits) => FoundValue::Double(bits),
            Value::Text(text) => FoundValue::Text(text),
        }
    }
}
