//! One running tail.

use super::frame::text;
use super::holding::Holding;
use super::{Place, Request};
use crate::run::run_holding;
use crate::state::ApiState;
use axum::extract::ws::{CloseFrame, Message, WebSocket, close_code};
use bramble_query_logql::eval::{self, Tail};
use bramble_query_logql::{Answer, Entry, LabelSet, LogParams, Stream};
use bramble_runtime::Reservation;
use bramble_signal::{Labels, LogBatch};
use bramble_storage::{Direction, Drained, LogTap, QueryContext, Selector};
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};

/// Most that waits in a tail's queue; less where queries have little memory, so that ten slow readers leave them most.
const QUEUE_BYTES_MAX: usize = 512 << 10;
const QUEUE_SHARE: usize = 40;

const PING_EVERY: Duration = Duration::from_secs(1);

/// How long a frame may take to leave; then the client is gone.
const SEND_TIME_MAX: Duration = Duration::from_secs(30);

/// Longest reason of a close frame, bytes (RFC 6455: 125 with the code).
const REASON_BYTES_MAX: usize = 123;

/// How a tail ends.
enum End {
    /// The client left, or does not read.
    Gone,
    /// With a reason.
    Failed(String),
}

/// Follows until the client leaves, something fails or the time is up.
pub(super) async fn follow(
    mut socket: WebSocket,
    state: Arc<ApiState>,
    request: Request,
    place: Result<Place, String>,
) {
    let outcome = match &place {
        Ok(_) => followed(&mut socket, &state, request).await,
        Err(reason) => End::Failed(reason.clone()),
    };
    if let End::Failed(reason) = outcome {
        let end = (0..=REASON_BYTES_MAX.min(reason.len())).rev().find(|&at| reason.is_char_boundary(at));
        let reason = reason.get(..end.unwrap_or(0)).unwrap_or_default().into();
        let close = Message::Close(Some(CloseFrame { code: close_code::ERROR, reason }));
        let _ = timeout(SEND_TIME_MAX, socket.send(close)).await;
    }
    // The closing handshake: until the other side has heard it too.
    let _ = timeout(PING_EVERY, async { while let Some(Ok(_)) = socket.recv().await {} }).await;
}

async fn followed(socket: &mut WebSocket, state: &Arc<ApiState>, request: Request) -> End {
    let woken = Arc::new(Notify::new());
    let Request { expr, pipeline, start_ns, limit, delay, form } = request;
    let (wake, query) = (woken.clone(), expr.clone());
    let begin = move |state: &Arc<ApiState>, context: &QueryContext| {
        let selector = Selector::new(expr.matchers.clone(), &state.logs.floating_names());
        let wake = Box::new(move || wake.notify_one());
        let queue_bytes = (state.query_budget.limit_bytes() / QUEUE_SHARE).min(QUEUE_BYTES_MAX);
        let tap = state.tails.taps.subscribe(selector, queue_bytes, wake).map_err(|over| over.to_string())?;
        let (direction, categorize) = (Direction::Backward, form == super::Form::V1 { categorize: true });
        let end_ns = i64::MAX;
        let params = LogParams { start_ns, end_ns, limit, direction, interval_ns: 0, categorize };
        let history = eval::log(&*state.logs, &query, &params, context).map_err(|e| e.to_string())?;
        Ok::<(LogTap, Answer), String>((tap, history))
    };
    let (tap, history, context) = match run_holding(state, None, begin).await {
        Ok((Ok((tap, history)), context)) => (tap, history, context),
        Ok((Err(reason), _)) => return End::Failed(reason),
        Err(error) => return End::Failed(error.to_string()),
    };
    let Ok(space) = state.query_budget.reserve(0) else { return End::Failed("no memory for a tail".to_owned()) };
    let streams = if let Answer::Streams(streams) = history { streams } else { Vec::new() };
    let mut tail = Live { tap, pipeline: Some(pipeline), holding: Holding::new(delay, space), form };
    let dropped = tail.begin(streams).await;
    drop(context);
    let until = Instant::now() + state.tails.duration_max;
    tail.run(socket, &woken, dropped, until).await
}

