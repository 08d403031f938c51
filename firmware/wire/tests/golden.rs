//! Documents of metrics and what becomes of them, side by side in `tests/golden`: `NAME.json` is an OTLP request,
//! `NAME.txt` the batch for each setting. `UPDATE_GOLDEN=1 cargo test -p bramble-wire --test golden` writes the texts
//! anew; what changed is for the reviewer to judge.

#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

use bramble_signal::MetricBatch;
use bramble_wire::otlp::{Decoder, DeltaStreams, MetricOptions, Promotion, Translation};
use bramble_wire::{Decoded, Format, Limits};
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

fn settings() -> Vec<(&'static str, MetricOptions)> {
    let promotion = Promotion::AllBut(vec!["service.name".to_owned()]);
    let everything = MetricOptions {
        translation: Translation::NoTranslation,
        promotion,
        keep_identifying_resource_attributes: true,
        promote_scope_metadata: true,
        convert_histograms_to_nhcb: true,
    };
    let translated = |translation| MetricOptions { translation, ..MetricOptions::default() };
    vec![
        ("default", MetricOptions::default()),
        ("without suffixes", translated(Translation::UnderscoreEscapingWithoutSuffixes)),
        ("UTF-8 with suffixes", translated(Translation::NoUtf8EscapingWithSuffixes)),
        ("UTF-8, all promoted, native", everything),
    ]
}

/// One line per sample, exemplar, metadata and reason of rejection.
fn describe(decoded: &Decoded<MetricBatch>) -> String {
    let (mut out, batch) = (String::new(), &decoded.batch);
    for (entry, (labels, samples)) in batch.iter().enumerate() {
        for sample in samples {
            match batch.histogram(sample.value) {
                Some(histogram) => writeln!(out, "{labels} {} @{}", histogram.literal(), sample.timestamp_ms).unwrap(),
                None if bramble_signal::is_stale_marker(sample.value) => {
                    writeln!(out, "{labels} stale @{}", sample.timestamp_ms).unwrap();
                }
                None => writeln!(out, "{labels} {} @{}", sample.value, sample.timestamp_ms).unwrap(),
            }
        }
        for exemplar in batch.exemplars(entry) {
            writeln!(out, "  # {} {} @{}", exemplar.labels, exemplar.value, exemplar.timestamp_ms).unwrap();
        }
    }
    for m in &batch.metadata {
        writeln!(out, "metadata {} {} {:?} {:?}", m.name, m.kind.as_str(), m.unit, m.help).unwrap();
    }
    for (reason, count) in decoded.rejected.by_reason() {
        writeln!(out, "rejected {count} {}", reason.as_str()).unwrap();
    }
    out
}

fn all_settings(json: &[u8]) -> String {
    let mut out = String::new();
    for (name, options) in settings() {
        let mut decoder = Decoder::new(Limits::default());
        decoder.set_metrics(Arc::new(options), DeltaStreams::default());
        let decoded = decoder.metrics(Format::Json, json).unwrap();
        write!(out, "== {name}\n{}", describe(&decoded)).unwrap();
    }
    out
}

#[test]
fn documents_become_what_is_written_beside_them() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut names: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|e| e.unwrap().path()).collect();
    names.retain(|path| path.extension().is_some_and(|e| e == "json"));
    names.sort();
    assert!(names.len() >= 4);
    for path in names {
        let got = all_settings(&std::fs::read(&path).unwrap());
        let beside = path.with_extension("txt");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&beside, got).unwrap();
            continue;
        }
        let wanted = std::fs::read_to_string(&beside).unwrap();
        let differs = got.lines().zip(wanted.lines()).find(|(g, w)| g != w);
        assert!(got == wanted, "{}: {differs:?}", path.display());
    }
}
