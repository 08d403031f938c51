//! Imports against a writer that remembers.

use super::import;
use crate::receivers::ReceiveLimits;
use crate::receivers::testing::{Bench, chunked, gzip, send};
use bramble_storage::WriteError;

fn line(name: &str, rows: usize) -> String {
    let values: Vec<String> = (0..rows).map(|i| format!("{i}.5")).collect();
    let times: Vec<String> = (0..rows).map(|i| (i * 1000).to_string()).collect();
    let (values, times) = (values.join(","), times.join(","));
    format!("{{\"metric\":{{\"__name__\":\"{name}\"}},\"values\":[{values}],\"timestamps\":[{times}]}}\n")
}

fn bench() -> Bench {
    Bench::new(16 << 20, ReceiveLimits::default())
}

fn written(bench: &Bench) -> (usize, usize) {
    let batches = bench.writer.metrics.lock();
    assert!(batches.iter().all(|batch| batch.backfill));
    (batches.len(), batches.iter().map(|batch| batch.sample_count()).sum())
}

#[tokio::test]
async fn json_lines_are_stored_in_every_encoding() {
    let body = line("a", 3) + "\n" + &line("b", 2);
    let zstd = zstd::stream::encode_all(body.as_bytes(), 3).unwrap();
    for (encoding, body) in [("", body.clone().into_bytes()), ("gzip", gzip(body.as_bytes())), ("zstd", zstd)] {
        let bench = bench();
        let router = import(bench.state.clone());
        for path in ["/api/v1/import?extra_label=dc%3Dx", "/api/v1/import?a=b&extra_label=dc%3Dx"] {
            let answer = send(&router, path, &[("content-encoding", encoding)], body.clone()).await;
            assert_eq!(answer.status.as_u16(), 204, "{encoding}: {}", answer.text());
        }
        assert_eq!(written(&bench), (2, 10));
        assert_eq!(bench.writer.metrics.lock()[0].series(1).0.to_string(), r#"{__name__="b", dc="x"}"#);
        assert_eq!(bench.budget.used_bytes(), 0);
    }
}

#[tokio::test]
async fn bad_lines_are_named_and_the_others_stored() {
    let bench = bench();
    let router = import(bench.state.clone());
    let body = line("a", 2) + "{\"metric\":\n" + &line("b", 2) + "nonsense";
    let answer = send(&router, "/api/v1/import", &[], body).await;
    assert_eq!(answer.status.as_u16(), 400);
    assert!(
        answer.text().starts_with("2 refused, everything else is stored; first: line 2: column 10: EOF"),
        "{}",
        answer.text()
    );
    assert_eq!(written(&bench), (1, 4));
    let text = "# TYPE a counter\na 1 1000\nb{x=} 2\nc 3\n";
    let answer = send(&router, "/api/v1/import/prometheus?timestamp=77", &[], text).await;
    assert_eq!(answer.status.as_u16(), 400);
    assert!(answer.text().contains("first: line 3, column 5: expected a label value"), "{}", answer.text());
    let batches = bench.writer.metrics.lock();
    let times: Vec<i64> = batches[1].iter().map(|(_, samples)| samples[0].timestamp_ms).collect();
    assert_eq!((times, batches[1].metadata.len()), (vec![1000, 77], 1));
}

#[tokio::test]
async fn parameters_and_types_are_checked() {
    let bench = bench();
    let router = import(bench.state.clone());
    for (path, headers, status) in [
        ("/api/v1/import?extra_label=x", &[][..], 400),
        ("/api/v1/import/prometheus?timestamp=x", &[], 400),
        ("/api/v1/import", &[("content-encoding", "snappy")], 415),
        ("/api/v1/import", &[("content-encoding", "br")], 415),
        ("/api/v1/import", &[("content-encoding", "gzip")], 400),
        ("/api/v1/import/prometheus", &[("content-type", "application/vnd.google.protobuf")], 415),
    ] {
        let answer = send(&router, path, headers, "a 1\n").await;
        assert_eq!(answer.status.as_u16(), status, "{path} {headers:?}: {}", answer.text());
    }
    assert!(bench.writer.metrics.lock().is_empty());
}

#[tokio::test]
async fn open_metrics_keeps_starts_and_exemplars_over_pieces() {
    let bench = bench();
    let router = import(bench.state.clone());
    let mut body = String::new();
    for family in 0..3000 {
        body.push_str(&format!(
            "# TYPE f{family} counter\nf{family}_total{{a=\"b\"}} 1 2 # {{trace_id=\"t\"}} 1\nf{family}_created{{a=\"b\"}} 1\n"
        ));
    }
    body.push_str("# EOF\n");
    let pieces = body.as_bytes().chunks(1000).map(<[u8]>::to_vec).collect();
    let headers = [("content-type", "application/openmetrics-text; version=1.0.0")];
    let answer = send(&router, "/api/v1/import/prometheus", &headers, chunked(pieces)).await;
    assert_eq!(answer.status.as_u16(), 204, "{}", answer.text());
    assert_eq!(written(&bench).1, 3000);
    for batch in bench.writer.metrics.lock().iter() {
        for index in 0..batch.series_count() {
            assert_eq!((batch.start_ms(index), batch.exemplars(index).count()), (1000, 1));
            assert_eq!(batch.series(index).1[0].timestamp_ms, 2000);
        }
    }
    let answer = send(&router, "/api/v1/import/prometheus", &headers, "a 1\n# EOF\nb 1\n").await;
    assert!(answer.status.as_u16() == 400 && answer.text().contains("after # EOF"), "{}", answer.text());
}

#[tokio::test]
async fn a_long_body_takes_little_memory() {
    // 6 MB of text through a budget of 5 MiB, in batches.
    let bench = Bench::new(5 << 20, ReceiveLimits::default());
    let router = import(bench.state.clone());
    let mut piece = String::new();
    (0..2000).for_each(|i| piece.push_str(&format!("metric_number_{i}{{label=\"some value\"}} {i} 1700000000000\n")));
    let pieces = vec![piece.clone().into_bytes(); 60];
    let answer = send(&router, "/api/v1/import/prometheus", &[], chunked(pieces)).await;
    assert_eq!(answer.status.as_u16(), 204, "{}", answer.text());
    let (batches, samples) = written(&bench);
    assert!(samples == 120_000 && batches > 5, "{samples} in {batches}");
    // A bomb of blank lines is nothing but time.
    let bomb = gzip(&vec![b'\n'; 16 << 20]);
    let answer = send(&router, "/api/v1/import", &[("content-encoding", "gzip")], bomb).await;
    assert_eq!(answer.status.as_u16(), 204, "{}", answer.text());
    let endless = gzip(&vec![b'x'; 4 << 20]);
    let answer = send(&router, "/api/v1/import", &[("content-encoding", "gzip")], endless).await;
    assert_eq!(answer.status.as_u16(), 413, "{}", answer.text());
    assert_eq!(bench.budget.used_bytes(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_short_is_said_with_how_far_it_came() {
    let bench = bench();
    let router = import(bench.state.clone());
    *bench.writer.fail.lock() = Some(WriteError::Journal("full".to_owned()));
    let answer = send(&router, "/api/v1/import", &[], line("a", 1)).await;
    assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (503, "5"));
    *bench.writer.fail.lock() = None;
    let _all = bench.budget.reserve((16 << 20) - 1000).unwrap();
    let answer = send(&router, "/api/v1/import", &[], line("a", 1)).await;
    assert_eq!(answer.status.as_u16(), 503, "{}", answer.text());
    assert_eq!(bench.counted("bramble_receive_rejected_total", &["import", "over_budget"]), 1);
}
