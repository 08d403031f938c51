//! The service graph: who calls whom.
//!
//! A client's span and the server's span whose parent it is make one request of the edge (client, server), in whichever
//! order they come; so do a producer's and a consumer's. Names and rules are those of Tempo's documentation of its service
//! graphs:
//!
//! * a client's span that names a database is a request of an edge of type `database`, at once;
//! * a client's span whose server does not answer in time is one of type `virtual_node`, if it names its peer;
//! * a server's span without a parent is one from `user`, also of type `virtual_node`;
//! * any other half whose other half does not come is counted as unpaired, and one that found no room as dropped.
//!
//! Where only one side was seen, its duration counts for both: averages and quantiles of either side cover all requests.

use crate::histogram::Durations;
use crate::options::DeriveOptions;
use crate::peers::{Peer, PeerNames};
use crate::sets::{Example, Life};
use crate::sources::Source;
use crate::texts::{NONE, OTHER, TextId, Texts};
use crate::waiting::{Half, Met, Waiting};
use bramble_runtime::Reservation;
use bramble_signal::{SpanBatch, SpanEntry, SpanId, SpanKind, StatusCode};
use bramble_storage::Sequence;
use foldhash::fast::FixedState;
use hashbrown::HashMap;

/// What calls a server's span without a parent.
const USER: &str = "user";

/// What an edge is, beside a plain request.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Connection {
    Plain,
    Virtual,
    Messaging,
    Database,
}

impl Connection {
    /// The value of the label `connection_type`.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Connection::Plain => "",
            Connection::Virtual => "virtual_node",
            Connection::Messaging => "messaging_system",
            Connection::Database => "database",
        }
    }
}

/// What an edge, or a count of halves, is called.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Between {
    pub(crate) client: TextId,
    pub(crate) server: TextId,
    pub(crate) connection: Connection,
}

/// An edge.
pub(crate) struct Edge {
    pub(crate) failed: u64,
    pub(crate) client: Durations,
    pub(crate) server: Durations,
    pub(crate) example: Option<Example>,
    pub(crate) life: Life,
}

/// Halves that made no edge.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Loose {
    Unpaired,
    Dropped,
}

pub(crate) struct LooseCount {
    pub(crate) count: u64,
    pub(crate) life: Life,
}

/// What is true of the batch at hand.
#[derive(Clone, Copy)]
pub(crate) struct Moment {
    pub(crate) sequence: Sequence,
    /// Whether what completes now was counted before a restart.
    pub(crate) silent: bool,
    pub(crate) now_ns: u64,
    /// The life of what begins now.
    pub(crate) life: Life,
}

/// A request, as an edge counts it.
struct Request {
    between: Between,
    client_ns: u64,
    server_ns: u64,
    example: Example,
}

pub(crate) struct Graph {
    pub(crate) edges: HashMap<Between, Edge, FixedState>,
    pub(crate) loose: HashMap<(Loose, Between), LooseCount, FixedState>,
    pub(crate) waiting: Waiting,
    peers: PeerNames,
    name: Vec<u8>,
    bounds_ns: Vec<u64>,
    bounds: usize,
    natives: Vec<f64>,
    edges_max: usize,
    wait_ns: u64,
    space: Reservation,
}

/// Halves that expired and that were dropped, to be counted.
#[derive(Default)]
pub(crate) struct Lost {
    pub(crate) expired: u64,
    pub(crate) dropped: u64,
}

impl Graph {
    pub(crate) fn new(options: &DeriveOptions, waiting_space: Reservation, space: Reservation) -> Self {
        Graph {
            edges: HashMap::default(),
            loose: HashMap::default(),
            waiting: Waiting::new(options.waiting_max, waiting_space),
            peers: PeerNames::new(options),
            name: Vec::new(),
            bounds_ns: options.graph_bounds_ns.clone(),
            bounds: if options.histograms.classic() { options.graph_bounds_ns.len() } else { 0 },
            natives: if options.histograms.native() { vec![1e9] } else { Vec::new() },
            edges_max: options.edges_max,
            wait_ns: options.wait_ns,
            space,
        }
    }

