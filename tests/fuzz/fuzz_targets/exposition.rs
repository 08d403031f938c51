//! Any bytes as an exposition document; the first byte chooses the format: `t` text, `o` OpenMetrics, else protobuf.
#![no_main]

use bramble_fuzz::{BATCH_BYTES_MAX, limits};
use bramble_wire::exposition::{CollectOptions, Collector, ExpositionFormat, Parser, check_open_metrics, collect};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((first, document)) = data.split_first() else { return };
    let format = match first {
        b't' => ExpositionFormat::Text,
        b'o' => ExpositionFormat::OpenMetrics,
        _ => ExpositionFormat::Protobuf,
    };
    // Errors of text do not end a document; every step reads something.
    let (mut parser, mut steps) = (Parser::new(format, document), 0);
    while !matches!(parser.next(), Ok(None)) {
        steps += 1;
        assert!(steps <= document.len() + 2, "more steps than bytes");
    }
    let mut collector = Collector::new(limits());
    let collected = collect(&mut collector, format, document, &CollectOptions::at(1000));
    if let Ok(decoded) = &collected {
        bramble_fuzz::check_metrics(&decoded.batch);
        assert!(decoded.batch.memory_bytes() <= 2 * BATCH_BYTES_MAX + 4096);
    }
    // What is right by the whole specification is right by the grammar.
    if format == ExpositionFormat::OpenMetrics && check_open_metrics(document).is_ok() {
        assert!(collected.is_ok(), "{collected:?}");
    }
    if let Err(error) = collected
        && format != ExpositionFormat::Protobuf
        && error.position > 0
    {
        let lines = document[..error.position.min(document.len())].iter().filter(|b| **b == b'\n').count() as u64;
        assert_eq!(error.line, lines + 1);
    }
});
