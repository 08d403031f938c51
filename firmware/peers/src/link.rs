//! The way to another hub: a request goes out, pieces of an answer come in, and who has heard enough hangs up.

use bramble_client::{Client, ClientError};
use bramble_storage::{QueryContext, ReadError};
use bytes::Bytes;
use http::{Request, StatusCode, header};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

/// Pieces on their way, of at most some 64 KiB each: enough to keep the link busy while a frame is looked at.
const PIECES_WAITING_MAX: usize = 4;
/// Longest text of a refusal that is read.
const REFUSAL_BYTES_MAX: usize = 4096;
/// How often one who waits looks whether the query was stopped.
const LOOK: Duration = Duration::from_millis(100);

/// Why no more comes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Fault {
    /// Nobody answers.
    Unreachable(String),
    /// Somebody answers, and not with what was asked for.
    Refused(String),
}

/// A way to a hub.
pub(crate) trait Link: Send + Sync + 'static {
    /// Asks, and returns at once.
    fn open(&self, body: Bytes) -> Arriving;
}

/// An answer that arrives. Dropping it hangs up.
pub(crate) struct Arriving {
    pub(crate) pieces: mpsc::Receiver<Result<Bytes, Fault>>,
    pub(crate) task: Option<AbortHandle>,
    /// How long its reader has waited.
    pub(crate) waited: Duration,
}

impl Drop for Arriving {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

/// Wakes a thread that waits in [`Arriving::next`].
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

impl Arriving {
    /// The next piece; `None` at the end. Blocks this thread, which need not belong to a runtime and had better not be one
    /// that runs tasks; whoever sends sets the time limit.
    ///
    /// # Errors
    /// The query was stopped meanwhile.
    pub(crate) fn next(&mut self, context: &QueryContext) -> Result<Option<Result<Bytes, Fault>>, ReadError> {
        let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
        let mut polling = Context::from_waker(&waker);
        let began = Instant::now();
        let outcome = loop {
            match self.pieces.poll_recv(&mut polling) {
                Poll::Ready(piece) => break Ok(piece),
                Poll::Pending => {}
            }
            if let Err(stopped) = context.check() {
                break Err(stopped);
            }
            std::thread::park_timeout(LOOK);
        };
        self.waited += began.elapsed();
        outcome
    }
}

/// The way over HTTP.
pub(crate) struct HttpLink {
    pub(crate) client: Client,
    /// Where requests go.
    pub(crate) uri: http::Uri,
    pub(crate) timeout: Duration,
    pub(crate) runtime: Handle,
    /// Bytes that came.
    pub(crate) received_bytes: prometheus::IntCounter,
}

impl Link for HttpLink {
    fn open(&self, body: Bytes) -> Arriving {
        let (sender, pieces) = mpsc::channel(PIECES_WAITING_MAX);
        let request = Request::post(self.uri.clone()).header(header::CONTENT_TYPE, "application/json").body(body);
        let (client, timeout, received) = (self.client.clone(), self.timeout, self.received_bytes.clone());
        let task = self.runtime.spawn(async move {
            let outcome = match request {
                Ok(request) => fetch(&client, request, timeout, &received, &sender).await,
                Err(error) => Err(Fault::Refused(error.to_string())),
            };
            if let Err(fault) = outcome {
                let _ = sender.send(Err(fault)).await;
            }
        });
        Arriving { pieces, task: Some(task.abort_handle()), waited: Duration::ZERO }
    }
}

async fn fetch(
    client: &Client,
    request: Request<Bytes>,
    timeout: Duration,
    received: &prometheus::IntCounter,
    pieces: &mpsc::Sender<Result<Bytes, Fault>>,
) -> Result<(), Fault> {
    let broken = |error: ClientError| Fault::Unreachable(error.to_string());
    let answer = client.open(request, timeout).await.map_err(broken)?;
    let status = answer.status();
    let mut body = answer.into_body();
    let mut refusal = Vec::new();
    loop {
        let silent = || Fault::Unreachable(format!("no sign of life for {} s", timeout.as_secs_f64()));
        let piece = match tokio::time::timeout(timeout, body.next()).await.map_err(|_| silent())? {
            Some(piece) => piece.map_err(broken)?,
            None if status == StatusCode::OK => return Ok(()),
            None => return Err(refused(status, &refusal)),
        };
        received.inc_by(piece.len() as u64);
        if status != StatusCode::OK {
            refusal.extend_from_slice(&piece);
            if refusal.len() >= REFUSAL_BYTES_MAX {
                return Err(refused(status, &refusal));
            }
        } else if pieces.send(Ok(piece)).await.is_err() {
            return Ok(());
        }
    }
}

fn refused(status: StatusCode, text: &[u8]) -> Fault {
    let text = String::from_utf8_lossy(text);
    let told = serde_json::from_str::<serde_json::Value>(&text).ok();
    let told = told.as_ref().and_then(|json| json.get("error")).and_then(|error| error.as_str());
    let text: String = told.unwrap_or(text.trim()).chars().take(300).collect();
    Fault::Refused(format!("it answered {status}: {text}"))
}
