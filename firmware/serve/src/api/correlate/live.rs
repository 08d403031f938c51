//! `/api/correlations/stream`: new correlations and new revisions as server-sent events.
//!
//! Events are `correlation` (as in lists; numbered, so that a client that comes back with `Last-Event-ID` hears what it
//! missed, as far as it is still kept) and `missed` (`{"missed": n}`: the client read too slowly, and so many, of whatever
//! filter, went by). A comment goes out every 15 seconds.

use super::answer;
use super::asked::fits;
use super::feed::{Heard, Listener};
use super::links::Links;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use bramble_correlate::CorrelationQuery;
use futures_util::stream::unfold;
use http::HeaderMap;
use serde_json::{Value, json};
use std::convert::Infallible;
use std::time::Duration;

const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// A number of an event is of one life of the process: they begin anew with the next.
pub(super) fn continued(headers: &HeaderMap, started_ms: i64) -> Option<u64> {
    let last = headers.get("last-event-id")?.to_str().ok()?;
    let (life, number) = last.split_once('-')?;
    (life.parse() == Ok(started_ms)).then(|| number.parse::<u64>().ok()?.checked_add(1))?
}

struct Following {
    listener: Listener,
    query: CorrelationQuery,
    links: Links,
    started_ms: i64,
    greeted: bool,
}

impl Following {
    /// The next event; `None` when there will be none.
    async fn next(&mut self) -> Option<Event> {
        // So that a client knows at once that it is heard, whatever stands between.
        if !std::mem::replace(&mut self.greeted, true) {
            return Some(Event::default().comment("listening").retry(Duration::from_secs(3)));
        }
        loop {
            match self.listener.next().await? {
                Heard::One(number, c) if fits(&self.query, &c) => {
                    let data = Value::from(answer::correlation(&c, &self.links)).to_string();
                    let id = format!("{}-{number}", self.started_ms);
                    return Some(Event::default().event("correlation").id(id).data(data));
                }
                Heard::One(..) => {}
                Heard::Missed(missed) => {
                    return Some(Event::default().event("missed").data(json!({"missed": missed}).to_string()));
                }
            }
        }
    }
}

/// Follows what is published; ends when the feed is closed.
pub(super) fn follow(listener: Listener, query: CorrelationQuery, links: Links, started_ms: i64) -> Response {
    let following = Following { listener, query, links, started_ms, greeted: false };
    let events = unfold(following, |mut following| async move {
        following.next().await.map(|event| (Ok::<_, Infallible>(event), following))
    });
    let sse = Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE));
    // Proxies that gather what passes would keep events for minutes.
    ([("x-accel-buffering", "no")], sse).into_response()
}
