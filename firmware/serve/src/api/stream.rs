//! Answers that are written piece by piece, so that their text never stands in memory whole.

use crate::api::json_head;
use axum::body::{Body, Bytes};
use axum::response::{IntoResponse, Response};
use bramble_storage::QueryContext;
use http::StatusCode;
use http_body::{Frame, SizeHint};
use parking_lot::Mutex;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

/// Size of a piece.
const PIECE_BYTES: usize = 64 << 10;

/// How long a client may take to read an answer; then what the answer holds is freed.
const READ_TIME_MAX: Duration = Duration::from_secs(120);

/// Writes the next part of an answer behind the bytes given, and says whether there is more.
pub(crate) trait Parts: Send + 'static {
    /// Appends the next part; `false` at the end.
    fn write_next(&mut self, out: &mut Vec<u8>) -> bool;
}

/// The answer and what its query was charged for it.
struct Rest<P> {
    parts: P,
    _held: QueryContext,
}

impl<P: Parts> Rest<P> {
    /// The next piece, and whether there is more.
    fn piece(&mut self) -> (Vec<u8>, bool) {
        let mut piece = Vec::with_capacity(1024);
        let mut more = true;
        while more && piece.len() < PIECE_BYTES {
            more = self.parts.write_next(&mut piece);
        }
        (piece, more)
    }
}

/// A JSON answer of `parts`; `held` is kept until the last of them is written or the client is gone.
pub(crate) fn streamed(parts: impl Parts, held: QueryContext) -> Response {
    let mut rest = Rest { parts, _held: held };
    let (first, more) = rest.piece();
    if !more {
        return (StatusCode::OK, json_head(), first).into_response();
    }
    let rest = Arc::new(Mutex::new(Some(rest)));
    let weak = Arc::downgrade(&rest);
    tokio::spawn(async move {
        tokio::time::sleep(READ_TIME_MAX).await;
        if let Some(rest) = weak.upgrade() {
            rest.lock().take();
        }
    });
    (StatusCode::OK, json_head(), Body::new(Pieces { first: Some(first), rest, done: false })).into_response()
}

struct Pieces<P> {
    first: Option<Vec<u8>>,
    rest: Arc<Mutex<Option<Rest<P>>>>,
    done: bool,
}

/// The client was too slow.
#[derive(Debug, thiserror::Error)]
#[error("the answer was not read in time")]
struct TooSlow;

impl<P: Parts> http_body::Body for Pieces<P> {
    type Data = Bytes;
    type Error = TooSlow;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, TooSlow>>> {
        let this = self.get_mut();
        if let Some(first) = this.first.take() {
            return Poll::Ready(Some(Ok(Frame::data(first.into()))));
        }
        if this.done {
            return Poll::Ready(None);
        }
        let mut rest = this.rest.lock();
        let Some(answer) = rest.as_mut() else {
            this.done = true;
            return Poll::Ready(Some(Err(TooSlow)));
        };
        let (piece, more) = answer.piece();
        if !more {
            this.done = true;
            rest.take();
        }
        Poll::Ready(Some(Ok(Frame::data(piece.into()))))
    }

    fn is_end_stream(&self) -> bool {
        self.done && self.first.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bramble_runtime::{Budget, BudgetName, Cancel};

    struct Numbers(u32);

    impl Parts for Numbers {
        fn write_next(&mut self, out: &mut Vec<u8>) -> bool {
            out.extend_from_slice(self.0.to_string().as_bytes());
            out.push(b' ');
            self.0 -= 1;
            self.0 > 0
        }
    }

    fn held(budget: &Budget) -> QueryContext {
        let context = QueryContext::new(budget, None, Cancel::new()).unwrap();
        context.reserve(100).unwrap();
        context
    }

    async fn whole(response: Response) -> String {
        let bytes = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    #[tokio::test]
    async fn nothing_is_lost_between_pieces() {
        let expected = |n: u32| (1..=n).rev().map(|i| format!("{i} ")).collect::<String>();
        let budget = Budget::standalone(BudgetName::Query, 1000);
        for n in [1, 100, 50_000] {
            assert_eq!(whole(streamed(Numbers(n), held(&budget))).await, expected(n));
            assert_eq!(budget.used_bytes(), 0, "{n}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_does_not_read_holds_memory_for_a_while_only() {
        let budget = Budget::standalone(BudgetName::Query, 1000);
        let response = streamed(Numbers(100_000), held(&budget));
        assert_eq!(budget.used_bytes(), 100);
        tokio::time::sleep(READ_TIME_MAX * 2).await;
        assert_eq!(budget.used_bytes(), 0);
        assert!(axum::body::to_bytes(response.into_body(), usize::MAX).await.is_err());
    }
}
