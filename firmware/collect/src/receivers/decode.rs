//! From bytes to batches, within what is reserved, off the network threads when it takes long.

use super::ReceiverState;
use super::body::Held;
use super::correlation::ids_of_field;
use super::otlp::OtlpOptions;
use super::refusal::Refusal;
use bramble_runtime::Reservation;
use bramble_wire::otlp::DeltaStreams;
use bramble_wire::{
    DecodeError, DecodeErrorKind, Limits, correlation_logs, jaeger, json_lines, loki, otlp, remote_write, zipkin,
};
use parking_lot::Mutex;
use std::sync::Arc;

/// Bodies up to this size are worked on where they arrived: under a millisecond on a Pi 4, less than a hand-over
/// to another thread would add to the median request.
const INLINE_BYTES_MAX: usize = 64 << 10;

/// Decoders kept for the next request, per protocol: as many as there are cores to run them, more or less.
const POOL_SIZE: usize = 4;

/// After a body over this size a decoder's scratch memory is given back instead of kept.
const KEEP_SCRATCH_BYTES_MAX: usize = 256 << 10;

/// First guess of what a batch takes, in multiples of the message: samples and lines take about one, spans with few
/// attributes almost two.
const BATCH_FACTOR: usize = 2;
const BATCH_BYTES_MIN: usize = 64 << 10;

/// Pools of decoders with their scratch memory.
pub(crate) struct Decoders {
    pub(crate) otlp: Pool<otlp::Decoder>,
    pub(crate) remote_write: Pool<remote_write::Decoder>,
    pub(crate) loki: Pool<loki::Decoder>,
    pub(crate) json_lines: Pool<json_lines::Decoder>,
    pub(crate) correlation: Pool<correlation_logs::Decoder>,
    pub(crate) jaeger: Pool<jaeger::Decoder>,
    pub(crate) zipkin: Pool<zipkin::Decoder>,
}

impl Decoders {
    /// `deltas` are shared by all of OTLP's decoders.
    pub(crate) fn new(limits: Limits, options: OtlpOptions, deltas: &DeltaStreams) -> Self {
        let (metrics, logs, deltas) = (Arc::new(options.metrics), Arc::new(options.logs), deltas.clone());
        let otlp = move || {
            let mut decoder = otlp::Decoder::new(limits);
            decoder.set_metrics(metrics.clone(), deltas.clone());
            decoder.set_logs(logs.clone());
            decoder
        };
        Decoders {
            otlp: Pool::new(otlp),
            remote_write: Pool::new(move || remote_write::Decoder::new(limits)),
            loki: Pool::new(move || loki::Decoder::new(limits)),
            json_lines: Pool::new(move || json_lines::Decoder::new(limits)),
            correlation: Pool::new(move || correlation_logs::Decoder::new(limits, ids_of_field)),
            jaeger: Pool::new(move || jaeger::Decoder::new(limits)),
            zipkin: Pool::new(move || zipkin::Decoder::new(limits)),
        }
    }
}

/// Decoders that are not in use.
pub(crate) struct Pool<D> {
    idle: Mutex<Vec<D>>,
    make: Box<dyn Fn() -> D + Send + Sync>,
}

impl<D> Pool<D> {
    fn new(make: impl Fn() -> D + Send + Sync + 'static) -> Self {
        Pool { idle: Mutex::new(Vec::new()), make: Box::new(make) }
    }

    /// Lends a decoder for a message of `message_bytes`.
    pub(crate) fn lend<T>(&self, message_bytes: usize, work: impl FnOnce(&mut D) -> T) -> T {
        let idle = self.idle.lock().pop();
        let mut decoder = idle.unwrap_or_else(|| (self.make)());
        let result = work(&mut decoder);
        let mut idle = self.idle.lock();
        if message_bytes <= KEEP_SCRATCH_BYTES_MAX && idle.len() < POOL_SIZE {
            idle.push(decoder);
        }
        result
    }
}

/// Decodes `message` with a growing allowance: `attempt` gets what the batch may take and is called again with twice
/// as much when that was too little. `scratch_bytes` is what decoding takes beside message and batch.
///
/// Returns the batch and a reservation that covers it; the message is dropped.
///
/// # Errors
/// [`Refusal::OverBudget`], [`Refusal::TooLarge`] when even the whole budget would not do, [`Refusal::Malformed`].
pub(crate) fn decode_within<B>(
    message: Held,
    limits: &Limits,
    budget_bytes: usize,
    scratch_bytes: usize,
    memory_bytes: impl Fn(&B) -> usize,
    mut attempt: impl FnMut(&[u8], usize) -> Result<B, DecodeError>,
) -> Result<(B, Reservation), Refusal> {
    let Held { bytes, mut held } = message;
    let base = held.bytes() + scratch_bytes;
    let batch_max = limits.batch_bytes_max.min(budget_bytes.saturating_sub(base));
    let mut batch_bytes = (bytes.len().saturating_mul(BATCH_FACTOR) + BATCH_BYTES_MIN).min(batch_max);
    if held.resize(base + batch_bytes).is_err() {
        // The guess is generous; when memory is short, start with what most messages need.
        batch_bytes = batch_bytes.min(bytes.len() + BATCH_BYTES_MIN);
    }
    loop {
        held.resize(base + batch_bytes)?;
        match attempt(&bytes, batch_bytes) {
            Ok(batch) => {
                // Vectors double, so the batch may hold somewhat more than the decoder counted.
                held.force_resize(memory_bytes(&batch));
                return Ok((batch, held));
            }
            Err(error) if error.kind() == DecodeErrorKind::TooLarge && batch_bytes < batch_max => {
                batch_bytes = batch_bytes.saturating_mul(2).min(batch_max);
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Runs `work` here when the body is small, else on a blocking thread.
pub(crate) async fn run<T: Send + 'static>(
    body_bytes: usize,
    state: &ReceiverState,
    work: impl FnOnce(&ReceiverState) -> Result<T, Refusal> + Send + 'static,
) -> Result<T, Refusal> {
    if body_bytes <= INLINE_BYTES_MAX {
        return work(state);
    }
    let state = state.clone();
    match tokio::task::spawn_blocking(move || work(&state)).await {
        Ok(result) => result,
        // The runtime is going down; a panic of a decoder would be a bug and has been logged by its thread.
        Err(error) => {
            tracing::error!(%error, "decoding a request stopped");
            Err(bramble_storage::WriteError::ShuttingDown.into())
        }
    }
}
