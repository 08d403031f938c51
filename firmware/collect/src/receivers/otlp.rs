//! What OTLP over HTTP and over gRPC have in common.

use super::ReceiverState;
use super::body::Held;
use super::counters::{Protocol, ReceiveCounters};
use super::decode::{decode_within, run};
use super::log_batch::{Admitted, Complaint, admit, complaint};
use super::rates::{Limited, PER_STREAM};
use super::refusal::Refusal;
use super::submit::{Batch, submit};
use super::unpack::unpack;
use bramble_runtime::{Budget, Reservation};
use bramble_signal::{LogBatch, MetricBatch, Signal, SpanBatch};
use bramble_storage::Written;
use bramble_wire::compression::Encoding;
use bramble_wire::otlp::{DeltaStreams, LogOptions, MetricOptions};
use bramble_wire::protobuf::Writer;
use bramble_wire::{Decoded, Format, Rejected};
use parking_lot::Mutex;

/// What can be chosen of OTLP.
#[derive(Clone, Debug)]
pub struct OtlpOptions {
    /// How metrics are translated.
    pub metrics: MetricOptions,
    /// Which attributes of a resource label its log streams.
    pub logs: LogOptions,
    /// Memory for the sums of streams of delta temporality, in bytes; an eighth of the budget `receive` at most.
    /// Default 1 MiB: about seven thousand streams of numbers.
    pub delta_bytes_max: usize,
}

impl Default for OtlpOptions {
    fn default() -> Self {
        OtlpOptions { metrics: MetricOptions::default(), logs: LogOptions::default(), delta_bytes_max: 1 << 20 }
    }
}

/// The sums of streams of delta temporality and what is reserved for them.
pub(crate) struct DeltaMemory {
    pub(crate) streams: DeltaStreams,
    pub(crate) bytes_max: usize,
    held: Mutex<Option<Reservation>>,
}

impl DeltaMemory {
    pub(crate) fn new(options: &OtlpOptions, receive: &Budget) -> Self {
        let bytes_max = options.delta_bytes_max.min(receive.limit_bytes() / 8);
        DeltaMemory { streams: DeltaStreams::new(bytes_max), bytes_max, held: Mutex::new(None) }
    }

    /// Makes the reservation follow what the streams hold; they forget what there is no room for.
    fn account(&self, receive: &Budget, counters: &ReceiveCounters) {
        let bytes = self.streams.memory_bytes();
        let mut held = self.held.lock();
        let reserved = held.as_ref().map_or(0, Reservation::bytes);
        if bytes != reserved {
            let resized = match held.as_mut() {
                Some(held) => held.resize(bytes),
                None => receive.reserve(bytes).map(|new| *held = Some(new)),
            };
            if resized.is_err() {
                self.streams.shrink_to(reserved);
            }
        }
        counters.delta_streams(self.streams.count(), self.streams.forgotten());
    }
}

/// Items of a request that were refused for good.
#[derive(Default, Debug)]
pub(crate) struct Partial {
    pub(crate) rejected: u64,
    pub(crate) message: String,
}

/// Takes one export request from its body to the stores.
///
/// # Errors
/// [`Refusal`].
pub(crate) async fn export(
    state: &ReceiverState,
    protocol: Protocol,
    signal: Signal,
    format: Format,
    encoding: Encoding,
    body: Held,
) -> Result<Partial, Refusal> {
    let (batch, rejected, (held, limited)) = run(body.bytes.len(), state, move |state| {
        let message = unpack(state, encoding, body)?;
        decode(state, signal, format, message)
    })
    .await?;
    for (reason, count) in rejected.by_reason() {
        state.0.counters.rejected(protocol, reason.as_str(), count);
    }
    let written = submit(state, batch, held).await?;
    if signal == Signal::Logs {
        return export_logs(state, protocol, &rejected, limited.as_ref(), &written);
    }
    let message = match rejected.first_reason() {
        Some((_, text)) => text.to_owned(),
        None => written.rejections.first().to_owned(),
    };
    Ok(Partial { rejected: rejected.count() + written.rejections.total(), message })
}

