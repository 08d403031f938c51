//! Nodes hand their batches over here: gRPC service `bramble.node.v1.Node`, on OTLP's gRPC door.
//!
//! | condition | status | what a node does |
//! | --- | --- | --- |
//! | taken, now or before | OK | forgets the batch, goes on |
//! | not enrolled, removed, another's credential | UNAUTHENTICATED | keeps its queue, says so, asks again later |
//! | malformed, corrupt | INVALID_ARGUMENT | drops the batch, counts it |
//! | too large | RESOURCE_EXHAUSTED without RetryInfo | drops the batch, counts it |
//! | too many nodes or sources | FAILED_PRECONDITION | keeps its queue, asks again later |
//! | memory, journal or disk full, stopping, replaying, the source's batch before is under way | UNAVAILABLE with RetryInfo | asks again |
//!
//! A batch is durable, with the sequence and positions of its source, when it is answered. At most one batch of a source is
//! under way: a node that gives up and sends again waits until the first attempt has ended, and is then told of what that
//! left behind.

mod live;
mod metrics;
mod registry;
mod secret;
mod store;
#[cfg(test)]
mod tests;
mod view;

pub use metrics::register_nodes;
pub use registry::{NodeError, NodeOptions, NodeRegistry};
pub use store::NodeStore;
pub use view::{NewToken, NodeView, TokenView};

use super::ReceiverState;
use super::body::{Held, read_body};
use super::counters::Protocol;
use super::decode::{decode_within, run};
use super::grpc::{answer, status_of, unframe};
use super::refusal::Refusal;
use super::submit::wait_for_room;
use super::unpack::unpack;
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::routing::any;
use bramble_runtime::Reservation;
use bramble_signal::Signal;
use bramble_storage::{Batch, Delivery, Done, Urgency, WriteError, Written};
use bramble_wire::delivery::{
    DELIVER_PATH, Deliver, DeliverAnswer, HELLO_PATH, Hello, HelloAnswer, SERVICE, SourceDelivered, read_logs,
    read_metrics, read_spans,
};
use bramble_wire::{DecodeError, Decoded, Rejected};
use http::request::Parts;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tonic::Status;
use tracing::Instrument;

/// How long a batch waits for the one before it, which the node has given up.
const LANE_WAIT_MAX: Duration = Duration::from_secs(20);
/// When to come back while the journal is replayed.
const REPLAY_RETRY: Duration = Duration::from_secs(2);

/// Where a connection comes from; whoever has it puts it into a request's extensions.
#[derive(Clone, Copy, Debug)]
pub struct NodeAddress(pub IpAddr);

#[derive(Clone)]
struct Door {
    state: ReceiverState,
    nodes: Arc<NodeRegistry>,
}

#[derive(Clone, Copy)]
enum Call {
    Hello,
    Deliver,
}

/// The routes of the service. Needs HTTP/2 with prior knowledge.
pub fn node(state: ReceiverState, nodes: Arc<NodeRegistry>) -> Router {
    let route = |call: Option<Call>| {
        any(move |State(door): State<Door>, request: Request| async move {
            let state = door.state.clone();
            answer(&state, Protocol::Node, call, request, |call, parts, body| handle(door, call, parts, body)).await
        })
    };
    Router::new()
        .route(HELLO_PATH, route(Some(Call::Hello)))
        .route(DELIVER_PATH, route(Some(Call::Deliver)))
        .route(&format!("/{SERVICE}/{{method}}"), route(None))
        .with_state(Door { state, nodes })
}

/// What stopped a call.
enum Stop {
    Refusal(Refusal),
    Node(NodeError),
}

impl<E: Into<Refusal>> From<E> for Stop {
    fn from(error: E) -> Self {
        Stop::Refusal(error.into())
    }
}

impl Stop {
    fn status(&self) -> Status {
        match self {
            Stop::Refusal(refusal) => status_of(refusal),
            Stop::Node(error @ NodeError::Unknown(_)) => Status::unauthenticated(error.to_string()),
            Stop::Node(error @ NodeError::Invalid(_)) => Status::invalid_argument(error.to_string()),
            Stop::Node(error @ NodeError::Full(_)) => Status::failed_precondition(error.to_string()),
            Stop::Node(error @ NodeError::Store(_)) => {
                status_of(&Refusal::TooFast(error.to_string(), Duration::from_secs(30)))
            }
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Stop::Refusal(refusal) => refusal.reason(),
            Stop::Node(NodeError::Unknown(_)) => "unauthenticated",
            Stop::Node(NodeError::Invalid(_)) => "invalid_node",
            Stop::Node(NodeError::Full(_)) => "too_many_nodes",
            Stop::Node(NodeError::Store(_)) => "state_not_kept",
        }
    }
}