    /// Counts a span, or lets it wait.
    pub(crate) fn observe(
        &mut self,
        batch: &SpanBatch,
        span: &SpanEntry,
        source: &Source,
        texts: &mut Texts,
        moment: Moment,
        lost: &mut Lost,
    ) {
        if span.trace_id.is_zero() || span.span_id.is_zero() {
            return;
        }
        let half = |span_id: SpanId, is_client: bool, messaging: bool| Half {
            trace_id: span.trace_id,
            span_id,
            is_client,
            messaging,
            failed: span.status == StatusCode::Error,
            service: source.service,
            peer: NONE,
            duration_ns: span.duration_ns(),
            sequence: moment.sequence,
            since_ns: moment.now_ns,
        };
        match span.kind {
            SpanKind::Server if span.parent_span_id.is_zero() => {
                let client = texts.id(USER);
                let between = Between { client, server: source.service, connection: Connection::Virtual };
                self.count_one_sided(between, &half(span.span_id, false, false), span.end_ns, moment);
            }
            SpanKind::Consumer if span.parent_span_id.is_zero() => {}
            SpanKind::Server => self.meet(half(span.parent_span_id, false, false), span, moment, lost),
            SpanKind::Consumer => self.meet(half(span.parent_span_id, false, true), span, moment, lost),
            SpanKind::Client | SpanKind::Producer => {
                let messaging = span.kind == SpanKind::Producer;
                let half = half(span.span_id, true, messaging);
                let found = self.peers.find(batch.attributes(span.attributes), !messaging, &mut self.name);
                let mut peer = || texts.id(std::str::from_utf8(&self.name).unwrap_or(""));
                match found {
                    Peer::Database => {
                        let connection = Connection::Database;
                        let between = Between { client: source.service, server: peer(), connection };
                        self.count_one_sided(between, &half, span.end_ns, moment);
                    }
                    Peer::Named => {
                        let half = Half { peer: peer(), ..half };
                        self.meet(half, span, moment, lost);
                    }
                    Peer::Unknown => self.meet(half, span, moment, lost),
                }
            }
            SpanKind::Internal | SpanKind::Unspecified => {}
        }
    }

    fn meet(&mut self, half: Half, span: &SpanEntry, moment: Moment, lost: &mut Lost) {
        match self.waiting.meet(half) {
            Met::Waits | Met::Same => {}
            Met::Full => {
                lost.dropped += 1;
                self.count_loose(Loose::Dropped, &half, moment);
            }
            Met::Other(other) => {
                let (client, server) = if half.is_client { (half, other) } else { (other, half) };
                let connection = match client.messaging || server.messaging {
                    true => Connection::Messaging,
                    false => Connection::Plain,
                };
                let between = Between { client: client.service, server: server.service, connection };
                let example = Example {
                    trace_id: half.trace_id,
                    duration_ns: server.duration_ns,
                    end_ns: span.end_ns,
                    failed: client.failed || server.failed,
                };
                let (client_ns, server_ns) = (client.duration_ns, server.duration_ns);
                self.count(&Request { between, client_ns, server_ns, example }, moment);
            }
        }
    }

    /// Lets go of the halves that have waited long enough. Those through `settled` were settled before a restart.
    pub(crate) fn expire(&mut self, moment: Moment, settled: Sequence, lost: &mut Lost) {
        let moment = Moment { silent: false, ..moment };
        let Some(before_ns) = moment.now_ns.checked_sub(self.wait_ns) else { return };
        while let Some(half) = self.waiting.expire(before_ns) {
            if half.sequence <= settled {
                continue;
            }
            lost.expired += 1;
            if half.is_client && half.peer != NONE {
                let (client, server) = (half.service, half.peer);
                let between = Between { client, server, connection: Connection::Virtual };
                self.count_one_sided(between, &half, 0, moment);
            } else {
                self.count_loose(Loose::Unpaired, &half, moment);
            }
        }
    }

