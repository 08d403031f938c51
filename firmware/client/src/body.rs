//! Bodies of answers.

use crate::error::{ClientError, from_hyper};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use std::fmt;

/// A body that arrives piece by piece. Dropping it closes the connection (HTTP/1) or resets the stream (HTTP/2).
pub struct BodyStream(Incoming);

impl fmt::Debug for BodyStream {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("BodyStream")
    }
}

impl BodyStream {
    pub(crate) fn new(incoming: Incoming) -> Self {
        BodyStream(incoming)
    }

    /// The next piece: 1 byte to what one read of the connection brought (at most some 64 KiB). `None` at the end.
    /// Waits as long as the server does: whoever calls sets the time limit. Safe to drop while waiting.
    pub async fn next(&mut self) -> Option<Result<Bytes, ClientError>> {
        loop {
            match self.0.frame().await? {
                Err(error) => return Some(Err(from_hyper(&error))),
                Ok(frame) => {
                    if let Ok(data) = frame.into_data()
                        && !data.is_empty()
                    {
                        return Some(Ok(data));
                    }
                }
            }
        }
    }

    /// The rest of the body, if it is not longer than `bytes_max`.
    pub(crate) async fn gather(mut self, bytes_max: usize) -> Result<Bytes, ClientError> {
        let Some(first) = self.next().await.transpose()? else { return Ok(Bytes::new()) };
        if first.len() > bytes_max {
            return Err(ClientError::TooLarge);
        }
        let Some(second) = self.next().await.transpose()? else { return Ok(first) };
        let mut gathered = BytesMut::from(first);
        let mut next = Some(second);
        while let Some(piece) = next {
            if gathered.len() + piece.len() > bytes_max {
                return Err(ClientError::TooLarge);
            }
            gathered.extend_from_slice(&piece);
            next = self.next().await.transpose()?;
        }
        Ok(gathered.freeze())
    }
}
