//! The four messages.

use crate::error::{DecodeError, DecodeErrorKind};
use crate::protobuf::{Field, Reader, Writer};
use bramble_signal::Signal;

/// Most sources that one node may name, and most positions of one message.
const ENTRIES_MAX: usize = 1 << 16;

/// How a node is, as it says itself.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeStatus {
    /// Bytes waiting on its disk and in its memory for this hub.
    pub queue_bytes: u64,
    /// Most bytes that may wait; what is older is dropped beyond.
    pub queue_bytes_max: u64,
    /// Samples, entries and spans waiting.
    pub queue_items: u64,
    /// When the oldest waiting batch was queued, milliseconds since the Unix epoch by the node's clock; 0 for none.
    pub queue_oldest_ms: i64,
    /// Samples, entries and spans dropped since the node's start, because the queue was full or they were too old.
    pub dropped_items: u64,
    /// Bytes a second that would be queued at the present rate if the hub did not answer: what a forecast is made of.
    pub queue_rate_bytes_per_second: u64,
    /// Memory of the node's process.
    pub rss_bytes: u64,
    /// When its process started, milliseconds since the Unix epoch by the node's clock.
    pub started_ms: i64,
    /// Temperature of its processor; NaN when not known.
    pub temperature_celsius: f64,
    /// What is wrong with it, in words; empty when nothing is.
    pub problem: String,
}

impl Default for NodeStatus {
    fn default() -> Self {
        NodeStatus {
            queue_bytes: 0,
            queue_bytes_max: 0,
            queue_items: 0,
            queue_oldest_ms: 0,
            dropped_items: 0,
            queue_rate_bytes_per_second: 0,
            rss_bytes: 0,
            started_ms: 0,
            temperature_celsius: f64::NAN,
            problem: String::new(),
        }
    }
}

/// A node introduces itself; repeated as a heartbeat.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Hello {
    /// Made once at random and kept; see [`is_node_id`](super::is_node_id).
    pub node_id: String,
    /// For people, usually the host's name.
    pub name: String,
    /// Of its software.
    pub version: String,
    /// One-time token for enrolment; empty when enrolled.
    pub token: String,
    /// What the hub gave at enrolment; empty before.
    pub credential: String,
    /// The node's clock when it sent this, milliseconds since the Unix epoch.
    pub now_ms: i64,
    /// How long the Hello before took until its answer, milliseconds; 0 when not known.
    pub round_trip_ms: u64,
    /// How it is.
    pub status: NodeStatus,
    /// Sources about which it wants to know what is delivered.
    pub sources: Vec<String>,
}

/// What a hub has of one source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceDelivered {
    /// Its name as in the [`Hello`].
    pub source: String,
    /// Last sequence; 0 for none.
    pub sequence: u64,
    /// Key and value of each position.
    pub positions: Vec<(String, String)>,
}

/// A hub's answer to a [`Hello`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HelloAnswer {
    /// Made once at random and kept.
    pub hub_id: String,
    /// For people.
    pub hub_name: String,
    /// Of its software.
    pub hub_version: String,
    /// After an enrolment: what to show from now on. The node must keep it before it uses it.
    pub credential: String,
    /// The hub's clock when it answered, milliseconds since the Unix epoch.
    pub now_ms: i64,
    /// How long to wait until the next Hello, milliseconds.
    pub heartbeat_ms: u64,
    /// What the hub has of the sources asked for; one that is missing is not known yet: ask again before reading it.
    pub delivered: Vec<SourceDelivered>,
}

/// One batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deliver<'a> {
    /// Who sends it.
    pub node_id: &'a str,
    /// That it may.
    pub credential: &'a str,
    /// Of which of the node's sources.
    pub source: &'a str,
    /// Ascending per source, from 1.
    pub sequence: u64,
    /// Whether it waited in a queue on disk: its items may then be older than the hub takes out of order.
    pub late: bool,
    /// What the payload is.
    pub signal: Signal,
    /// The batch.
    pub payload: &'a [u8],
    /// Positions that change with the batch; an empty value removes its key.
    pub positions: Vec<(&'a str, &'a str)>,
}

/// A batch was taken: it is durable on the hub, now or since before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeliverAnswer {
    /// Items stored or there already.
    pub accepted: u64,
    /// Items refused for good.
    pub rejected: u64,
    /// Why, if any were.
    pub message: String,
}

