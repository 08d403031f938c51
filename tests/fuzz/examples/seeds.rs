//! Writes the seed corpus: `cargo run --example seeds` in this directory. Its output is committed, so that a
//! short run in CI starts from requests that are nearly right.

use bramble_wire::Format;
use bramble_wire::otlp::{Decoder, encode_traces_protobuf};
use bramble_wire::protobuf::{Writer, zigzag};
use std::io::Write as _;
use std::path::Path;

const RESOURCE: &str = r#"{"attributes":[{"key":"service.name","value":{"stringValue":"shop"}},{"key":"service.namespace","value":{"stringValue":"eu"}},{"key":"service.instance.id","value":{"stringValue":"i-1"}},{"key":"host.name","value":{"stringValue":"pi"}},{"key":"l","value":{"kvlistValue":{"values":[{"key":"k","value":{"arrayValue":{"values":[{"intValue":"1"},{"doubleValue":0.5},{}]}}}]}}}]}"#;
const SCOPE: &str = r#"{"name":"lib","version":"1.2","attributes":[{"key":"a","value":{"bytesValue":"AAH/"}}]}"#;

const SPAN: &str = r#"{"traceId":"0102030405060708090a0b0c0d0e0f10","spanId":"0102030405060708","parentSpanId":"1112131415161718","traceState":"a=b","name":"GET /","kind":2,"startTimeUnixNano":"1700000000000000000","endTimeUnixNano":"1700000000000500000","attributes":[{"key":"ok","value":{"boolValue":true}}],"droppedAttributesCount":1,"events":[{"timeUnixNano":"1700000000000000001","name":"e","attributes":[{"key":"x","value":{"intValue":-1}}]}],"links":[{"traceId":"0102030405060708090a0b0c0d0e0f11","spanId":"0102030405060709","flags":1}],"status":{"code":2,"message":"no"},"flags":257}"#;
const RECORD: &str = r#"{"timeUnixNano":"1700000000000000000","observedTimeUnixNano":"1700000000000000001","severityNumber":17,"severityText":"ERROR","body":{"stringValue":"a line"},"attributes":[{"key":"http.method","value":{"stringValue":"GET"}}],"flags":1,"traceId":"0102030405060708090a0b0c0d0e0f10","spanId":"0102030405060708"},{"body":{"kvlistValue":{"values":[{"key":"a","value":{"intValue":"2"}}]}}}"#;
const METRICS: &str = r#"{"name":"http.requests","description":"d","unit":"{request}","sum":{"aggregationTemporality":2,"isMonotonic":true,"dataPoints":[{"timeUnixNano":"1700000000000000000","asInt":"7","attributes":[{"key":"a.b","value":{"stringValue":"1"}},{"key":"a-b","value":{"stringValue":"2"}}]}]}},{"name":"lat","unit":"s","histogram":{"aggregationTemporality":2,"dataPoints":[{"timeUnixNano":"1700000000000000000","count":"6","sum":2.5,"bucketCounts":["1","2","3"],"explicitBounds":[0.5,1]}]}},{"name":"q","summary":{"dataPoints":[{"timeUnixNano":"1700000000000000000","count":"2","sum":3,"quantileValues":[{"quantile":0.99,"value":4}]}]}},{"name":"g","unit":"1","gauge":{"dataPoints":[{"timeUnixNano":"1700000000000000000","flags":1}]}},{"name":"e","exponentialHistogram":{"aggregationTemporality":2,"dataPoints":[{"timeUnixNano":"1700000000000000000","count":"9","sum":3.5,"scale":1,"zeroCount":"2","positive":{"offset":-1,"bucketCounts":["1","0","3"]},"negative":{"offset":4,"bucketCounts":[3]},"exemplars":[{"asDouble":0.5,"timeUnixNano":"1700000000000000000","traceId":"0102030405060708090a0b0c0d0e0f10","spanId":"0102030405060708","filteredAttributes":[{"key":"a","value":{"intValue":1}}]}]}]}},{"name":"d","sum":{"aggregationTemporality":1,"isMonotonic":true,"dataPoints":[{"startTimeUnixNano":"1700000000000000000","timeUnixNano":"1700000010000000000","asDouble":1.5},{"startTimeUnixNano":"1700000010000000000","timeUnixNano":"1700000020000000000","asDouble":1.5}]}}"#;

