//! Running a query off the async threads, within limits.

use crate::client;
use crate::gate::{QueryGate, Refused};
use crate::state::ApiState;
use bramble_runtime::Cancel;
use bramble_storage::{QueryContext, ReadError};
use http::StatusCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Why a query did not run to its end.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Too many wait for a turn already.
    #[error("too many queries are waiting; try again")]
    Busy,
    /// No turn came in the query's whole time.
    #[error("query timed out in query queue")]
    Queue,
    /// Limits of time, memory or items, or the store.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A bug: the query's thread panicked.
    #[error("the query failed unexpectedly; this is a bug")]
    Panicked,
}

impl RunError {
    /// The status that Jaeger's and Tempo's APIs answer with.
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            RunError::Busy | RunError::Queue => StatusCode::TOO_MANY_REQUESTS,
            RunError::Read(ReadError::Timeout | ReadError::Cancelled) => StatusCode::SERVICE_UNAVAILABLE,
            RunError::Read(ReadError::OverBudget(_) | ReadError::Limit(_)) => StatusCode::UNPROCESSABLE_ENTITY,
            RunError::Read(ReadError::Storage(_)) | RunError::Panicked => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

/// Raises the flag when the handler's future is dropped, because the client has gone away; counts how it ended.
struct Watch {
    cancel: Cancel,
    gate: QueryGate,
    outcome: &'static str,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.cancel.cancel();
        self.gate.outcomes.with_label_values(&[self.outcome]).inc();
    }
}

/// Runs `work` on a blocking thread once it is this client's turn, with a context that has the query budget, a deadline
/// `timeout` from now (at most the configured one) and that is cancelled when the client goes away.
///
/// # Errors
/// [`RunError`] when no slot came free or the thread panicked; `work`'s own outcome is returned as it is.
pub async fn run<T, F>(state: &Arc<ApiState>, timeout: Option<Duration>, work: F) -> Result<T, RunError>
where
    T: Send + 'static,
    F: FnOnce(&Arc<ApiState>, &QueryContext) -> T + Send + 'static,
{
    run_holding(state, timeout, work).await.map(|(outcome, _)| outcome)
}

/// As [`run`], and gives back the context, which holds what the result was charged: for answers that are written
/// piece by piece.
///
/// # Errors
/// As [`run`].
pub(crate) async fn run_holding<T, F>(
    state: &Arc<ApiState>,
    timeout: Option<Duration>,
    work: F,
) -> Result<(T, QueryContext), RunError>
where
    T: Send + 'static,
    F: FnOnce(&Arc<ApiState>, &QueryContext) -> T + Send + 'static,
{
    let timeout = timeout.unwrap_or(state.query_timeout).min(state.query_timeout);
    let deadline = Instant::now() + timeout;
    let cancel = Cancel::new();
    let mut watch = Watch { cancel: cancel.clone(), gate: state.query_gate.clone(), outcome: "abandoned" };
    let slot = match state.query_gate.enter(client::current(), deadline).await {
        Ok(slot) => slot,
        Err(refused) => {
            watch.outcome = "refused";
            return Err(if refused == Refused::Full { RunError::Busy } else { RunError::Queue });
        }
    };
    let context = match QueryContext::new(&state.query_budget, Some(deadline), cancel) {
        Ok(context) => context,
        Err(over) => {
            watch.outcome = "refused";
            return Err(RunError::Read(over.into()));
        }
    };
    if !state.operations.is_ready() {
        context.warn("partial: the journal is still being replayed after a restart");
    }
    let state = Arc::clone(state);
    let outcome = tokio::task::spawn_blocking(move || {
        let _slot = slot;
        let outcome = work(&state, &context);
        (outcome, context)
    })
    .await;
    watch.outcome = "answered";
    drop(watch);
    outcome.map_err(|_| RunError::Panicked)
}
