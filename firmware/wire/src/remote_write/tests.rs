use super::*;
use crate::protobuf::{Writer, zigzag};
use crate::{Decoded, RejectReason};
use bramble_signal::histogram::{BucketSpan, NativeHistogram, ResetHint};
use bramble_signal::{MetricKind, STALE_NAN_BITS};
use proptest::prelude::*;

type Series<'a> = (&'a [(&'a str, &'a str)], &'a [(i64, f64)]);

fn write(out: &mut Vec<u8>, series: &[Series<'_>]) {
    for (labels, samples) in series {
        Writer::new(out).message(1, |w| {
            for (name, value) in *labels {
                w.message(1, |w| {
                    w.bytes(1, name);
                    w.bytes(2, value);
                });
            }
            for (timestamp_ms, value) in *samples {
                w.message(2, |w| {
                    w.double(1, *value);
                    w.varint(2, timestamp_ms.cast_unsigned());
                });
            }
        });
    }
}

fn decode(bytes: &[u8]) -> Decoded<MetricBatch> {
    Decoder::new(Limits::default()).decode(Message::V1, bytes).unwrap()
}

#[test]
fn golden_bytes() {
    // up{job="a"} 1 @ 1000, as any Prometheus writes it.
    let bytes = b"\x0a\x28\x0a\x0e\x0a\x08__name__\x12\x02up\x0a\x08\x0a\x03job\x12\x01a\
        \x12\x0c\x09\0\0\0\0\0\0\xf0\x3f\x10\xe8\x07";
    let mut written = Vec::new();
    write(&mut written, &[(&[("__name__", "up"), ("job", "a")], &[(1000, 1.0)])]);
    assert_eq!(written, bytes);
    let decoded = decode(bytes);
    let (labels, samples) = decoded.batch.series(0);
    assert_eq!(labels.to_string(), r#"{__name__="up", job="a"}"#);
    assert_eq!((samples[0].timestamp_ms, samples[0].value), (1000, 1.0));
}

#[test]
fn bad_series_go_and_good_ones_stay() {
    let one: &[(i64, f64)] = &[(1, 1.0), (2, 2.0)];
    let mut bytes = Vec::new();
    write(
        &mut bytes,
        &[
            (&[("z", "1"), ("__name__", "unsorted"), ("a", "")], one),
            (&[("job", "nameless")], one),
            (&[("__name__", "m"), ("a", "1"), ("a", "2")], one),
            (&[("__name__", "m"), ("", "1")], one),
            (&[("__name__", "no_samples")], &[]),
        ],
    );
    Writer::new(&mut bytes).message(1, |w| {
        w.message(1, |w| {
            w.bytes(1, "__name__");
            w.bytes(2, [0xff]);
        });
        w.message(2, |w| w.varint(2, 3));
    });
    Writer::new(&mut bytes).message(1, |w| {
        w.message(1, |w| {
            w.bytes(1, "__name__");
            w.bytes(2, "native");
        });
        w.message(3, |w| w.double(2, 1.0));
        w.message(4, |w| w.varint(1, 3));
    });
    Writer::new(&mut bytes).message(3, |w| {
        w.varint(1, 1);
        w.bytes(2, "m");
        w.bytes(4, "Help.");
    });
    let decoded = decode(&bytes);
    assert_eq!(decoded.batch.series_count(), 1);
    assert_eq!(decoded.batch.series(0).0.to_string(), r#"{__name__="unsorted", z="1"}"#);
    let reasons: Vec<_> = decoded.rejected.by_reason().collect();
    assert_eq!(
        reasons,
        [
            (RejectReason::InvalidUtf8, 1),
            (RejectReason::MissingName, 2),
            (RejectReason::EmptyLabelName, 2),
            (RejectReason::DuplicateLabel, 2),
            (RejectReason::InvalidHistogram, 1)
        ]
    );
    assert_eq!(
        decoded.rejected.first_reason().unwrap().1.split(" at byte").next(),
        Some(r#"metric has no name: series {job="nameless"}"#)
    );
    assert_eq!((decoded.exemplars_skipped, decoded.batch.metadata[0].kind), (1, MetricKind::Counter));
}

#[test]
fn limits_hold() {
    let long = "x".repeat(5000);
    let many: Vec<String> = (0..200).map(|i| format!("l{i}")).collect();
    let mut labels: Vec<(&str, &str)> = many.iter().map(|n| (n.as_str(), "v")).collect();
    labels.push(("__name__", "m"));
    let mut bytes = Vec::new();
    write(
        &mut bytes,
        &[
            (&[("__name__", &long)], &[(1, 1.0)]),
            (&[("__name__", "m"), (&long, "v")], &[(1, 1.0)]),
            (&labels, &[(1, 1.0)]),
        ],
    );
    let reasons: Vec<_> = decode(&bytes).rejected.by_reason().map(|(reason, _)| reason).collect();
    assert_eq!(reasons, [RejectReason::LabelNameTooLong, RejectReason::LabelValueTooLong, RejectReason::TooManyLabels]);
    let mut decoder = Decoder::new(Limits::default());
    decoder.set_batch_bytes_max(10);
    let mut bytes = Vec::new();
    write(&mut bytes, &[(&[("__name__", "m")], &[(1, 1.0)])]);
    assert_eq!(decoder.decode(Message::V1, &bytes).unwrap_err().kind(), crate::DecodeErrorKind::TooLarge);
}

proptest! {
    // Each case cuts the request at every byte: few cases are many requests.
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn what_is_written_is_read(
        series in proptest::collection::vec((
            proptest::collection::btree_map("[a-z]{1,4}", "\\PC{1,6}", 0..5),
            proptest::collection::vec((any::<i64>(), any::<u64>()), 1..5),
        ), 0..5),
    ) {
        let mut bytes = Vec::new();
        for (labels, samples) in &series {
            let mut pairs: Vec<_> = labels.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
            pairs.push(("__name__", "m"));
            let samples: Vec<_> = samples.iter().map(|&(t, bits)| (t, f64::from_bits(bits))).collect();
            write(&mut bytes, &[(&pairs, &samples)]);
        }
        let decoded = decode(&bytes);
        prop_assert_eq!(decoded.batch.series_count(), series.len());
        for ((labels, samples), (want_labels, want_samples)) in decoded.batch.iter().zip(&series) {
            let rest: Vec<_> = labels.iter().filter(|(n, _)| *n != "__name__").collect();
            let want: Vec<_> = want_labels.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
            prop_assert_eq!(rest, want);
            let got: Vec<_> = samples.iter().map(|s| (s.timestamp_ms, s.value.to_bits())).collect();
            prop_assert_eq!(&got, want_samples);
        }
        // Cut anywhere: an error or fewer series, never a panic.
        for cut in 0..bytes.len() {
            let _ = Decoder::new(Limits::default()).decode(Message::V1, &bytes[..cut]);
        }
    }
}

/// Fields of an integer histogram: three positive buckets of 1, 3 and 2, one negative of 4, two at zero.
/// A series in the long way alone.
fn the_long_way(series: &[u8], limits: &Limits) -> Result<Decoded<MetricBatch>, crate::DecodeError> {
    let mut decoded = Decoded::default();
    let mut body = Vec::new();
    Writer::new(&mut body).bytes(1, series);
    let field = crate::protobuf::Reader::new(&body).next()?.unwrap();
    let mut meter = crate::limits::Meter::new(limits.batch_bytes_max);
    v1::any_series(&field, limits, &mut Scratch::default(), &mut decoded, &mut meter)?;
    Ok(decoded)
}

fn plain_only(series: &[u8], limits: &Limits) -> Option<MetricBatch> {
    let (mut labels, mut samples) = (Vec::new(), Vec::new());
    plain::read(series, limits, &mut labels, &mut samples).then(|| {
        let mut batch = MetricBatch::new();
        batch.start_series_encoded(bramble_signal::LabelsRef::from_encoded(&labels));
        samples.iter().for_each(|&(timestamp_ms, value)| batch.push_sample(timestamp_ms, value));
        batch
    })
}

proptest! {
    #[test]
    fn what_the_short_way_takes_the_long_way_takes_alike(
        labels in proptest::collection::vec(("[_a-c]{0,2}", "[a-z\u{e9}]{0,3}"), 0..4),
        samples in proptest::collection::vec((-5i64..1 << 40, any::<u64>()), 0..3),
        sorted in any::<bool>(),
        flips in proptest::collection::vec((any::<proptest::sample::Index>(), 0u8..20), 0..2),
    ) {
        let mut labels: Vec<(&str, &str)> = labels.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        labels.push(("__name__", "m"));
        if sorted {
            labels.sort_unstable();
        }
        let samples: Vec<_> = samples.iter().map(|&(t, bits)| (t, f64::from_bits(bits))).collect();
        let mut body = Vec::new();
        write(&mut body, &[(&labels, &samples)]);
        let mut series = crate::protobuf::Reader::new(&body).next().unwrap().unwrap().bytes().unwrap().to_vec();
        for (at, byte) in flips {
            let at = at.index(series.len());
            series[at] = byte;
        }
        let limits = Limits { label_value_bytes_max: 2, series_labels_max: 3, ..Limits::default() };
        if let Some(batch) = plain_only(&series, &limits) {
            let decoded = the_long_way(&series, &limits).unwrap();
            prop_assert!(decoded.rejected.is_empty());
            prop_assert_eq!(format!("{:?}", batch), format!("{:?}", decoded.batch));
        }
    }
}

#[test]
fn what_senders_write_goes_the_short_way() {
    let long = "x".repeat(128);
    let limits = Limits::default();
    let plain = |labels: &[(&str, &str)], samples: &[(i64, f64)]| {
        let mut body = Vec::new();
        write(&mut body, &[(labels, samples)]);
        let series = crate::protobuf::Reader::new(&body).next().unwrap().unwrap().bytes().unwrap().to_vec();
        plain_only(&series, &limits).is_some()
    };
    let labels = [("__name__", "up"), ("job", "a")];
    assert!(plain(&labels, &[(1_795_046_400_000, 1.0)]) && plain(&labels, &[(1, 1.0), (2, f64::NAN)]));
    assert!(!plain(&labels, &[]) && !plain(&labels, &[(-1, 1.0)]) && !plain(&labels[1..], &[(1, 1.0)]));
    assert!(!plain(&[("__name__", "up"), ("job", "\u{e9}")], &[(1, 1.0)]));
    assert!(!plain(&[("__name__", "up"), ("job", &long)], &[(1, 1.0)]));
    assert!(!plain(&[("job", "a"), ("__name__", "up")], &[(1, 1.0)]), "unsorted");
    assert!(!plain(&labels, &vec![(1, 1.0); 1025]));
}

fn integer_histogram(w: &mut Writer<'_>, timestamp_ms: u64) {
    w.varint(1, 12);
    w.double(3, 18.5);
    w.varint(4, zigzag(1));
    w.double(5, 0.001);
    w.varint(6, 2);
    w.message(8, |w| {
        w.varint(1, zigzag(-3));
        w.varint(2, 1);
    });
    w.bytes(9, [zigzag(4) as u8]);
    w.message(11, |w| w.varint(2, 2));
    w.message(11, |w| {
        w.varint(1, zigzag(4));
        w.varint(2, 1);
    });
    // Once packed, once one a field.
    w.bytes(12, [1, 2].map(|delta| zigzag(delta) as u8));
    w.varint(12, zigzag(-1));
    w.varint(14, 2);
    w.varint(15, timestamp_ms);
}

fn what_it_says() -> NativeHistogram {
    NativeHistogram {
        schema: 1,
        reset_hint: ResetHint::NotReset,
        zero_threshold: 0.001,
        zero_count: 2.0,
        count: 12.0,
        sum: 18.5,
        positive_spans: vec![BucketSpan { offset: 0, length: 2 }, BucketSpan { offset: 4, length: 1 }],
        positive_counts: vec![1.0, 3.0, 2.0],
        negative_spans: vec![BucketSpan { offset: -3, length: 1 }],
        negative_counts: vec![4.0],
        custom_bounds: vec![],
    }
}

fn custom_histogram(w: &mut Writer<'_>, counts: &[f64], bounds: &[f64]) {
    w.double(2, counts.iter().sum());
    w.double(3, 5.0);
    w.varint(4, zigzag(-53));
    w.message(11, |w| w.varint(2, counts.len() as u64));
    w.bytes(13, counts.iter().flat_map(|c| c.to_le_bytes()).collect::<Vec<_>>());
    w.varint(15, 5);
    w.bytes(16, bounds.iter().flat_map(|b| b.to_le_bytes()).collect::<Vec<_>>());
}

fn v1_labels(w: &mut Writer<'_>, number: u32, labels: &[(&str, &str)]) {
    for (name, value) in labels {
        w.message(number, |w| {
            w.bytes(1, name);
            w.bytes(2, value);
        });
    }
}

fn histograms(batch: &MetricBatch, entry: usize) -> Vec<(i64, Option<&NativeHistogram>)> {
    batch.series(entry).1.iter().map(|s| (s.timestamp_ms, batch.histogram(s.value))).collect()
}

#[test]
fn native_histograms_are_read_and_judged_one_by_one() {
    let mut bytes = Vec::new();
    Writer::new(&mut bytes).message(1, |w| {
        v1_labels(w, 1, &[("__name__", "h")]);
        w.message(4, |w| integer_histogram(w, 1));
        // More in the buckets than in all.
        w.message(4, |w| {
            integer_histogram(w, 2);
            w.varint(1, 11);
        });
        // Ends the series: nothing but the marker.
        w.message(4, |w| {
            w.fixed64(3, STALE_NAN_BITS);
            w.varint(15, 3);
        });
        w.message(4, |w| {
            w.varint(4, zigzag(-5));
            w.varint(15, 4);
        });
        w.message(4, |w| custom_histogram(w, &[1.0, 2.5, 3.0], &[0.5, 1.0]));
        w.message(4, |w| custom_histogram(w, &[1.0, 2.5, 3.0], &[0.5]));
        w.message(4, |w| {
            w.message(11, |w| w.varint(2, u64::from(u32::MAX)));
            w.varint(15, 6);
        });
    });
    let decoded = decode(&bytes);
    let all = histograms(&decoded.batch, 0);
    assert_eq!(all.iter().map(|(t, h)| (*t, h.is_some())).collect::<Vec<_>>(), [(1, true), (3, false), (5, true)]);
    assert_eq!(all[0].1, Some(&what_it_says()));
    assert!(bramble_signal::is_stale_marker(decoded.batch.series(0).1[1].value) && decoded.stale_histograms == 1);
    let custom = all[2].1.unwrap();
    assert_eq!((custom.count, custom.schema, custom.custom_bounds.as_slice()), (6.5, -53, &[0.5, 1.0][..]));
    assert_eq!(decoded.rejected.by_reason().collect::<Vec<_>>(), [(RejectReason::InvalidHistogram, 4)]);
    assert_eq!(
        decoded.rejected.first_reason().unwrap().1,
        "native histogram is not valid: 12 observations found in buckets, but the count field is 11: series \
         {__name__=\"h\"} at byte 3"
    );
}

#[test]
fn finer_schemas_are_joined() {
    let mut bytes = Vec::new();
    Writer::new(&mut bytes).message(1, |w| {
        v1_labels(w, 1, &[("__name__", "h")]);
        for schema in [10, 52, 53] {
            w.message(4, |w| {
                w.varint(1, 6);
                w.varint(4, zigzag(schema));
                w.message(11, |w| {
                    w.varint(1, zigzag(3));
                    w.varint(2, 3);
                });
                w.bytes(12, [1, 1, 1].map(|delta| zigzag(delta) as u8));
                w.varint(15, schema.cast_unsigned());
            });
        }
    });
    let decoded = decode(&bytes);
    let joined = |at: usize| histograms(&decoded.batch, 0)[at].1.map(|h| (h.schema, h.positive_counts.clone()));
    // Buckets 3 and 4 of schema 10 are in bucket 1 of schema 8, bucket 5 in 2.
    assert_eq!((joined(0), joined(1)), (Some((8, vec![3.0, 3.0])), Some((8, vec![6.0]))));
    assert_eq!(decoded.rejected.count(), 1);
}

#[test]
fn exemplars_stay_with_their_series_and_bad_ones_harm_nobody() {
    let mut bytes = Vec::new();
    let long = "x".repeat(130);
    for labels in [&[("trace_id", "ab")][..], &[], &[("a", "1"), ("a", "2")], &[("a", long.as_str())]] {
        Writer::new(&mut bytes).message(1, |w| {
            v1_labels(w, 1, &[("__name__", "m")]);
            w.message(3, |w| {
                v1_labels(w, 1, labels);
                w.double(2, 0.5);
                w.varint(3, 7);
            });
            w.message(2, |w| w.varint(2, 7));
        });
    }
    let decoded = decode(&bytes);
    let exemplars: Vec<Vec<String>> = (0..4)
        .map(|i| decoded.batch.exemplars(i).map(|e| format!("{}{}", e.labels, e.timestamp_ms)).collect())
        .collect();
    assert_eq!(exemplars, [vec![r#"{trace_id="ab"}7"#.to_owned()], vec!["{}7".to_owned()], vec![], vec![]]);
    assert_eq!((decoded.exemplars_skipped, decoded.rejected.count(), decoded.batch.sample_count()), (2, 0, 4));
}

/// A 2.0 request under construction.
struct Request {
    symbols: Vec<String>,
    series: Vec<u8>,
}

impl Request {
    fn new() -> Self {
        Request { symbols: vec![String::new()], series: Vec::new() }
    }

    fn symbol(&mut self, text: &str) -> u64 {
        let place = self.symbols.iter().position(|s| s == text).unwrap_or_else(|| {
            self.symbols.push(text.to_owned());
            self.symbols.len() - 1
        });
        place as u64
    }

    fn series(&mut self, labels: &[(&str, &str)], fill: impl FnOnce(&mut Writer<'_>)) -> &mut Self {
        let references: Vec<u8> =
            labels.iter().flat_map(|(n, v)| [self.symbol(n) as u8, self.symbol(v) as u8]).collect();
        Writer::new(&mut self.series).message(5, |w| {
            w.bytes(1, references);
            fill(w);
        });
        self
    }

    fn bytes(&self) -> Vec<u8> {
        // Series first: the order of fields is the sender's.
        let mut out = self.series.clone();
        self.symbols.iter().for_each(|symbol| Writer::new(&mut out).bytes(4, symbol));
        out
    }

    fn decode(&self) -> Decoded<MetricBatch> {
        Decoder::new(Limits::default()).decode(Message::V2, &self.bytes()).unwrap()
    }
}

fn v2_sample(w: &mut Writer<'_>, timestamp_ms: u64, value: f64, start_ms: u64) {
    w.message(2, |w| {
        w.double(1, value);
        w.varint(2, timestamp_ms);
        if start_ms > 0 {
            w.varint(3, start_ms);
        }
    });
}

#[test]
fn version_2_reads_everything() {
    let mut request = Request::new();
    let (help, unit, trace, id) =
        (request.symbol("Requests."), request.symbol("s"), request.symbol("trace_id"), request.symbol("ab"));
    request.series(&[("__name__", "lat_bucket"), ("le", "+Inf")], |w| {
        v2_sample(w, 10, 1.0, 5);
        v2_sample(w, 20, 2.0, 5);
        v2_sample(w, 30, 1.0, 25);
        w.message(4, |w| {
            w.varint(1, trace);
            w.varint(1, id);
            w.double(2, 0.25);
            w.varint(3, 29);
        });
        w.message(5, |w| {
            w.varint(1, 3);
            w.varint(3, help);
            w.varint(4, unit);
        });
    });
    request.series(&[("__name__", "lat_sum")], |w| {
        w.varint(6, 3);
        v2_sample(w, 10, 1.0, 0);
        w.message(5, |w| w.varint(1, 3));
    });
    request.series(&[("__name__", "native")], |w| {
        w.message(3, |w| {
            integer_histogram(w, 10);
            w.varint(17, 4);
        });
    });
    let decoded = request.decode();
    let batch = &decoded.batch;
    let entries: Vec<_> =
        (0..batch.series_count()).map(|i| (batch.series(i).0.get("__name__").unwrap(), batch.start_ms(i))).collect();
    assert_eq!(entries, [("lat_bucket", 5), ("lat_bucket", 25), ("lat_sum", 3), ("native", 4)]);
    assert_eq!((batch.series(0).1.len(), batch.series(1).1.len()), (2, 1));
    assert_eq!(batch.exemplars(1).map(|e| e.labels.to_string()).collect::<Vec<_>>(), [r#"{trace_id="ab"}"#]);
    assert_eq!(histograms(batch, 3), [(10, Some(&what_it_says()))]);
    let metadata: Vec<_> = batch.metadata.iter().map(|m| (m.name.as_str(), m.kind, m.help.as_str())).collect();
    assert_eq!(metadata, [("lat", MetricKind::Histogram, "Requests.")], "once a family");
    assert!(decoded.rejected.is_empty());
}

#[test]
fn version_2_rejects_what_does_not_fit_and_keeps_the_rest() {
    let mut request = Request::new();
    request.series(&[("__name__", "good")], |w| v2_sample(w, 1, 1.0, 0));
    request.series(&[("__name__", "odd")], |w| {
        w.varint(1, 0);
        v2_sample(w, 1, 1.0, 0);
    });
    request.series(&[("__name__", "beyond")], |w| {
        w.bytes(1, [0, 99]);
        v2_sample(w, 1, 1.0, 0);
        v2_sample(w, 2, 1.0, 0);
    });
    request.series(&[("__name__", "nothing")], |_| {});
    request.series(&[("__name__", "twice"), ("a", "1"), ("a", "1")], |w| v2_sample(w, 1, 1.0, 0));
    request.series(&[("a", "nameless")], |w| v2_sample(w, 1, 1.0, 0));
    request.series(&[("__name__", "exemplar")], |w| {
        v2_sample(w, 1, 1.0, 0);
        w.message(4, |w| w.double(2, 1.0));
    });
    let decoded = request.decode();
    let names: Vec<_> = decoded.batch.iter().map(|(labels, _)| labels.get("__name__").unwrap().to_owned()).collect();
    assert_eq!(names, ["good", "exemplar"]);
    assert_eq!(
        decoded.rejected.by_reason().collect::<Vec<_>>(),
        [
            (RejectReason::MissingName, 1),
            (RejectReason::DuplicateLabel, 1),
            (RejectReason::InvalidExemplar, 1),
            (RejectReason::InvalidSymbol, 3),
            (RejectReason::NoValue, 1),
        ]
    );
    let mut wrong = Vec::new();
    Writer::new(&mut wrong).bytes(4, "not empty");
    assert!(Decoder::new(Limits::default()).decode(Message::V2, &wrong).is_err());
}

/// A symbol of 4 KiB that a few bytes per series repeat: the allowance ends it, and nothing is held meanwhile.
#[test]
fn references_cannot_make_a_small_body_large() {
    let mut request = Request::new();
    let long = "v".repeat(4096);
    let labels: Vec<(String, &str)> = (0..60).map(|i| (format!("l{i}"), long.as_str())).collect();
    let mut labels: Vec<(&str, &str)> = labels.iter().map(|(n, v)| (n.as_str(), *v)).collect();
    labels.push(("__name__", "m"));
    for _ in 0..100 {
        request.series(&labels, |w| v2_sample(w, 1, 1.0, 0));
    }
    // Ten thousand references to it in one series.
    request.series(&[("__name__", "many")], |w| {
        w.bytes(1, [1u8, 2].repeat(5000));
        v2_sample(w, 1, 1.0, 0);
    });
    let body = request.bytes();
    assert!(body.len() < 40_000);
    let mut decoder = Decoder::new(Limits { batch_bytes_max: 1 << 20, ..Limits::default() });
    assert_eq!(decoder.decode(Message::V2, &body).unwrap_err().kind(), crate::DecodeErrorKind::TooLarge);
    let decoded = request.decode();
    assert_eq!(decoded.rejected.by_reason().collect::<Vec<_>>(), [(RejectReason::TooManyLabels, 1)]);
    assert!(decoded.batch.memory_bytes() < 64 << 20);
}

#[test]
fn content_types_name_messages() {
    let of = Message::from_content_type;
    assert_eq!(["", "application/x-protobuf", "Application/X-Protobuf; charset=x"].map(of), [Some(Message::V1); 3]);
    assert_eq!(of("application/x-protobuf; proto=prometheus.WriteRequest"), Some(Message::V1));
    assert_eq!(of("application/x-protobuf;proto=io.prometheus.write.v2.Request"), Some(Message::V2));
    assert_eq!(of("application/x-protobuf;proto=\"io.prometheus.write.v2.Request\""), Some(Message::V2));
    let unknown =
        ["application/x-protobuf;proto=io.prometheus.write.v3.Request", "application/x-protobuf;proto", "text/plain"];
    assert_eq!(unknown.map(of), [None; 3]);
}