const EXPOSITION_TEXT: &[u8] = b"t# HELP a_total Help \\\\ with\\n escapes.\n# TYPE a_total counter\na_total{b=\"c\\\"d\"} 1.5e3 1700000000000\n{\"my.name\", \"l.x\" = \"y\" q=\"r\",} NaN\n\n# a comment\n# TYPE h histogram\nh_bucket{le=\"1\"} 2\nh_bucket{le=\"+Inf\"} 3\n";
const EXPOSITION_OPEN_METRICS: &[u8] = b"o# HELP a_seconds Help.\n# TYPE a_seconds counter\n# UNIT a_seconds seconds\na_seconds_total{b=\"c\"} 1 1700000000.5 # {trace_id=\"ab\"} 0.5 1.25\na_seconds_created{b=\"c\"} 1600000000.125\n# TYPE h histogram\nh_bucket{le=\"1.0\"} 2 # {} 1\nh_bucket{le=\"+Inf\"} 3\nh_count 3\nh_sum 2\n# TYPE s summary\ns{quantile=\"0.5\"} 1\n# TYPE i info\ni_info{a=\"b\"} 1\n# EOF\n";

const TRACEQL: [(&str, &str); 7] = [
    ("filter", r#"{ span.a >= 1 && resource.service.name =~ "sh.*" || !(.d = true) && event:name != nil }"#),
    (
        "structure",
        r#"({ name = "GET /" } &>> { status = error }) !~ { kind = server } | by(span.c) | count() > 0 | select(span."x y", link:spanID)"#,
    ),
    ("arithmetic", r#"{ -span.a * 2 ^ .b - 5 % 3 < duration / 1ms } | avg(span.a) + 1 >= max(.b)"#),
    ("rate", r#"{ nestedSetParent < 0 } | rate() by (span.e, rootName) > 0.5 | topk(3) with(exemplars=true)"#),
    ("quantile", r#"{ } | quantile_over_time(duration, .5, 0.99) by (status)"#),
    ("compare", r#"{ } | compare({ span.a > 0 }, 5, 1, 5000000000)"#),
    ("nested", r#"({ span.a = 1 } | count() > 0) && ({ `x` != "\"y\u00fc" } | coalesce()) // end"#),
];

fn main() -> std::io::Result<()> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let save = |target: &str, name: &str, bytes: &[u8]| {
        assert!(bytes.len() < 4096, "{target}/{name} is too long for a seed");
        std::fs::create_dir_all(corpus.join(target))?;
        std::fs::write(corpus.join(target).join(name), bytes)
    };
    let traces = format!(
        r#"{{"resourceSpans":[{{"resource":{RESOURCE},"scopeSpans":[{{"scope":{SCOPE},"spans":[{SPAN}]}}]}}]}}"#
    );
    let logs = format!(
        r#"{{"resourceLogs":[{{"resource":{RESOURCE},"scopeLogs":[{{"scope":{SCOPE},"logRecords":[{RECORD}]}}]}}]}}"#
    );
    let metrics = format!(
        r#"{{"resourceMetrics":[{{"resource":{RESOURCE},"scopeMetrics":[{{"scope":{SCOPE},"metrics":[{METRICS}]}}]}}]}}"#
    );
    for (target, json) in [("otlp_traces", &traces), ("otlp_logs", &logs), ("otlp_metrics", &metrics)] {
        save(target, "json", &prefixed(b'j', json.as_bytes()))?;
    }
    let decoded = Decoder::default().traces(Format::Json, traces.as_bytes()).expect("the seed decodes");
    let mut bytes = Vec::new();
    encode_traces_protobuf(&decoded.batch, &mut bytes);
    save("otlp_traces", "protobuf", &prefixed(b'p', &bytes))?;
    save("otlp_logs", "protobuf", &prefixed(b'p', &logs_protobuf()))?;
    save("otlp_metrics", "protobuf", &prefixed(b'p', &metrics_protobuf()))?;
    save("otlp_metrics", "exponential_delta", &prefixed(b'p', &exponential()))?;
    save("remote_write", "request", &remote_write())?;
    save("remote_write_2", "request", &remote_write_2())?;
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    packed.write_all(b"some lines, some lines\n")?;
    let packed = packed.finish()?;
    save("exposition", "text", EXPOSITION_TEXT)?;
    save("exposition", "open_metrics", EXPOSITION_OPEN_METRICS)?;
    save("exposition", "protobuf", &prefixed(b'p', &exposition_protobuf()))?;
    save(
        "bulk",
        "line",
        br#"l{"metric":{"__name__":"up","a":"b"},"values":[1,-2.5e3,null,"Infinity"],"timestamps":[1,2,3,4]}"#,
    )?;
    save("bulk", "read", &prefixed(b'r', &remote_read()))?;
    save("bulk", "gzip", &prefixed(1, &packed))?;
    save("loki_push", "protobuf", &prefixed(b'p', &loki()))?;
    save("loki_push", "json", br#"j{"streams":[{"stream":{"app":"web","env":"dev"},"values":[["1700000000000000000","a line",{"trace_id":"ab"}],["2","b"]]}]}"#)?;
    save("loki_push", "json_v0", br#"j{"streams":[{"labels":"{app=\"web\", env=`dev`}","entries":[{"ts":"2026-01-02T03:04:05.678+01:00","line":"a line"}]}]}"#)?;
    for (name, query) in TRACEQL {
        save("traceql", name, query.as_bytes())?;
    }
    let text = b"some text, some text, some other text. ".repeat(20);
    let level = flate2::Compression::default();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), level);
    gzip.write_all(&text)?;
    let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), level);
    zlib.write_all(&text)?;
    let mut deflate = flate2::write::DeflateEncoder::new(Vec::new(), level);
    deflate.write_all(&text)?;
    save("decompress", "identity", &prefixed(0, &text))?;
    save("decompress", "gzip", &prefixed(1, &gzip.finish()?))?;
    save("decompress", "zstd", &prefixed(2, &zstd::stream::encode_all(text.as_slice(), 3)?))?;
    save("decompress", "zlib", &prefixed(3, &zlib.finish()?))?;
    save("decompress", "deflate", &prefixed(3, &deflate.finish()?))?;
    save("decompress", "snappy", &prefixed(4, &snap::raw::Encoder::new().compress_vec(&text).expect("snappy packs")))?;
    save("decompress", "bomb_zstd", &prefixed(2, &zstd::stream::encode_all(vec![0; 1 << 20].as_slice(), 3)?))
}

fn prefixed(first: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![first];
    out.extend_from_slice(body);
    out
}

fn attribute(w: &mut Writer<'_>, number: u32, key: &str, value: &str) {
    w.message(number, |w| {
        w.bytes(1, key);
        w.message(2, |w| w.bytes(1, value));
    });
}

fn logs_protobuf() -> Vec<u8> {
    let mut out = Vec::new();
    Writer::new(&mut out).message(1, |w| {
        w.message(1, |w| attribute(w, 1, "service.name", "shop"));
        w.message(2, |w| {
            w.message(1, |w| w.bytes(1, "lib"));
            w.message(2, |w| {
                w.fixed64(1, 1_700_000_000_000_000_000);
                w.varint(2, 9);
                w.bytes(3, "INFO");
                w.message(5, |w| w.bytes(1, "a line"));
                attribute(w, 6, "http.method", "GET");
                w.fixed32(8, 1);
                w.bytes(9, [1; 16]);
                w.bytes(10, [2; 8]);
            });
        });
    });
    out
}

fn metrics_protobuf() -> Vec<u8> {
    let mut out = Vec::new();
    Writer::new(&mut out).message(1, |w| {
        w.message(1, |w| {
            attribute(w, 1, "service.name", "shop");
            attribute(w, 1, "host.name", "pi");
        });
        w.message(2, |w| {
            w.message(2, |w| {
                w.bytes(1, "io");
                w.bytes(3, "By/s");
                w.message(7, |w| {
                    w.message(1, |w| {
                        attribute(w, 7, "dir", "in");
                        w.fixed64(3, 1_700_000_000_000_000_000);
                        w.fixed64(6, 7);
                    });
                    w.varint(2, 2);
                    w.varint(3, 1);
                });
            });
            w.message(2, |w| {
                w.bytes(1, "lat");
                w.message(9, |w| {
                    w.message(1, |w| {
                        w.fixed64(3, 1_700_000_000_000_000_000);
                        w.fixed64(4, 3);
                        w.double(5, 1.5);
                        w.bytes(6, [1u64, 2].map(u64::to_le_bytes).concat());
                        w.bytes(7, 0.5f64.to_le_bytes());
                    });
                    w.varint(2, 2);
                });
            });
        });
    });
    out
}

fn remote_write() -> Vec<u8> {
    let mut out = Vec::new();
    let mut writer = Writer::new(&mut out);
    writer.message(1, |w| {
        for (name, value) in [("__name__", "up"), ("job", "a")] {
            w.message(1, |w| {
                w.bytes(1, name);
                w.bytes(2, value);
            });
        }
        w.message(2, |w| {
            w.double(1, 1.0);
            w.varint(2, 1_700_000_000_000);
        });
        w.message(3, |w| {
            w.message(1, |w| {
                w.bytes(1, "trace_id");
                w.bytes(2, "ab");
            });
            w.double(2, 1.0);
            w.varint(3, 1_700_000_000_000);
        });
        w.message(4, integer_histogram);
        w.message(4, custom_histogram);
    });
    writer.message(3, |w| {
        w.varint(1, 2);
        w.bytes(2, "up");
        w.bytes(4, "Help.");
        w.bytes(5, "s");
    });
    out
}

/// Two positive buckets of 1 and 3, a negative one of 2, one at zero.
fn integer_histogram(w: &mut Writer<'_>) {
    w.varint(1, 7);
    w.double(3, 1.5);
    w.varint(4, zigzag(1));
    w.double(5, 0.001);
    w.varint(6, 1);
    w.message(8, |w| w.varint(2, 1));
    w.bytes(9, [zigzag(2) as u8]);
    for (offset, length) in [(-1, 1), (3, 1)] {
        w.message(11, |w| {
            w.varint(1, zigzag(offset));
            w.varint(2, length);
        });
    }
    w.bytes(12, [zigzag(1) as u8, zigzag(2) as u8]);
    w.varint(14, 1);
    w.varint(15, 1_700_000_000_000);
}

fn custom_histogram(w: &mut Writer<'_>) {
    w.double(2, 3.5);
    w.varint(4, zigzag(-53));
    w.message(11, |w| w.varint(2, 2));
    w.bytes(13, [1.0f64, 2.5].map(f64::to_le_bytes).concat());
    w.varint(15, 1_700_000_000_001);
    w.bytes(16, 4.0f64.to_le_bytes());
}

fn remote_write_2() -> Vec<u8> {
    let mut out = Vec::new();
    let mut writer = Writer::new(&mut out);
    ["", "__name__", "up", "h", "trace_id", "ab", "Help.", "s"].iter().for_each(|symbol| writer.bytes(4, symbol));
    writer.message(5, |w| {
        w.bytes(1, [1, 2]);
        for (start_ms, value) in [(0, 1.0), (1_600_000_000_000, 2.0)] {
            w.message(2, |w| {
                w.double(1, value);
                w.varint(2, 1_700_000_000_000);
                w.varint(3, start_ms);
            });
        }
        w.message(4, |w| {
            w.bytes(1, [4, 5]);
            w.double(2, 1.0);
            w.varint(3, 1_700_000_000_000);
        });
        w.message(5, |w| {
            w.varint(1, 1);
            w.varint(3, 6);
            w.varint(4, 7);
        });
        w.varint(6, 1_600_000_000_000);
    });
    writer.message(5, |w| {
        w.bytes(1, [1, 3]);
        w.message(3, integer_histogram);
        w.message(3, custom_histogram);
    });
    out
}

/// Two points of one stream of differences, of different scales.
fn exponential() -> Vec<u8> {
    let mut out = Vec::new();
    let start_ns = 1_700_000_000_000_000_000;
    Writer::new(&mut out).message(1, |w| {
        w.message(2, |w| {
            w.message(2, |w| {
                w.bytes(1, "size");
                w.message(10, |w| {
                    for (i, scale) in [3, 12].into_iter().enumerate() {
                        w.message(1, |w| {
                            w.fixed64(2, start_ns + i as u64 * 1_000_000_000);
                            w.fixed64(3, start_ns + (i as u64 + 1) * 1_000_000_000);
                            w.fixed64(4, 6);
                            w.double(5, 2.5);
                            w.varint(6, zigzag(scale));
                            w.fixed64(7, 1);
                            w.message(8, |w| {
                                w.varint(1, zigzag(-2));
                                w.bytes(2, [1, 0, 0, 0, 0, 2]);
                            });
                            w.message(9, |w| w.bytes(2, [2]));
                            w.double(14, 0.5);
                        });
                    }
                    w.varint(2, 1);
                });
            });
        });
    });
    out
}

fn loki() -> Vec<u8> {
    let mut out = Vec::new();
    Writer::new(&mut out).message(1, |w| {
        w.bytes(1, r#"{app="web", env="d\x65v\n"}"#);
        w.message(2, |w| {
            w.message(1, |w| {
                w.varint(1, 1_700_000_000);
                w.varint(2, 5);
            });
            w.bytes(2, "a line");
            w.message(3, |w| {
                w.bytes(1, "trace_id");
                w.bytes(2, "ab");
            });
        });
    });
    out
}

fn exposition_protobuf() -> Vec<u8> {
    let mut family = Vec::new();
    let mut writer = Writer::new(&mut family);
    writer.bytes(1, "h");
    writer.bytes(2, "Help.");
    writer.varint(3, 4);
    writer.message(4, |metric| {
        metric.message(1, |w| {
            w.bytes(1, "path");
            w.bytes(2, "/");
        });
        metric.varint(6, 1_700_000_000_000);
        metric.message(7, |w| {
            w.varint(1, 6);
            w.double(2, 1.5);
            w.message(3, |w| {
                w.varint(1, 4);
                w.double(2, 0.5);
                w.message(3, |w| {
                    w.double(2, 0.25);
                    w.message(3, |w| w.varint(1, 9));
                });
            });
            w.varint(5, zigzag(2));
            w.double(6, 1e-6);
            w.varint(7, 1);
            w.message(12, |w| {
                w.varint(1, zigzag(-2));
                w.varint(2, 3);
            });
            for delta in [2, -1, 1] {
                w.varint(13, zigzag(delta));
            }
            w.message(15, |w| w.varint(1, 5));
        });
    });
    let mut out = Vec::new();
    let mut length = family.len();
    while length >= 0x80 {
        out.push(length as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
    out.extend_from_slice(&family);
    out
}

fn remote_read() -> Vec<u8> {
    let mut out = Vec::new();
    let mut writer = Writer::new(&mut out);
    writer.message(1, |w| {
        w.varint(1, 1000);
        w.varint(2, 2000);
        for (op, name, value) in [(0, "__name__", "up"), (3, "job", "a|b")] {
            w.message(3, |w| {
                w.varint(1, op);
                w.bytes(2, name);
                w.bytes(3, value);
            });
        }
    });
    writer.varint(2, 1);
    writer.varint(2, 0);
    out
}
