//! Any bytes as an OTLP metrics request.
#![no_main]

use bramble_wire::otlp::{DeltaStreams, MetricOptions, Promotion, Translation};
use libfuzzer_sys::fuzz_target;
use std::sync::Arc;

fuzz_target!(|data: &[u8]| {
    let Some((format, body)) = bramble_fuzz::split_format(data) else { return };
    let mut decoder = bramble_wire::otlp::Decoder::new(bramble_fuzz::limits());
    let kept = DeltaStreams::default();
    decoder.set_metrics(Arc::default(), kept.clone());
    let first = decoder.metrics(format, body);
    if let Ok(decoded) = &first {
        bramble_fuzz::check_metrics(&decoded.batch);
    }
    assert!(first.is_ok() || kept.count() == 0, "a request that failed left sums behind");
    // What a decoder keeps between requests must not show, but for sums of deltas.
    decoder.set_metrics(Arc::default(), DeltaStreams::default());
    bramble_fuzz::check_same(&decoder.metrics(format, body), &first);
    // The other ways of translation.
    let options = MetricOptions {
        translation: Translation::NoUtf8EscapingWithSuffixes,
        promotion: Promotion::AllBut(vec!["host.name".to_owned()]),
        keep_identifying_resource_attributes: true,
        promote_scope_metadata: true,
        convert_histograms_to_nhcb: true,
    };
    decoder.set_metrics(Arc::new(options), DeltaStreams::default());
    if let Ok(decoded) = decoder.metrics(format, body) {
        bramble_fuzz::check_metrics(&decoded.batch);
    }
});
