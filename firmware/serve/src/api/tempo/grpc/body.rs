//! The body of a stream: messages as they come from the thread that works, then trailers.
//!
//! The working thread never waits for a slow client: what the channel does not take stays with it and is merged or
//! handed over at the end, when the query's turn is over. Dropping the body, as when the client goes away, stops the
//! work.

use super::super::answer::{ApiError, Gaps};
use super::frame::Message;
use super::status_of;
use crate::client::as_client;
use crate::gate::Client;
use crate::run::{RunError, run_holding};
use crate::state::ApiState;
use bramble_storage::QueryContext;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use http_body::Frame;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::JoinHandle;
use tonic::Status;

/// Messages that may be under way.
const UNDER_WAY: usize = 2;

/// How long a client may take to read what was found; then it is freed.
const READ_TIME_MAX: Duration = Duration::from_secs(120);

/// Longest sentence in a trailer, bytes.
const TRAILER_BYTES_MAX: usize = 1024;

/// Answers a request: puts messages into the outbox and says what is missing.
pub(in super::super) type Work =
    Box<dyn FnOnce(&Arc<ApiState>, &QueryContext, &mut Outbox) -> Result<Gaps, ApiError> + Send>;

/// Messages on their way out.
pub(in super::super) struct Outbox {
    sender: Sender<Bytes>,
    waiting: VecDeque<Bytes>,
}

impl Outbox {
    /// Puts a message behind the others.
    pub(in super::super) fn push(&mut self, message: Message) {
        self.waiting.push_back(message.framed());
    }

    /// Whether nothing waits, so that news would go out at once.
    pub(in super::super) fn is_clear(&self) -> bool {
        self.waiting.is_empty() && self.sender.capacity() > 0
    }

    /// Sends what the client takes now; `false` when it has gone.
    pub(in super::super) fn send(&mut self) -> bool {
        while let Some(message) = self.waiting.pop_front() {
            match self.sender.try_send(message) {
                Ok(()) => {}
                Err(TrySendError::Full(message)) => {
                    self.waiting.push_front(message);
                    break;
                }
                Err(TrySendError::Closed(_)) => return false,
            }
        }
        !self.sender.is_closed()
    }
}

type Worked = Result<((Result<Gaps, ApiError>, VecDeque<Bytes>), QueryContext), RunError>;

enum Stage {
    Running {
        messages: Receiver<Bytes>,
        work: Pin<Box<dyn Future<Output = Worked> + Send>>,
    },
    /// The context holds the memory of what waits.
    Writing {
        waiting: VecDeque<Bytes>,
        trailers: HeaderMap,
        _held: Option<Box<QueryContext>>,
    },
    Done,
}

/// See the module.
pub(super) struct Stream {
    stage: Arc<Mutex<Stage>>,
    /// Ends what is not read.
    patience: JoinHandle<()>,
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.patience.abort();
    }
}

/// Begins the work for `client`, within `timeout` if it names one.
pub(super) fn stream(state: Arc<ApiState>, client: Client, timeout: Option<Duration>, work: Work) -> Stream {
    let (sender, messages) = channel(UNDER_WAY);
    let time_max = state.query_timeout + READ_TIME_MAX;
    let running = async move {
        let worked = move |state: &Arc<ApiState>, context: &QueryContext| {
            let mut outbox = Outbox { sender, waiting: VecDeque::new() };
            let outcome = work(state, context, &mut outbox);
            (outcome, outbox.waiting)
        };
        as_client(client, run_holding(&state, timeout, worked)).await
    };
    let stage = Arc::new(Mutex::new(Stage::Running { messages, work: Box::pin(running) }));
    let weak = Arc::downgrade(&stage);
    let patience = tokio::spawn(async move {
        tokio::time::sleep(time_max).await;
        if let Some(stage) = weak.upgrade() {
            *stage.lock() = Stage::Done;
        }
    });
    Stream { stage, patience }
}

fn trailers(outcome: Result<Gaps, Status>) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    let status = match &outcome {
        Ok(_) => Status::ok(""),
        Err(status) => status.clone(),
    };
    if status.add_header(&mut trailers).is_err() {
        trailers.insert("grpc-status", HeaderValue::from_static("13"));
    }
    if let Ok(gaps) = outcome
        && !gaps.is_whole()
    {
        let mut text: String = gaps.message().chars().map(|c| if c.is_ascii_graphic() { c } else { ' ' }).collect();
        text.truncate(TRAILER_BYTES_MAX);
        trailers
            .extend(HeaderValue::from_str(&text).ok().map(|v| (http::HeaderName::from_static("bramble-partial"), v)));
    }
    trailers
}

/// The stage after the work has ended.
fn ended(messages: &mut Receiver<Bytes>, worked: Worked) -> Stage {
    let mut waiting = VecDeque::new();
    while let Ok(message) = messages.try_recv() {
        waiting.push_back(message);
    }
    let (outcome, held) = match worked {
        Ok(((outcome, rest), held)) => {
            waiting.extend(rest);
            (outcome.map_err(status_of), Some(Box::new(held)))
        }
        Err(error) => (Err(status_of(error.into())), None),
    };
    Stage::Writing { waiting, trailers: trailers(outcome), _held: held }
}

impl http_body::Body for Stream {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let mut stage = self.stage.lock();
        loop {
            match &mut *stage {
                Stage::Running { messages, work } => {
                    if let Poll::Ready(Some(message)) = messages.poll_recv(context) {
                        return Poll::Ready(Some(Ok(Frame::data(message))));
                    }
                    let Poll::Ready(worked) = work.as_mut().poll(context) else { return Poll::Pending };
                    *stage = ended(messages, worked);
                }
                Stage::Writing { waiting, trailers, .. } => {
                    if let Some(message) = waiting.pop_front() {
                        return Poll::Ready(Some(Ok(Frame::data(message))));
                    }
                    let trailers = std::mem::take(trailers);
                    *stage = Stage::Done;
                    return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
                }
                Stage::Done => return Poll::Ready(None),
            }
        }
    }
}
