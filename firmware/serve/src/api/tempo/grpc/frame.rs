//! Messages in their frames: five bytes before each, a flag and the length.

use axum::extract::Request;
use bramble_wire::compression::{Encoding, decompress};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use std::time::Duration;
use tonic::Status;

pub(super) const ACCEPTED: HeaderValue = HeaderValue::from_static("identity,gzip,zstd,deflate,snappy");

const PREFIX_BYTES: usize = 5;

/// Largest request, as it comes and after decompression: queries are short.
const REQUEST_BYTES_MAX: usize = 1 << 20;

/// Why the frame cannot be read.
fn corrupt(text: impl Into<String>) -> Status {
    Status::invalid_argument(text)
}

/// The one message of a request.
///
/// # Errors
/// As a status for the caller: bad frames, too large, a compression that is not known.
pub(super) async fn read(request: Request) -> Result<Vec<u8>, Status> {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, REQUEST_BYTES_MAX).await.map_err(|_| {
        Status::resource_exhausted(format!("request cannot be read or has more than {REQUEST_BYTES_MAX} bytes"))
    })?;
    unframe(&parts.headers, &body)
}

fn unframe(headers: &HeaderMap, body: &[u8]) -> Result<Vec<u8>, Status> {
    let Some((prefix, message)) = body.split_first_chunk::<PREFIX_BYTES>() else {
        return Err(corrupt(format!("gRPC message prefix: {} bytes of {PREFIX_BYTES}", body.len())));
    };
    let [flag, length @ ..] = *prefix;
    let length = u32::from_be_bytes(length) as usize;
    if length != message.len() {
        return Err(corrupt(format!("gRPC message: its prefix says {length} bytes, the body has {}", message.len())));
    }
    match flag {
        0 => Ok(message.to_vec()),
        1 => {
            let name = headers.get("grpc-encoding").and_then(|v| v.to_str().ok()).unwrap_or("");
            let encoding = Encoding::from_header(name).map_err(|e| Status::unimplemented(e.to_string()))?;
            inflated(encoding, message)
        }
        other => Err(corrupt(format!("gRPC message: compressed flag {other}"))),
    }
}

fn inflated(encoding: Encoding, message: &[u8]) -> Result<Vec<u8>, Status> {
    let mut out = Vec::new();
    decompress(encoding, message, REQUEST_BYTES_MAX, &mut out).map_err(|e| corrupt(e.to_string()))?;
    Ok(out)
}

/// `grpc-timeout`: up to eight digits and a unit. What cannot be read is no limit.
pub(super) fn timeout(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let n: u64 = digits.parse().ok().filter(|_| digits.len() <= 8)?;
    Some(match unit {
        "H" => Duration::from_secs(n * 3600),
        "M" => Duration::from_secs(n * 60),
        "S" => Duration::from_secs(n),
        "m" => Duration::from_millis(n),
        "u" => Duration::from_micros(n),
        "n" => Duration::from_nanos(n),
        _ => return None,
    })
}

/// A message that is being written, with room for its frame.
pub(in super::super) struct Message(Vec<u8>);

impl Default for Message {
    fn default() -> Self {
        Self::new()
    }
}

impl Message {
    pub(in super::super) fn new() -> Self {
        Message(vec![0; PREFIX_BYTES])
    }

    /// Where its fields are appended.
    pub(in super::super) fn fields(&mut self) -> &mut Vec<u8> {
        &mut self.0
    }

    pub(in super::super) fn len(&self) -> usize {
        self.0.len() - PREFIX_BYTES
    }

    /// Its fields, without the frame.
    pub(in super::super) fn into_fields(mut self) -> Vec<u8> {
        self.0.split_off(PREFIX_BYTES)
    }

    pub(super) fn framed(mut self) -> Bytes {
        let length = (self.len() as u32).to_be_bytes();
        self.0.iter_mut().skip(1).zip(length).for_each(|(to, from)| *to = from);
        self.0.into()
    }
}

/// Headers of a request, for tests.
#[cfg(test)]
fn headers(name: &'static str, value: &str) -> HeaderMap {
    HeaderMap::from_iter([(http::HeaderName::from_static(name), value.parse().unwrap())])
}

#[cfg(test)]
mod tests {
    use super::*;
    use tonic::Code;

    #[test]
    fn frames_are_read_and_written() {
        let mut message = Message::new();
        message.fields().extend(b"abc");
        let framed = message.framed();
        assert_eq!(framed.as_ref(), b"\0\0\0\0\x03abc");
        assert_eq!(unframe(&HeaderMap::new(), &framed).unwrap(), b"abc");
        let code = |body: &[u8]| unframe(&HeaderMap::new(), body).unwrap_err().code();
        assert_eq!(code(b""), Code::InvalidArgument);
        assert_eq!(code(b"\0\0\0\0\x04abc"), Code::InvalidArgument);
        assert_eq!(code(b"\x07\0\0\0\x03abc"), Code::InvalidArgument);
        assert_eq!(
            unframe(&headers("grpc-encoding", "gzip"), b"\x01\0\0\0\x03abc").unwrap_err().code(),
            Code::InvalidArgument
        );
        assert_eq!(
            unframe(&headers("grpc-encoding", "br"), b"\x01\0\0\0\x03abc").unwrap_err().code(),
            Code::Unimplemented
        );
    }

    #[test]
    fn timeouts() {
        let of = |text: &str| timeout(&headers("grpc-timeout", text));
        assert_eq!(of("100m"), Some(Duration::from_millis(100)));
        assert_eq!((of("2S"), of("1H")), (Some(Duration::from_secs(2)), Some(Duration::from_secs(3600))));
        assert_eq!((of("123456789S"), of("x"), of(""), of("5")), (None, None, None, None));
    }
}