fn too_many(field: &Field<'_>) -> DecodeError {
    DecodeError::new(DecodeErrorKind::TooLarge, "message has too many entries", field.position)
}

fn text(w: &mut Writer<'_>, number: u32, text: &str) {
    if !text.is_empty() {
        w.bytes(number, text);
    }
}

fn number(w: &mut Writer<'_>, field: u32, value: u64) {
    if value != 0 {
        w.varint(field, value);
    }
}

fn position(w: &mut Writer<'_>, field: u32, key: &str, value: &str) {
    w.message(field, |w| {
        text(w, 1, key);
        text(w, 2, value);
    });
}

fn read_position<'a>(field: &Field<'a>) -> Result<(&'a str, &'a str), DecodeError> {
    let (mut key, mut value) = ("", "");
    let mut reader = field.message()?;
    while let Some(field) = reader.next()? {
        match field.number {
            1 => key = field.text()?,
            2 => value = field.text()?,
            _ => {}
        }
    }
    Ok((key, value))
}

impl NodeStatus {
    fn put(&self, w: &mut Writer<'_>) {
        number(w, 1, self.queue_bytes);
        number(w, 2, self.queue_bytes_max);
        number(w, 3, self.queue_items);
        number(w, 4, self.queue_oldest_ms.cast_unsigned());
        number(w, 5, self.dropped_items);
        number(w, 6, self.queue_rate_bytes_per_second);
        number(w, 7, self.rss_bytes);
        number(w, 8, self.started_ms.cast_unsigned());
        if !self.temperature_celsius.is_nan() {
            w.double(9, self.temperature_celsius);
        }
        text(w, 10, &self.problem);
    }

    fn read(mut reader: Reader<'_>) -> Result<Self, DecodeError> {
        let mut status = NodeStatus::default();
        while let Some(field) = reader.next()? {
            match field.number {
                1 => status.queue_bytes = field.varint()?,
                2 => status.queue_bytes_max = field.varint()?,
                3 => status.queue_items = field.varint()?,
                4 => status.queue_oldest_ms = field.int64()?,
                5 => status.dropped_items = field.varint()?,
                6 => status.queue_rate_bytes_per_second = field.varint()?,
                7 => status.rss_bytes = field.varint()?,
                8 => status.started_ms = field.int64()?,
                9 => status.temperature_celsius = field.double()?,
                10 => status.problem = field.text()?.to_owned(),
                _ => {}
            }
        }
        Ok(status)
    }
}

impl Hello {
    /// Appends the message.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let w = &mut Writer::new(out);
        text(w, 1, &self.node_id);
        text(w, 2, &self.name);
        text(w, 3, &self.version);
        text(w, 4, &self.token);
        text(w, 5, &self.credential);
        number(w, 6, self.now_ms.cast_unsigned());
        number(w, 7, self.round_trip_ms);
        w.message(8, |w| self.status.put(w));
        for source in &self.sources {
            w.bytes(9, source);
        }
    }

    /// Reads the message.
    ///
    /// # Errors
    /// [`DecodeError`] for damage, text that is not UTF-8, or more than 65,536 sources.
    pub fn decode(body: &[u8]) -> Result<Self, DecodeError> {
        let mut hello = Hello::default();
        let mut reader = Reader::new(body);
        while let Some(field) = reader.next()? {
            match field.number {
                1 => hello.node_id = field.text()?.to_owned(),
                2 => hello.name = field.text()?.to_owned(),
                3 => hello.version = field.text()?.to_owned(),
                4 => hello.token = field.text()?.to_owned(),
                5 => hello.credential = field.text()?.to_owned(),
                6 => hello.now_ms = field.int64()?,
                7 => hello.round_trip_ms = field.varint()?,
                8 => hello.status = NodeStatus::read(field.message()?)?,
                9 if hello.sources.len() >= ENTRIES_MAX => return Err(too_many(&field)),
                9 => hello.sources.push(field.text()?.to_owned()),
                _ => {}
            }
        }
        Ok(hello)
    }
}

impl SourceDelivered {
    fn read(field: &Field<'_>) -> Result<Self, DecodeError> {
        let mut delivered = SourceDelivered::default();
        let mut reader = field.message()?;
        while let Some(field) = reader.next()? {
            match field.number {
                1 => delivered.source = field.text()?.to_owned(),
                2 => delivered.sequence = field.varint()?,
                3 if delivered.positions.len() >= ENTRIES_MAX => return Err(too_many(&field)),
                3 => {
                    let (key, value) = read_position(&field)?;
                    delivered.positions.push((key.to_owned(), value.to_owned()));
                }
                _ => {}
            }
        }
        Ok(delivered)
    }
}