    /// Lets go of the halves through `settled`: they were settled before a restart and shown again only for others.
    pub(crate) fn forget_settled(&mut self, settled: Sequence) {
        while self.waiting.oldest().is_some_and(|oldest| oldest.sequence <= settled) {
            self.waiting.expire(u64::MAX);
        }
    }

    fn count_one_sided(&mut self, between: Between, half: &Half, end_ns: u64, moment: Moment) {
        let ns = half.duration_ns;
        let example = Example { trace_id: half.trace_id, duration_ns: ns, end_ns, failed: half.failed };
        self.count(&Request { between, client_ns: ns, server_ns: ns, example }, moment);
    }

    fn count(&mut self, request: &Request, moment: Moment) {
        if moment.silent {
            return;
        }
        let mut between = request.between;
        if !self.edges.contains_key(&between) && !self.has_room() {
            // Of each client one edge to whatever else it calls, while their number is bounded too.
            between.server = OTHER;
            if !self.edges.contains_key(&between) && self.edges.len() >= self.edges_max + self.edges_max / 4 {
                between.client = OTHER;
            }
        }
        let (bounds, natives) = (self.bounds, &self.natives);
        let edge = self.edges.entry(between).or_insert_with(|| Edge {
            failed: 0,
            client: Durations::new(bounds, natives),
            server: Durations::new(bounds, natives),
            example: None,
            life: moment.life,
        });
        edge.failed += u64::from(request.example.failed);
        edge.client.add(request.client_ns, &self.bounds_ns);
        edge.server.add(request.server_ns, &self.bounds_ns);
        Example::keep_best(&mut edge.example, request.example);
        edge.life.changed_ns = moment.now_ns;
    }

    fn edge_bytes(&self) -> usize {
        size_of::<(Between, Edge)>() + 64 + 2 * Durations::bytes_max(self.bounds, self.natives.len())
    }

    fn has_room(&mut self) -> bool {
        self.edges.len() < self.edges_max && {
            let bytes = self.edge_bytes();
            self.space.grow(bytes).is_ok()
        }
    }

    fn count_loose(&mut self, loose: Loose, half: &Half, moment: Moment) {
        if moment.silent {
            return;
        }
        let connection = if half.messaging { Connection::Messaging } else { Connection::Plain };
        let (mut client, mut server) = if half.is_client { (half.service, NONE) } else { (NONE, half.service) };
        let known = self.loose.contains_key(&(loose, Between { client, server, connection }));
        if !known && self.loose.len() >= self.edges_max {
            (client, server) = if half.is_client { (OTHER, NONE) } else { (NONE, OTHER) };
        }
        let count = self
            .loose
            .entry((loose, Between { client, server, connection }))
            .or_insert(LooseCount { count: 0, life: moment.life });
        count.count += 1;
        count.life.changed_ns = moment.now_ns;
    }

    /// Takes out what did not change since `before_ns`.
    pub(crate) fn end_idle(
        &mut self,
        before_ns: u64,
        mut ended: impl FnMut(&Between, &Edge),
        mut ended_loose: impl FnMut(&(Loose, Between), &LooseCount),
    ) {
        let idle = |life: &Life| life.changed_ns <= before_ns;
        self.edges.retain(|between, edge| {
            let goes = idle(&edge.life);
            if goes {
                ended(between, edge);
            }
            !goes
        });
        self.loose.retain(|key, count| {
            let goes = idle(&count.life);
            if goes {
                ended_loose(key, count);
            }
            !goes
        });
        // Edges over the limit are few and not paid for.
        let paid = self.edges.len().min(self.edges_max) * self.edge_bytes();
        if paid < self.space.bytes() {
            drop(self.space.split(self.space.bytes() - paid));
        }
        self.waiting.trim();
    }
}