/// What came too fast, or found no room for its stream, is to be sent again, which only the whole request can be.
fn export_logs(
    state: &ReceiverState,
    protocol: Protocol,
    rejected: &Rejected,
    limited: Option<&Limited>,
    written: &Written,
) -> Result<Partial, Refusal> {
    if let Some(limited) = limited {
        state.0.counters.rejected(protocol, PER_STREAM, limited.entries);
    }
    match complaint(rejected, limited, written) {
        None => Ok(Partial::default()),
        Some(Complaint { text, retry_after: Some(after), .. }) => Err(Refusal::TooFast(text, after)),
        Some(Complaint { count, text, .. }) => Ok(Partial { rejected: count, message: text }),
    }
}

/// Reservation for the batch, and what came too fast.
type HeldAndLimited = (Reservation, Option<Limited>);

fn decode(
    state: &ReceiverState,
    signal: Signal,
    format: Format,
    message: Held,
) -> Result<(Batch, Rejected, HeldAndLimited), Refusal> {
    let size = message.bytes.len();
    // JSON is rewritten as protobuf first, into memory of about its own size, seldom more.
    let scratch = if format == Format::Json { size } else { 0 };
    let limits = &state.0.limits.items;
    let budget = state.0.request_bytes_max();
    let pool = &state.0.decoders.otlp;
    match signal {
        Signal::Metrics => {
            let memory = |decoded: &Decoded<MetricBatch>| decoded.batch.memory_bytes();
            let decoded = decode_within(message, limits, budget, scratch, memory, |body, batch_bytes| {
                pool.lend(size, |decoder| {
                    decoder.set_batch_bytes_max(batch_bytes);
                    decoder.metrics(format, body)
                })
            });
            state.0.deltas.account(&state.0.receive, &state.0.counters);
            let (decoded, held) = decoded?;
            Ok((Batch::Metrics(decoded.batch), decoded.rejected, (held, None)))
        }
        Signal::Logs => {
            let memory = |decoded: &Decoded<LogBatch>| decoded.batch.memory_bytes();
            let now_ns = state.0.clock.wall_ns();
            let (decoded, held) = decode_within(message, limits, budget, scratch, memory, |body, batch_bytes| {
                pool.lend(size, |decoder| {
                    decoder.set_batch_bytes_max(batch_bytes);
                    decoder.logs(format, body, now_ns)
                })
            })?;
            let Admitted { batch, held, limited } = admit(state, decoded.batch, held)?;
            Ok((Batch::Logs(batch), decoded.rejected, (held, limited)))
        }
        Signal::Traces => {
            let memory = |decoded: &Decoded<SpanBatch>| decoded.batch.memory_bytes();
            let (decoded, held) = decode_within(message, limits, budget, scratch, memory, |body, batch_bytes| {
                pool.lend(size, |decoder| {
                    decoder.set_batch_bytes_max(batch_bytes);
                    decoder.traces(format, body)
                })
            })?;
            Ok((Batch::Spans(decoded.batch), decoded.rejected, (held, None)))
        }
    }
}

/// The `Export…ServiceResponse`: empty on full success, since exporters warn about any `partial_success`.
pub(crate) fn response(format: Format, signal: Signal, partial: &Partial) -> Vec<u8> {
    let mut out = Vec::new();
    match (format, partial.rejected) {
        (Format::Protobuf, 0) => {}
        (Format::Json, 0) => out.extend_from_slice(b"{}"),
        (Format::Protobuf, rejected) => Writer::new(&mut out).message(1, |w| {
            w.varint(1, rejected);
            w.bytes(2, &partial.message);
        }),
        (Format::Json, rejected) => {
            let key = match signal {
                Signal::Metrics => "rejectedDataPoints",
                Signal::Logs => "rejectedLogRecords",
                Signal::Traces => "rejectedSpans",
            };
            // int64 is text in protobuf's JSON.
            let partial = serde_json::json!({ key: rejected.to_string(), "errorMessage": partial.message });
            out.extend_from_slice(serde_json::json!({ "partialSuccess": partial }).to_string().as_bytes());
        }
    }
    out
}