async fn handle(door: Door, call: Call, parts: Parts, body: Body) -> Result<Vec<u8>, Status> {
    let outcome = match call {
        Call::Hello => hello(&door, &parts, body).await,
        Call::Deliver => deliver(&door, &parts, body).await,
    };
    outcome.map_err(|stop| {
        door.state.0.counters.rejected(Protocol::Node, stop.reason(), 1);
        stop.status()
    })
}

/// Runs what may write to `state.db` where blocking is allowed.
async fn blocking<T: Send + 'static>(
    nodes: &Arc<NodeRegistry>,
    work: impl FnOnce(&NodeRegistry) -> Result<T, NodeError> + Send + 'static,
) -> Result<T, Stop> {
    let nodes = nodes.clone();
    let outcome = tokio::task::spawn_blocking(move || work(&nodes)).await;
    outcome.map_err(|_| WriteError::ShuttingDown)?.map_err(Stop::Node)
}

async fn hello(door: &Door, parts: &Parts, body: Body) -> Result<Vec<u8>, Stop> {
    let Door { state, nodes } = door;
    let body = read_body(state, Protocol::Node, parts, body).await?;
    let (encoding, message) = unframe(&parts.headers, body)?;
    let message = unpack(state, encoding, message)?;
    let hello = Hello::decode(&message.bytes)?;
    let address = parts.extensions.get::<NodeAddress>().map(|NodeAddress(ip)| ip.to_string()).unwrap_or_default();
    let asked = hello.sources.clone();
    let id = hello.node_id.clone();
    let admitted = blocking(nodes, move |nodes| nodes.admit(&hello, &address)).await?;
    let all = asked.is_empty();
    let mut delivered = Vec::new();
    for source in if all { admitted.sources } else { asked } {
        match state.0.writer.delivered(&format!("{id}/{source}")) {
            Some(known) => {
                let positions = known.positions.into_iter().collect();
                delivered.push(SourceDelivered { source, sequence: known.sequence, positions });
            }
            // Who asks for all cannot see that one is missing.
            None if all => {
                let text = "the journal is being replayed".to_owned();
                return Err(Refusal::TooFast(text, REPLAY_RETRY).into());
            }
            None => {}
        }
    }
    let options = nodes.options();
    let answer = HelloAnswer {
        hub_id: nodes.hub_id().to_owned(),
        hub_name: options.hub_name.clone(),
        hub_version: options.hub_version.clone(),
        credential: admitted.credential,
        now_ms: state.0.clock.wall_ms(),
        heartbeat_ms: options.heartbeat.as_millis() as u64,
        delivered,
    };
    let mut out = Vec::new();
    answer.encode(&mut out);
    Ok(out)
}

/// A delivery, decoded.
struct Unpacked {
    batch: Batch,
    rejected: Rejected,
    held: Reservation,
}

