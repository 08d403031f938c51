//! What is asked.

use crate::protobuf::{Reader, Value};
use crate::{DecodeError, DecodeErrorKind};
use bramble_signal::{MatchOp, Matcher};

/// In what form an answer is wanted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ResponseType {
    /// One `ReadResponse` with samples.
    Samples,
    /// Frames of `ChunkedReadResponse`.
    StreamedXorChunks,
}

/// One query.
#[derive(Clone, Debug)]
pub struct ReadQuery {
    /// First timestamp wanted, milliseconds, inclusive.
    pub start_ms: i64,
    /// Last timestamp wanted, milliseconds, inclusive.
    pub end_ms: i64,
    /// All must match.
    pub matchers: Vec<Matcher>,
}

/// A request. Hints are not needed: a query's range says what they say.
#[derive(Clone, Debug)]
pub struct ReadRequest {
    /// Each is answered on its own.
    pub queries: Vec<ReadQuery>,
    /// The first wish that can be met; samples where none is named. `None` when every wish is unknown.
    pub response_type: Option<ResponseType>,
}

/// Queries of one request: a Prometheus sends one.
pub const QUERIES_MAX: usize = 64;

/// Matchers of one request: each may hold a regular expression of up to 1 MiB.
pub const MATCHERS_MAX: usize = 64;

impl ReadRequest {
    /// Reads a decompressed request.
    ///
    /// # Errors
    /// [`DecodeError`]: damaged, a regular expression that does not compile, or more than [`QUERIES_MAX`] queries or
    /// [`MATCHERS_MAX`] matchers.
    pub fn decode(body: &[u8]) -> Result<Self, DecodeError> {
        let (mut queries, mut wishes, mut matchers) = (Vec::new(), 0, 0);
        let mut response_type = None;
        let mut reader = Reader::new(body);
        while let Some(field) = reader.next()? {
            match (field.number, field.value) {
                (1, _) if queries.len() >= QUERIES_MAX => {
                    return Err(too_many("queries", QUERIES_MAX, field.position));
                }
                (1, _) => queries.push(query(field.message()?, &mut matchers)?),
                (2, Value::Varint(wish)) => take_wish(wish, &mut wishes, &mut response_type),
                // Packed; all known values take one byte.
                (2, Value::Bytes(packed)) => {
                    packed.iter().for_each(|wish| take_wish(u64::from(*wish), &mut wishes, &mut response_type));
                }
                _ => {}
            }
        }
        if wishes == 0 {
            response_type = Some(ResponseType::Samples);
        }
        Ok(ReadRequest { queries, response_type })
    }
}

fn take_wish(wish: u64, wishes: &mut usize, response_type: &mut Option<ResponseType>) {
    *wishes += 1;
    let known = match wish {
        0 => Some(ResponseType::Samples),
        1 => Some(ResponseType::StreamedXorChunks),
        _ => None,
    };
    *response_type = response_type.or(known);
}

fn too_many(what: &str, max: usize, position: usize) -> DecodeError {
    DecodeError::new(DecodeErrorKind::TooLarge, format!("more than {max} {what}"), position)
}

fn query(mut reader: Reader<'_>, matchers: &mut usize) -> Result<ReadQuery, DecodeError> {
    let mut query = ReadQuery { start_ms: 0, end_ms: 0, matchers: Vec::new() };
    while let Some(field) = reader.next()? {
        match field.number {
            1 => query.start_ms = field.int64()?,
            2 => query.end_ms = field.int64()?,
            3 if *matchers >= MATCHERS_MAX => return Err(too_many("matchers", MATCHERS_MAX, field.position)),
            3 => {
                *matchers += 1;
                query.matchers.push(matcher(field.message()?, field.position)?);
            }
            _ => {}
        }
    }
    Ok(query)
}

fn matcher(mut reader: Reader<'_>, position: usize) -> Result<Matcher, DecodeError> {
    let (mut kind, mut name, mut value) = (0, "", "");
    while let Some(field) = reader.next()? {
        match field.number {
            1 => kind = field.varint()?,
            2 => name = field.text()?,
            3 => value = field.text()?,
            _ => {}
        }
    }
    let malformed = |message: String| DecodeError::new(DecodeErrorKind::Malformed, message, position);
    let op = match kind {
        0 => MatchOp::Equal,
        1 => MatchOp::NotEqual,
        2 => MatchOp::Regex,
        3 => MatchOp::NotRegex,
        other => return Err(malformed(format!("label matcher of unknown type {other}"))),
    };
    Matcher::new(name, op, value).map_err(|error| malformed(error.to_string()))
}
