//! Answers that are made while they are sent: exports, federation, remote read.
//!
//! The work runs on a query's thread and hands over pieces of [`PIECE_BYTES`]; a few may wait for the client, then the
//! work waits. Memory is those pieces, reserved from the query budget, whatever the size of the answer. The work holds
//! its turn until the client has taken the last piece, and the query's deadline ends both.
//!
//! A failure before the first piece is an answer of its own; a later one breaks the connection off, so that no client
//! takes half an answer for a whole one.

use crate::run::{RunError, run};
use crate::state::ApiState;
use axum::body::{Body, Bytes};
use axum::response::Response;
use bramble_storage::{QueryContext, ReadError};
use http::HeaderValue;
use http_body::Frame;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::SendTimeoutError;

/// Bytes of a piece; the last is shorter, and one whose last item is large is longer.
pub(super) const PIECE_BYTES: usize = 64 << 10;

/// Pieces that may wait for the client.
const WAITING_MAX: usize = 4;

/// How often a work that waits for its client looks at the clock.
const LOOK: Duration = Duration::from_millis(200);

/// Where the work writes.
pub(super) struct Pieces<'a> {
    /// What is written and not handed over; append here.
    pub(super) buffer: Vec<u8>,
    sender: mpsc::Sender<Bytes>,
    context: &'a QueryContext,
}

impl Pieces<'_> {
    /// To be called after each item: hands over what is written when it is a whole piece.
    ///
    /// # Errors
    /// [`ReadError::Timeout`] or [`ReadError::Cancelled`] while the client takes nothing.
    pub(super) fn item_done(&mut self) -> Result<(), ReadError> {
        self.context.check()?;
        if self.buffer.len() >= PIECE_BYTES { self.hand_over() } else { Ok(()) }
    }

    fn hand_over(&mut self) -> Result<(), ReadError> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let mut piece = Bytes::from(std::mem::replace(&mut self.buffer, Vec::with_capacity(PIECE_BYTES)));
        let runtime = tokio::runtime::Handle::current();
        loop {
            match runtime.block_on(self.sender.send_timeout(piece, LOOK)) {
                Ok(()) => return Ok(()),
                Err(SendTimeoutError::Closed(_)) => return Err(ReadError::Cancelled),
                Err(SendTimeoutError::Timeout(back)) => piece = back,
            }
            self.context.check()?;
        }
    }
}

/// Why the work ended early.
#[derive(Debug, thiserror::Error)]
pub(super) enum BulkError {
    /// It did not run.
    #[error(transparent)]
    Run(#[from] RunError),
    /// Reading failed.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The client asks for more than it may have; the text says what.
    #[error("{0}")]
    TooMuch(String),
}

type Work = Pin<Box<dyn Future<Output = Result<(), BulkError>> + Send>>;

/// Runs `work` as a query and answers with what it writes.
///
/// # Errors
/// What stopped the work before a first piece was sent.
pub(super) async fn answer<F>(state: &Arc<ApiState>, content_type: &'static str, work: F) -> Result<Response, BulkError>
where
    F: FnOnce(&Arc<ApiState>, &QueryContext, &mut Pieces<'_>) -> Result<(), BulkError> + Send + 'static,
{
    let (sender, mut receiver) = mpsc::channel(WAITING_MAX);
    let state = Arc::clone(state);
    let mut running: Work = Box::pin(async move {
        run(&state, None, move |state, context| {
            context.reserve((WAITING_MAX + 2) * PIECE_BYTES).map_err(ReadError::from)?;
            let mut pieces = Pieces { buffer: Vec::with_capacity(PIECE_BYTES), sender, context };
            work(state, context, &mut pieces)?;
            Ok(pieces.hand_over()?)
        })
        .await?
    });
    let first = tokio::select! {
        piece = receiver.recv() => piece,
        outcome = &mut running => {
            outcome?;
            return Ok(respond(content_type, Sending { first: None, receiver, running: None }));
        }
    };
    let running = match first {
        Some(_) => Some(running),
        // Without a piece the work has ended, well or not.
        None => {
            running.await?;
            None
        }
    };
    Ok(respond(content_type, Sending { first, receiver, running }))
}

fn respond(content_type: &'static str, sending: Sending) -> Response {
    let mut response = Response::new(Body::new(sending));
    response.headers_mut().insert(http::header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// A body under way. Dropping it ends the work.
struct Sending {
    first: Option<Bytes>,
    receiver: mpsc::Receiver<Bytes>,
    running: Option<Work>,
}

impl http_body::Body for Sending {
    type Data = Bytes;
    type Error = BulkError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BulkError>>> {
        let this = self.get_mut();
        if let Some(first) = this.first.take() {
            return Poll::Ready(Some(Ok(Frame::data(first))));
        }
        // The work is looked at first: what it sent before it ended is in the channel by then.
        if let Some(running) = &mut this.running
            && let Poll::Ready(outcome) = running.as_mut().poll(cx)
        {
            this.running = None;
            if let Err(error) = outcome {
                return Poll::Ready(Some(Err(error)));
            }
        }
        match this.receiver.poll_recv(cx) {
            Poll::Ready(Some(piece)) => Poll::Ready(Some(Ok(Frame::data(piece)))),
            Poll::Ready(None) if this.running.is_none() => Poll::Ready(None),
            _ => Poll::Pending,
        }
    }
}

impl BulkError {
    /// The answer of calls whose errors are plain text: Prometheus' bulk calls.
    pub(super) fn into_text(self) -> Response {
        let api = match self {
            BulkError::TooMuch(message) => super::answer::ApiError::bad_data(message),
            BulkError::Run(error) => error.into(),
            BulkError::Read(error) => error.into(),
        };
        let mut response = crate::api::text(api.status, format!("{}\n", api.message));
        if api.status == http::StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(http::header::RETRY_AFTER, HeaderValue::from_static("2"));
        }
        response
    }
}