impl HelloAnswer {
    /// Appends the message.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let w = &mut Writer::new(out);
        text(w, 1, &self.hub_id);
        text(w, 2, &self.hub_name);
        text(w, 3, &self.hub_version);
        text(w, 4, &self.credential);
        number(w, 5, self.now_ms.cast_unsigned());
        number(w, 6, self.heartbeat_ms);
        for delivered in &self.delivered {
            w.message(7, |w| {
                text(w, 1, &delivered.source);
                number(w, 2, delivered.sequence);
                for (key, value) in &delivered.positions {
                    position(w, 3, key, value);
                }
            });
        }
    }

    /// Reads the message.
    ///
    /// # Errors
    /// [`DecodeError`] for damage, text that is not UTF-8, or more than 65,536 sources or positions.
    pub fn decode(body: &[u8]) -> Result<Self, DecodeError> {
        let mut answer = HelloAnswer::default();
        let mut reader = Reader::new(body);
        while let Some(field) = reader.next()? {
            match field.number {
                1 => answer.hub_id = field.text()?.to_owned(),
                2 => answer.hub_name = field.text()?.to_owned(),
                3 => answer.hub_version = field.text()?.to_owned(),
                4 => answer.credential = field.text()?.to_owned(),
                5 => answer.now_ms = field.int64()?,
                6 => answer.heartbeat_ms = field.varint()?,
                7 if answer.delivered.len() >= ENTRIES_MAX => return Err(too_many(&field)),
                7 => answer.delivered.push(SourceDelivered::read(&field)?),
                _ => {}
            }
        }
        Ok(answer)
    }
}

impl<'a> Deliver<'a> {
    /// Appends the message.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let w = &mut Writer::new(out);
        text(w, 1, self.node_id);
        text(w, 2, self.credential);
        text(w, 3, self.source);
        number(w, 4, self.sequence);
        number(w, 5, self.late.into());
        w.varint(6, self.signal.code().into());
        for (key, value) in &self.positions {
            position(w, 7, key, value);
        }
        w.bytes(8, self.payload);
    }

    /// Reads the message; texts and payload stay in `body`.
    ///
    /// # Errors
    /// [`DecodeError`] for damage, text that is not UTF-8, a signal that is missing or unknown, or more than 65,536
    /// positions.
    pub fn decode(body: &'a [u8]) -> Result<Self, DecodeError> {
        let (mut node_id, mut credential, mut source, mut sequence, mut late) = ("", "", "", 0, false);
        let (mut signal, mut payload, mut positions) = (None, &[][..], Vec::new());
        let mut reader = Reader::new(body);
        while let Some(field) = reader.next()? {
            match field.number {
                1 => node_id = field.text()?,
                2 => credential = field.text()?,
                3 => source = field.text()?,
                4 => sequence = field.varint()?,
                5 => late = field.bool()?,
                6 => signal = u8::try_from(field.varint()?).ok().and_then(Signal::from_code),
                7 if positions.len() >= ENTRIES_MAX => return Err(too_many(&field)),
                7 => positions.push(read_position(&field)?),
                8 => payload = field.bytes()?,
                _ => {}
            }
        }
        let unknown = || DecodeError::new(DecodeErrorKind::Malformed, "delivery of an unknown signal", body.len());
        let signal = signal.ok_or_else(unknown)?;
        Ok(Deliver { node_id, credential, source, sequence, late, signal, payload, positions })
    }
}

impl DeliverAnswer {
    /// Appends the message.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let w = &mut Writer::new(out);
        number(w, 1, self.accepted);
        number(w, 2, self.rejected);
        text(w, 3, &self.message);
    }

    /// Reads the message.
    ///
    /// # Errors
    /// [`DecodeError`] for damage or text that is not UTF-8.
    pub fn decode(body: &[u8]) -> Result<Self, DecodeError> {
        let mut answer = DeliverAnswer::default();
        let mut reader = Reader::new(body);
        while let Some(field) = reader.next()? {
            match field.number {
                1 => answer.accepted = field.varint()?,
                2 => answer.rejected = field.varint()?,
                3 => answer.message = field.text()?.to_owned(),
                _ => {}
            }
        }
        Ok(answer)
    }
}
