//! Running a query off the async threads, within limits.

use crate::state::ApiState;
use bramble_runtime::Cancel;
use bramble_storage::{QueryContext, ReadError};
use http::StatusCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Why a query did not run to its end.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// All slots stayed taken for the query's whole time.
    #[error("too many queries are running; try again")]
    Busy,
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
            RunError::Busy => StatusCode::TOO_MANY_REQUESTS,
            RunError::Read(ReadError::Timeout | ReadError::Cancelled) => StatusCode::SERVICE_UNAVAILABLE,
            RunError::Read(ReadError::OverBudget(_) | ReadError::Limit(_)) => StatusCode::UNPROCESSABLE_ENTITY,
            RunError::Read(ReadError::Storage(_)) | RunError::Panicked => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

/// Raises the flag when the handler's future is dropped: the client has gone away.
struct CancelOnDrop(Cancel);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// Runs `work` on a blocking thread once a query slot is free, with a context that has the query budget, a deadline
/// `timeout` from now (at most the configured one) and that is cancelled when the client goes away.
///
/// # Errors
/// [`RunError`] when no slot came free or the thread panicked; `work`'s own outcome is returned as it is.
pub async fn run<T, F>(state: &Arc<ApiState>, timeout: Option<Duration>, work: F) -> Result<T, RunError>
where
    T: Send + 'static,
    F: FnOnce(&Arc<ApiState>, &QueryContext) -> T + Send + 'static,
{
    let timeout = timeout.unwrap_or(state.query_timeout).min(state.query_timeout);
    let deadline = Instant::now() + timeout;
    let slot = tokio::time::timeout(timeout, Arc::clone(&state.query_slots).acquire_owned()).await;
    let Ok(Ok(slot)) = slot else { return Err(RunError::Busy) };
    let cancel = Cancel::new();
    let guard = CancelOnDrop(cancel.clone());
    let context =
        QueryContext::new(&state.query_budget, Some(deadline), cancel).map_err(|e| RunError::Read(e.into()))?;
    if !state.operations.is_ready() {
        context.warn("partial: the journal is still being replayed after a restart");
    }
    let state = Arc::clone(state);
    let outcome = tokio::task::spawn_blocking(move || {
        let _slot = slot;
        work(&state, &context)
    })
    .await;
    drop(guard);
    outcome.map_err(|_| RunError::Panicked)
}
