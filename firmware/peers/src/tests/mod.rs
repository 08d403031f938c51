//! Tests over both halves: one asks, others answer, on threads of this process.

mod contract;
mod faults;
mod figures;
mod http;
mod logs;
mod metrics;
mod traces;
mod wire;

use crate::answer::{Stores, answer};
use crate::frame::{Gone, Sink};
use crate::link::{Arriving, Link};
use crate::peer::Peers;
use crate::request::Request;
use bramble_storage::QueryContext;
use bramble_storage::memory::{MemoryLogs, MemoryMetrics, MemoryTraces};
use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;

/// A hub's stores.
#[derive(Default)]
pub(super) struct Hub {
    pub(super) metrics: Arc<MemoryMetrics>,
    pub(super) logs: Arc<MemoryLogs>,
    pub(super) traces: Arc<MemoryTraces>,
}

/// Hands what a hub answers to whoever asked, in pieces of any size.
struct Channel {
    pieces: mpsc::Sender<Result<Bytes, crate::link::Fault>>,
    piece_bytes: usize,
    sent_bytes: Arc<AtomicUsize>,
}

impl Sink for Channel {
    fn put(&mut self, chunks: Vec<u8>) -> Result<(), Gone> {
        self.sent_bytes.fetch_add(chunks.len(), Ordering::Relaxed);
        for piece in chunks.chunks(self.piece_bytes) {
            self.pieces.blocking_send(Ok(Bytes::copy_from_slice(piece))).map_err(|_| Gone)?;
        }
        Ok(())
    }
}

/// The way to a hub in this process.
pub(super) struct Direct {
    pub(super) hub: Arc<Hub>,
    pub(super) piece_bytes: usize,
    /// What has travelled.
    pub(super) sent_bytes: Arc<AtomicUsize>,
}

impl Link for Direct {
    fn open(&self, body: Bytes) -> Arriving {
        let (sender, pieces) = mpsc::channel(2);
        let (hub, piece_bytes, sent_bytes) = (self.hub.clone(), self.piece_bytes, self.sent_bytes.clone());
        std::thread::spawn(move || {
            let request = Request::read(&body).unwrap();
            let stores = Stores { metrics: &*hub.metrics, logs: &*hub.logs, traces: &*hub.traces };
            let mut sink = Channel { pieces: sender, piece_bytes, sent_bytes };
            answer(&request, stores, &QueryContext::unlimited(), &mut sink);
        });
        Arriving { pieces, task: None, waited: Duration::ZERO }
    }
}

/// Peers of which each is a hub of this process.
pub(super) fn peers(hubs: &[Arc<Hub>]) -> Arc<Peers> {
    counted_peers(hubs).0
}

/// And how many bytes they have sent.
pub(super) fn counted_peers(hubs: &[Arc<Hub>]) -> (Arc<Peers>, Arc<AtomicUsize>) {
    let sent_bytes = Arc::new(AtomicUsize::new(0));
    let link = |hub: &Arc<Hub>| -> Box<dyn Link> {
        Box::new(Direct { hub: hub.clone(), piece_bytes: 777, sent_bytes: sent_bytes.clone() })
    };
    (Peers::of_links(hubs.iter().map(link).collect()), sent_bytes)
}

/// Where something goes: to one hub, to the other, or to both; the same each time for the same thing.
pub(super) fn placed(seed: u64, of: &[&[u8]]) -> (bool, bool) {
    let fold =
        |sum: u64, bytes: &[u8]| bytes.iter().fold(sum ^ 0x9e37, |sum, b| crate::spans::mixed(sum ^ u64::from(*b)));
    match of.iter().fold(seed, |sum, bytes| fold(sum, bytes)) % 3 {
        0 => (true, false),
        1 => (false, true),
        _ => (true, true),
    }
}
