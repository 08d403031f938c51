//! `/tail`: entries as they become durable, over a WebSocket.
//!
//! A tail subscribes to the write path's taps first, then reads history, then drains its tap: what is in both is equal
//! and is sent once, and nothing lies in between (see [`bramble_storage::LogTaps`]). From there on everything has a
//! bound: the tap's queue, what is held for `delay_for`, one frame at a time under way. A reader that is too slow makes
//! the queue overflow, and the next frame says what was lost (`dropped_entries`).
//!
//! As in Loki: a bad request is answered with 400 before the upgrade; whatever goes wrong later closes the socket with
//! 1011 and the reason; a ping goes out every second, and nothing is ever expected of the client.

mod frame;
mod holding;
mod live;
#[cfg(test)]
mod tests;

use super::answer::ApiError;
use super::times::{bounds, limit, number};
use crate::params::Params;
use crate::state::ApiState;
use axum::extract::State;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::response::{IntoResponse, Response};
use bramble_query_logql::eval::Tail;
use bramble_query_logql::syntax::LogExpr;
use bramble_query_logql::{Expr, parse};
use bramble_storage::LogTaps;
use frame::Form;
use http::{HeaderMap, StatusCode};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Lines of history when no limit is given, and at most.
const LINES: usize = 100;
const LINES_MAX: usize = 5000;

/// Longest time that entries may be held, seconds, as Loki.
const DELAY_MAX_S: i64 = 5;

/// Clients never say anything; what they send is read to see them leave.
const MESSAGE_BYTES_MAX: usize = 4 << 10;

/// What tails share.
pub struct Tails {
    /// Where tails subscribe.
    pub taps: Arc<LogTaps>,
    /// Tails at once; further ones are closed with Loki's reason.
    pub concurrent_max: usize,
    /// How long one may last; then it is closed with Loki's reason, and clients connect anew.
    pub duration_max: Duration,
    /// How many run now.
    pub running: AtomicUsize,
}

impl Tails {
    /// Tails on `taps`.
    pub fn new(taps: Arc<LogTaps>, concurrent_max: usize, duration_max: Duration) -> Self {
        Tails { taps, concurrent_max, duration_max, running: AtomicUsize::new(0) }
    }

    /// A place among the running ones, or the reason why there is none.
    fn enter(state: &Arc<ApiState>) -> Result<Place, String> {
        let tails = &state.tails;
        let count = tails.running.fetch_add(1, Ordering::Relaxed) + 1;
        let place = Place(state.clone());
        if count <= tails.concurrent_max {
            return Ok(place);
        }
        let text = "max concurrent tail requests limit exceeded, count > limit";
        Err(format!("rpc error: code = Code(400) desc = {text} ({count} > {})", tails.concurrent_max))
    }
}

/// A place among the running tails.
struct Place(Arc<ApiState>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.tails.running.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What is to be followed.
struct Request {
    expr: LogExpr,
    pipeline: Tail,
    start_ns: i64,
    limit: usize,
    delay: Duration,
    form: Form,
}

fn request(state: &ApiState, headers: &HeaderMap, params: &Params, old: bool) -> Result<Request, ApiError> {
    let now_ns = state.clock.wall_ms().saturating_mul(1_000_000);
    let limit = limit(params, "limit", LINES, LINES_MAX)?;
    let (start_ns, _) = bounds(params, now_ns)?;
    let delay_s = number(params, "delay_for")?.unwrap_or(0);
    if delay_s > DELAY_MAX_S {
        return Err(ApiError::bad(format!("delay_for can't be greater than {DELAY_MAX_S}")));
    }
    // A browser cannot set headers on a WebSocket: it may say the same as a parameter.
    let said = params.get("encoding_flags").is_some_and(|flags| flags.split(',').any(|one| one == "categorize-labels"));
    let form = if old { Form::Old } else { Form::V1 { categorize: said || super::query::categorize(headers) } };
    let Expr::Log(expr) = parse(params.raw("query").unwrap_or(""))? else {
        return Err(ApiError::bad("only log selector is supported"));
    };
    let pipeline = Tail::new(&expr, form == Form::V1 { categorize: true })?;
    Ok(Request { expr, pipeline, start_ns, limit, delay: Duration::from_secs(delay_s.max(0) as u64), form })
}

type Upgrade = Result<WebSocketUpgrade, WebSocketUpgradeRejection>;

/// `/loki/api/v1/tail`
pub(super) async fn tail(
    state: State<Arc<ApiState>>,
    headers: HeaderMap,
    upgrade: Upgrade,
    params: Params,
) -> Response {
    open(state, &headers, &params, upgrade, false)
}

/// `/api/prom/tail`
pub(super) async fn old(state: State<Arc<ApiState>>, headers: HeaderMap, upgrade: Upgrade, params: Params) -> Response {
    open(state, &headers, &params, upgrade, true)
}

fn open(
    State(state): State<Arc<ApiState>>,
    headers: &HeaderMap,
    params: &Params,
    upgrade: Upgrade,
    old: bool,
) -> Response {
    let request = match request(&state, headers, params, old) {
        Ok(request) => request,
        Err(error) => return error.into_response(),
    };
    if !state.operations.is_ready() {
        let text = "not ready: the journal is still being replayed after a restart";
        return ApiError(StatusCode::SERVICE_UNAVAILABLE, text.to_owned()).into_response();
    }
    let client = crate::client::current();
    match upgrade {
        Ok(upgrade) => upgrade.max_message_size(MESSAGE_BYTES_MAX).max_frame_size(MESSAGE_BYTES_MAX).on_upgrade(
            |socket| async move {
                let place = Tails::enter(&state);
                crate::client::as_client(client, live::follow(socket, state, request, place)).await;
            },
        ),
        Err(rejection) => ApiError::bad(format!("Bad Request\n{}", rejection.body_text())).into_response(),
    }
}
