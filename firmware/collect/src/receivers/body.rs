//! Reading a body, paying for it as it arrives.

use super::ReceiverState;
use super::counters::Protocol;
use super::refusal::Refusal;
use axum::body::Body;
use bramble_runtime::Reservation;
use bytes::Bytes;
use http::{HeaderMap, Version, header, request::Parts};
use http_body::Body as _;
use http_body_util::BodyExt;
use std::time::Duration;

/// Bytes in memory and what was reserved for them (their capacity, from the budget `receive`).
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) bytes: Vec<u8>,
    pub(crate) held: Reservation,
}

/// After a refusal so much of an HTTP/1 body is still read and thrown away, for at most [`DRAIN_TIME_MAX`]: the
/// connection can be used again only once the body is over, and a sender that is still writing may never see an
/// answer to a connection that is closed under it.
const DRAIN_BYTES_MAX: u64 = 64 << 20;
const DRAIN_TIME_MAX: Duration = Duration::from_secs(5);

/// Memory grows in steps of at least this.
const STEP_BYTES: usize = 16 << 10;

/// Reads the whole body.
///
/// # Errors
/// [`Refusal::TooLarge`] over the limit (before anything is read when `Content-Length` says so),
/// [`Refusal::OverBudget`], [`Refusal::Timeout`], [`Refusal::Corrupt`] when the connection breaks.
pub(crate) async fn read_body(
    state: &ReceiverState,
    protocol: Protocol,
    parts: &Parts,
    mut body: Body,
) -> Result<Held, Refusal> {
    let result = read(state, protocol, &mut body).await;
    if let Err(refusal) = &result
        && parts.version < Version::HTTP_2
        && !matches!(refusal, Refusal::Timeout | Refusal::Corrupt(_))
        && body.size_hint().upper().is_none_or(|rest| rest <= DRAIN_BYTES_MAX)
        && !expects_continue(&parts.headers)
    {
        drain(&mut body).await;
    }
    result
}

/// Whether the sender waits for a word before it sends the body: reading would make it send what is refused.
fn expects_continue(headers: &HeaderMap) -> bool {
    headers.get(header::EXPECT).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

async fn read(state: &ReceiverState, protocol: Protocol, body: &mut Body) -> Result<Held, Refusal> {
    let limit = state.0.body_bytes_max();
    let too_large = || Refusal::TooLarge(format!("body is larger than the limit of {limit} bytes"));
    let declared = body.size_hint().lower();
    if declared > limit as u64 {
        return Err(too_large());
    }
    let mut all = Held { bytes: Vec::new(), held: state.0.receive.reserve(0)? };
    while let Some(chunk) = next_chunk(body, state.0.limits.body_idle_max).await? {
        state.0.counters.received(protocol, chunk.len() as u64);
        let needed = all.bytes.len() + chunk.len();
        if needed > limit {
            return Err(too_large());
        }
        make_room(&mut all, needed, declared as usize)?;
        all.bytes.extend_from_slice(&chunk);
    }
    Ok(all)
}

/// Reserves before it allocates. What the sender declares is not believed in advance, but tells when doubling
/// would overshoot.
fn make_room(all: &mut Held, needed: usize, declared: usize) -> Result<(), Refusal> {
    let capacity = all.bytes.capacity();
    if needed > capacity {
        let doubled = (capacity * 2).max(STEP_BYTES);
        let target = if declared >= needed { doubled.min(declared) } else { doubled }.max(needed);
        all.held.resize(target)?;
        all.bytes.reserve_exact(target - all.bytes.len());
    }
    Ok(())
}

/// The next piece of a body, or `None` at its end.
///
/// # Errors
/// [`Refusal::Timeout`] after a pause of `idle_max`, [`Refusal::Corrupt`] when the connection breaks.
pub(crate) async fn next_chunk(body: &mut Body, idle_max: Duration) -> Result<Option<Bytes>, Refusal> {
    loop {
        let frame = tokio::time::timeout(idle_max, body.frame()).await.map_err(|_| Refusal::Timeout)?;
        match frame {
            None => return Ok(None),
            Some(Err(error)) => return Err(Refusal::Corrupt(format!("reading the body: {error}"))),
            // Anything but data is trailers, which no sender's request means anything by.
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    return Ok(Some(data));
                }
            }
        }
    }
}

async fn drain(body: &mut Body) {
    let mut left = DRAIN_BYTES_MAX;
    let reading = async {
        while let Some(Ok(frame)) = body.frame().await {
            left = left.saturating_sub(frame.data_ref().map_or(0, |data| data.len() as u64));
            if left == 0 {
                return;
            }
        }
    };
    // Running out of time ends the connection, as it would have ended without draining.
    let _ = tokio::time::timeout(DRAIN_TIME_MAX, reading).await;
}
