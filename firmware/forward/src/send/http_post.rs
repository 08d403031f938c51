//! A POST, and what its answer means.

use super::Outcome;
use crate::config::DestinationConfig;
use bramble_client::{Client, Limits};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri};
use std::time::Duration;

/// Most bytes of an answer that are read: an error's text.
const ANSWER_BYTES_MAX: usize = 64 << 10;
/// How much of a text is told.
const TOLD_BYTES_MAX: usize = 300;

/// What the text of an answer that is no success begins with, before the status.
const STATUS: &str = "server returned HTTP status ";

/// Posts bodies of one kind.
pub(super) struct Post {
    client: Client,
    headers: HeaderMap,
    timeout: Duration,
}

impl Post {
    pub(super) fn new(config: &DestinationConfig) -> Result<Post, String> {
        let client = Client::new(&config.http).map_err(|error| error.to_string())?;
        let mut headers = HeaderMap::new();
        let agent = HeaderValue::from_static(concat!("bramble/", env!("CARGO_PKG_VERSION")));
        headers.insert(http::header::USER_AGENT, agent);
        for (name, value) in &config.headers {
            let name = HeaderName::try_from(name.as_str()).map_err(|error| error.to_string())?;
            headers.insert(name, HeaderValue::try_from(value.as_str()).map_err(|error| error.to_string())?);
        }
        Ok(Post { client, headers, timeout: config.timeout.0 })
    }

    /// Adds a header to every request.
    pub(super) fn header(&mut self, name: &'static str, value: &str) -> Result<(), String> {
        let value = HeaderValue::try_from(value).map_err(|error| format!("{name}: {error}"))?;
        self.headers.insert(HeaderName::from_static(name), value);
        Ok(())
    }

    /// Posts; the outcome of anything but a success, or the answer.
    pub(super) async fn send(
        &self,
        uri: &Uri,
        body: Vec<u8>,
        headers: &[(&'static str, &str)],
    ) -> Result<Response<Bytes>, Outcome> {
        let mut request = Request::new(Bytes::from(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = uri.clone();
        request.headers_mut().clone_from(&self.headers);
        for (name, value) in headers {
            let value = HeaderValue::from_str(value).map_err(|error| Outcome::Refused(error.to_string()))?;
            request.headers_mut().insert(HeaderName::from_static(name), value);
        }
        let limits = Limits { timeout: self.timeout, body_bytes_max: ANSWER_BYTES_MAX };
        let answer = match self.client.send(request, limits).await {
            Ok(answer) => answer,
            // A long answer to something that was taken, or not: try again.
            Err(error) => return Err(Outcome::Away(error.at(&Method::POST, uri))),
        };
        match outcome_of(&answer) {
            None => Ok(answer),
            Some(outcome) => Err(outcome),
        }
    }
}

/// Whether an outcome's text tells of that status, whatever the server's own text says.
pub(super) fn is_status(why: &str, status: StatusCode) -> bool {
    why.strip_prefix(STATUS).is_some_and(|rest| rest.starts_with(status.as_str()))
}

/// What a status other than a success means.
fn outcome_of(answer: &Response<Bytes>) -> Option<Outcome> {
    let status = answer.status();
    if status.is_success() {
        return None;
    }
    let text = String::from_utf8_lossy(answer.body());
    let told = text.char_indices().nth(TOLD_BYTES_MAX).map_or(&text[..], |(end, _)| &text[..end]);
    let why = format!("{STATUS}{status}: {}", told.trim());
    let later = |after| Outcome::Later { after, why: why.clone() };
    Some(match status {
        StatusCode::PAYLOAD_TOO_LARGE => Outcome::TooLarge(why),
        // Somebody can mend these: a key, a path, a proxy. Until then it waits.
        StatusCode::UNAUTHORIZED
        | StatusCode::FORBIDDEN
        | StatusCode::NOT_FOUND
        | StatusCode::METHOD_NOT_ALLOWED
        | StatusCode::PROXY_AUTHENTICATION_REQUIRED => later(None),
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => later(retry_after(answer.headers())),
        _ if status.is_server_error() => later(retry_after(answer.headers())),
        _ => Outcome::Refused(why),
    })
}

/// `Retry-After` in seconds. A date is not followed: nodes have no reliable clock when they start.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds: f64 = headers.get(http::header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Duration::try_from_secs_f64(seconds).ok()
}

/// gzip at the level where time per byte is still low.
pub(super) fn gzip(body: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::with_capacity(body.len() / 4), flate2::Compression::new(3));
    // Writing to memory does not fail.
    _ = encoder.write_all(body);
    encoder.finish().unwrap_or_default()
}

pub(super) fn zstd(body: &[u8]) -> Vec<u8> {
    zstd::bulk::compress(body, 1).unwrap_or_default()
}

/// Snappy's block format.
pub(super) fn snappy(body: &[u8]) -> Result<Vec<u8>, Outcome> {
    snap::raw::Encoder::new().compress_vec(body).map_err(|error| Outcome::TooLarge(error.to_string()))
}