/// What a tail has while it runs.
struct Live {
    tap: LogTap,
    /// Away while it runs on a blocking thread.
    pipeline: Option<Tail>,
    holding: Holding,
    form: super::Form,
}

/// Streams and times of what was lost, and their memory.
#[derive(Default)]
struct Lost {
    entries: Vec<(Labels, i64)>,
    _held: Option<Reservation>,
}

impl Live {
    /// History, and what came while it was read: what is in both once.
    async fn begin(&mut self, history: Vec<Stream>) -> Lost {
        let now = Instant::now();
        let mut known: HashSet<(LabelSet, i64, Vec<u8>)> = HashSet::new();
        for Stream { labels, entries } in history {
            for entry in entries {
                known.insert((labels.clone(), entry.timestamp_ns, entry.line.clone()));
                self.holding.push_due(labels.clone(), entry, now);
            }
        }
        let (entries, lost) = self.passed().await;
        for (labels, entry) in entries {
            let key = (labels, entry.timestamp_ns, entry.line);
            if !known.contains(&key) {
                let (labels, _, line) = key;
                self.holding.push_due(labels, Entry { line, ..entry }, now);
            }
        }
        lost
    }

    /// What came since the last time and passes the pipeline, and what was lost.
    async fn passed(&mut self) -> (Vec<(LabelSet, Entry)>, Lost) {
        let Drained { batches, dropped, held } = self.tap.drain();
        if batches.is_empty() {
            return (Vec::new(), Lost { entries: dropped.entries, _held: held });
        }
        let Some(mut pipeline) = self.pipeline.take() else { return Default::default() };
        let work = move || {
            let mut out = Vec::new();
            let mut all = |batch: &LogBatch| pipeline.run(batch, |labels, entry| out.push((labels, entry)));
            batches.iter().for_each(&mut all);
            (pipeline, out)
        };
        // An expression over a megabyte of lines takes milliseconds: not for a thread that serves others.
        let Ok((pipeline, out)) = tokio::task::spawn_blocking(work).await else { return Default::default() };
        self.pipeline = Some(pipeline);
        (out, Lost { entries: dropped.entries, _held: held })
    }

    async fn run(&mut self, socket: &mut WebSocket, woken: &Notify, mut lost: Lost, until: Instant) -> End {
        let mut ping = interval(PING_EVERY);
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let now = Instant::now();
            loop {
                let entries = self.holding.take(now);
                let frame = text(self.form, &entries, &std::mem::take(&mut lost).entries);
                if frame.is_empty() {
                    break;
                }
                drop(entries);
                if !send(socket, Message::Text(frame.into())).await {
                    return End::Gone;
                }
            }
            let due = self.holding.next_due();
            tokio::select! {
                () = woken.notified() => {
                    let (entries, more) = self.passed().await;
                    if self.pipeline.is_none() {
                        return End::Failed("the query failed on an entry".to_owned());
                    }
                    let now = Instant::now();
                    entries.into_iter().for_each(|(labels, entry)| self.holding.push(labels, entry, now));
                    lost = more;
                }
                () = sleep_until(due.unwrap_or(until)), if due.is_some() => {}
                _ = ping.tick() => {
                    if !send(socket, Message::Ping(Default::default())).await {
                        return End::Gone;
                    }
                }
                heard = socket.recv() => match heard {
                    Some(Ok(Message::Close(_)) | Err(_)) | None => return End::Gone,
                    Some(Ok(_)) => {}
                },
                () = sleep_until(until) => return End::Failed("reached tail max duration limit".to_owned()),
            }
        }
    }
}

/// Whether the client took it in time.
async fn send(socket: &mut WebSocket, message: Message) -> bool {
    matches!(timeout(SEND_TIME_MAX, socket.send(message)).await, Ok(Ok(())))
}
