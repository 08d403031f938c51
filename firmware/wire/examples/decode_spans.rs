//! What decoding a packet for Jaeger's agent costs, against the same spans as OTLP and with a batch per packet:
//!
//! ```sh
//! cargo run --release -p bramble-wire --example decode_spans -- PACKET
//! ```
//!
//! PACKET is a file with one datagram, as a client sent it. Prints seconds per million spans; run it alone.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement")]

use bramble_signal::SpanBatch;
use bramble_wire::{Decoded, Format, jaeger, otlp};
use std::time::Instant;

const SPANS: usize = 1_000_000;

fn main() {
    let packet = std::fs::read(std::env::args().nth(1).unwrap()).unwrap();
    let mut agent = jaeger::Decoder::default();
    let mut once = Decoded::<SpanBatch>::default();
    agent.packet(&packet, 0, &mut once).unwrap();
    let count = once.batch.spans.len();
    let mut body = Vec::new();
    otlp::encode_traces_protobuf(&once.batch, &mut body);
    println!("{count} spans: {} bytes as a packet, {} as OTLP", packet.len(), body.len());

    let began = Instant::now();
    let mut decoded = Decoded::<SpanBatch>::default();
    for _ in 0..SPANS / count {
        agent.packet(&packet, 0, &mut decoded).unwrap();
        if decoded.batch.memory_bytes() > 512 << 10 {
            decoded = Decoded::default();
        }
    }
    println!("Jaeger, a packet at a time: {:.2} s per M spans", began.elapsed().as_secs_f64());

    let began = Instant::now();
    let mut decoder = otlp::Decoder::default();
    for _ in 0..SPANS / count {
        assert_eq!(decoder.traces(Format::Protobuf, &body).unwrap().batch.spans.len(), count);
    }
    println!("OTLP, the same spans a request: {:.2} s per M spans", began.elapsed().as_secs_f64());
}