async fn deliver(door: &Door, parts: &Parts, body: Body) -> Result<Vec<u8>, Stop> {
    let Door { state, nodes } = door;
    let body = read_body(state, Protocol::Node, parts, body).await?;
    let (encoding, message) = unframe(&parts.headers, body)?;
    let message = run(message.bytes.len(), state, move |state| unpack(state, encoding, message)).await?;
    let (node_id, source, signal, delivery) = {
        let sent = Deliver::decode(&message.bytes)?;
        nodes.check(sent.node_id, sent.credential).map_err(Stop::Node)?;
        if sent.sequence == 0 {
            return Err(Stop::Node(NodeError::Invalid("a delivery has a sequence from 1 on".to_owned())));
        }
        let positions = sent.positions.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let name = format!("{}/{}", sent.node_id, sent.source);
        let delivery = Delivery { source: name.into(), sequence: sent.sequence, positions };
        (sent.node_id.to_owned(), sent.source.to_owned(), sent.signal, delivery)
    };
    let lane = match nodes.lane(&node_id, &source) {
        Some(lane) => lane,
        None => {
            let (id, name) = (node_id.clone(), source.clone());
            blocking(nodes, move |nodes| nodes.note_source(&id, &name)).await?;
            // What the journal knows and the registry did not (its file was lost) the node has not been told: a sequence from
            // the start would be taken for a resend, and dropped.
            let known = state.0.writer.delivered(&delivery.source).unwrap_or_default();
            if known.sequence >= delivery.sequence {
                let text = format!("{source} is known from before: say hello again to hear how far it was");
                return Err(Stop::Node(NodeError::Full(text)));
            }
            let gone = NodeError::Unknown("this node was removed");
            nodes.lane(&node_id, &source).ok_or(Stop::Node(gone))?
        }
    };
    let Ok(turn) = tokio::time::timeout(LANE_WAIT_MAX, lane.lock_owned()).await else {
        let text = format!("a batch of {source} is still being written");
        return Err(Refusal::TooFast(text, REPLAY_RETRY).into());
    };
    let unpacked = run(message.bytes.len(), state, move |state| decode(state, signal, message)).await?;
    let Unpacked { batch, rejected, held } = unpacked;
    for (reason, count) in rejected.by_reason() {
        state.0.counters.rejected(Protocol::Node, reason.as_str(), count);
    }
    wait_for_room(state, signal, batch.memory_bytes()).await;
    let (sender, outcome) = oneshot::channel();
    // The next batch of the source waits for this one, whether or not its node still does.
    let done: Done = Box::new(move |result| {
        drop(turn);
        drop(sender.send(result));
    });
    let writing = async {
        state.0.writer.deliver(delivery, batch, held, Urgency::SenderWaits, done);
        outcome.await.unwrap_or(Err(WriteError::ShuttingDown))
    };
    let written: Written = writing.instrument(Protocol::Node.span(signal)).await?;
    let refused = rejected.count() + written.rejections.total();
    nodes.delivered(&node_id, written.accepted, refused);
    let message = match rejected.first_reason() {
        Some((_, text)) => text.to_owned(),
        None => written.rejections.first().to_owned(),
    };
    let mut out = Vec::new();
    DeliverAnswer { accepted: written.accepted, rejected: refused, message }.encode(&mut out);
    Ok(out)
}

/// The payload as a batch, within what is reserved.
fn decode(state: &ReceiverState, signal: Signal, message: Held) -> Result<Unpacked, Refusal> {
    fn payload<B>(
        read: impl Fn(&[u8], usize) -> Result<Decoded<B>, DecodeError>,
    ) -> impl Fn(&[u8], usize) -> Result<(Decoded<B>, bool), DecodeError> {
        move |body, limit_bytes| {
            let sent = Deliver::decode(body)?;
            Ok((read(sent.payload, limit_bytes)?, sent.late))
        }
    }
    let (limits, budget) = (&state.0.limits.items, state.0.request_bytes_max());
    match signal {
        Signal::Metrics => {
            let memory = |(decoded, _): &(Decoded<bramble_signal::MetricBatch>, bool)| decoded.batch.memory_bytes();
            let ((mut decoded, late), held) = decode_within(message, limits, budget, 0, memory, payload(read_metrics))?;
            // What waited on a node's disk is as old as the hub's silence was long.
            decoded.batch.backfill |= late;
            Ok(Unpacked { batch: Batch::Metrics(decoded.batch), rejected: decoded.rejected, held })
        }
        Signal::Logs => {
            let memory = |(decoded, _): &(Decoded<bramble_signal::LogBatch>, bool)| decoded.batch.memory_bytes();
            let ((decoded, _), held) = decode_within(message, limits, budget, 0, memory, payload(read_logs))?;
            Ok(Unpacked { batch: Batch::Logs(decoded.batch), rejected: decoded.rejected, held })
        }
        Signal::Traces => {
            let memory = |(decoded, _): &(Decoded<bramble_signal::SpanBatch>, bool)| decoded.batch.memory_bytes();
            let ((decoded, _), held) = decode_within(message, limits, budget, 0, memory, payload(read_spans))?;
            Ok(Unpacked { batch: Batch::Spans(decoded.batch), rejected: decoded.rejected, held })
        }
    }
}
