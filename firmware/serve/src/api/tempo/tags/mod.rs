//! Names and values of tags, in two generations of the API. Asked over HTTP or gRPC.

mod names;
mod values;

pub(super) use names::{NamesAsked, names_v1, names_v2};
pub(super) use values::{ValuesAsked, values_v1, values_v2};

use super::answer::{ApiError, Gaps, Statistics};
use super::grpc::Message;
use super::limits::TempoLimits;
use crate::api::json;
use axum::response::Response;
use bramble_query_traceql::{Query, parse};
use bramble_storage::QueryContext;
use bramble_wire::protobuf::Writer;
use http::StatusCode;
use serde_json::Value;

/// Most names or values of an answer.
const LIMIT_MAX: usize = 10_000;

/// Generation of the API.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Form {
    /// Texts without scope and type.
    V1,
    /// Names by scope, values with their type.
    V2,
}

/// The spans whose tags are asked for. What cannot be read is a query that is still being typed: then all spans.
fn query_of(text: Option<&str>, limits: &TempoLimits) -> Result<Query, ApiError> {
    limits.check_query(text.unwrap_or(""))?;
    let typed = text.and_then(|q| parse(q).ok()).filter(|q| q.metrics.is_none());
    typed.map_or_else(|| parse("{ }").map_err(|e| ApiError::bad(e.to_string())), Ok)
}

fn limit_of(asked: Option<u64>) -> usize {
    asked.filter(|n| *n > 0).map_or(LIMIT_MAX, |n| usize::try_from(n).unwrap_or(LIMIT_MAX).min(LIMIT_MAX))
}

/// Bytes of names in a message, at most.
fn bytes_of(names: &[String]) -> usize {
    names.iter().map(|name| name.len() + 8).sum()
}

/// Fields of one or more messages, none larger than it may be.
struct Messages {
    done: Vec<Message>,
    now: Message,
    bytes_max: usize,
}

impl Messages {
    fn new(bytes_max: usize) -> Self {
        Messages { done: Vec::new(), now: Message::new(), bytes_max }
    }

    /// Begins another message when `bytes` more are too many for this one.
    fn room(&mut self, bytes: usize) {
        if self.now.len() > 0 && self.now.len() + bytes + 64 > self.bytes_max {
            self.done.push(std::mem::take(&mut self.now));
        }
    }

    /// How many of these names one message takes, at least one.
    fn fitting(&self, names: &[String]) -> usize {
        let mut bytes = 256;
        let fit = names.iter().take_while(|name| {
            bytes += bytes_of(std::slice::from_ref(name));
            bytes <= self.bytes_max
        });
        fit.count().max(1)
    }

    fn writer(&mut self) -> Writer<'_> {
        Writer::new(self.now.fields())
    }

    fn finish(mut self, statistics: &Statistics) -> Vec<Message> {
        statistics.write_metadata(2, self.now.fields());
        self.done.push(self.now);
        self.done
    }

    /// All of it as one message without a frame.
    fn whole(self, statistics: &Statistics) -> Vec<u8> {
        self.finish(statistics).into_iter().flat_map(Message::into_fields).collect()
    }
}

fn gaps(context: &QueryContext, partial: bool) -> Gaps {
    let mut gaps = Gaps::of(context, None);
    if partial && gaps.is_whole() {
        gaps.add("partial: not all spans of the range were read for names and values".to_owned());
    }
    gaps
}

fn answer(mut body: Value, statistics: &Statistics, gaps: &Gaps) -> Response {
    body["metrics"] = statistics.metadata_json();
    gaps.mark(&mut body);
    json(StatusCode::OK, &body)
}
