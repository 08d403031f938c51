//! Names under every spelling, lines as frameworks write them, and any bytes at all.

use super::*;
use proptest::prelude::*;

const T: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const S: &str = "00f067aa0ba902b7";

fn ids(line: &str) -> Vec<(IdKind, String)> {
    let mut all = Vec::new();
    find_ids(line.as_bytes(), &mut |kind, id| all.push((kind, String::from_utf8(id.to_vec()).unwrap())));
    all
}

fn first(line: &str, kind: IdKind) -> Option<String> {
    ids(line).into_iter().find(|(k, _)| *k == kind).map(|(_, id)| id)
}

#[test]
fn names_in_all_their_spellings() {
    let names: [(IdKind, &str); 7] = [
        (
            IdKind::Trace,
            "trace_id traceId traceID TraceId TraceID TRACE_ID trace-id trace.id traceid Trace-Id _trace_id dd.trace_id \
             dd_trace_id otelTraceID otel.trace_id otel_trace_id OTEL_TRACE_ID mdc.traceId contextMap.traceId fields.trace_id \
             attributes.trace_id X-B3-TraceId x_b3_traceid x-b3-traceid X-Trace-Id trace.trace_id labels.trace.id @tr \
             com.acme.trace_id log.trace_id",
        ),
        (
            IdKind::Span,
            "span_id spanId spanID SpanId span-id span.id spanid SPAN_ID dd.span_id otelSpanID X-B3-SpanId x_b3_spanid \
             mdc.spanId logging.googleapis.com/spanId @sp",
        ),
        (
            IdKind::Request,
            "request_id requestId requestID RequestId RequestID request-id request.id requestid X-Request-ID x_request_id \
             x-request-id req_id reqId ReqId req-id correlation_id correlationId CorrelationId x-correlation-id X-Correlation-ID \
             http.request.header.x-request-id http_request_header_x_request_id request_X-Request-Id aws_request_id \
             AwsRequestId x-amzn-RequestId http.request.id http.request_id req.headers.x-request-id mdc.requestId \
             cf_request_id x-ms-request-id kong-request-id action_dispatch.request_id",
        ),
        (
            IdKind::Circuit,
            "circuit_id circuitId CircuitID CircuitId circuit-id circuit.id circuitid X-Circuit-Id acme.circuit_id",
        ),
        (
            IdKind::Product,
            "product_id productId ProductID product-id product.id productid baggage.product_id shop/product-id",
        ),
        (IdKind::Resource, "resource_id resourceId ResourceID resource-id resource.id resourceid x-resource-id"),
        (
            IdKind::ResourceType,
            "resource_type_id resourceTypeId ResourceTypeID resource-type-id resource.type.id resourcetypeid",
        ),
    ];
    for (kind, spellings) in names {
        for name in spellings.split_whitespace() {
            assert_eq!(IdKind::of_name(name.as_bytes()), Some(kind), "{name}");
        }
        assert_eq!(IdKind::of_name(kind.as_str().as_bytes()), Some(kind));
    }
}

#[test]
fn names_that_only_look_like_it() {
    let names = "android_id valid resource_type id uid pid user_id tenant_id client_id device_id parent_span_id parentSpanId \
                 parent.span.id parent_id strace_id backtraceid subproduct_id byproductid short_circuit_id_count identity \
                 grid rapid trace tracer trace_flags span request circuit product resource resourceName request_ids trace_ids \
                 requestidentifier old.product_id root.trace_id cloud.resource_id linked_trace_id session_id event_id \
                 traceparent b3 uber-trace-id type_id resource_typeid_x userresourceid _ - .id x-id sponsored_circuit_idx \
                 microrequest_id invalid void paid said";
    for name in names.split_whitespace().chain([""]) {
        let expected = None;
        assert_eq!(IdKind::of_name(name.as_bytes()), expected, "{name}");
    }
    assert_eq!(IdKind::of_name(&[b'a'; 300]), None);
    assert_eq!(IdKind::of_name(&[vec![b'.'; 300], b"trace_id".to_vec()].concat()), None);
}

#[test]
fn lines_as_frameworks_write_them() {
    use IdKind::*;
    let lines: &[(&str, &[(IdKind, &str)])] = &[
        // zap, structlog, logback's JSON, Serilog's compact form, ECS, GELF, pino, bunyan.
        (
            r#"{"level":"info","ts":1732216325.1,"caller":"a/b.go:12","msg":"done","traceID":"$T","spanID":"$S","request_id":"7d0"}"#,
            &[(Trace, T), (Span, S), (Request, "7d0")],
        ),
        (
            r#"{"event": "order accepted", "trace_id": "$T", "span_id": "$S", "circuit_id": "circ-00042", "level": "info"}"#,
            &[(Trace, T), (Span, S), (Circuit, "circ-00042")],
        ),
        (
            r#"{"@timestamp":"2026-11-21T18:00:00.000Z","message":"x","mdc":{"traceId":"$T","spanId":"$S"},"circuitId":42,"resourceTypeId":7}"#,
            &[(Trace, T), (Span, S), (Circuit, "42"), (ResourceType, "7")],
        ),
        (
            r#"{"@t":"2026-11-21T18:00:00Z","@mt":"Hi {Name}","@tr":"$T","@sp":"$S","RequestId":"0HMVD9:00000001"}"#,
            &[(Trace, T), (Span, S), (Request, "0HMVD9:00000001")],
        ),
        (
            r#"{"@timestamp":"x","log.level":"INFO","trace.id":"$T","span.id":"$S","http":{"request":{"id":"abc"}}}"#,
            &[(Trace, T), (Span, S), (Request, "abc")],
        ),
        (r#"{"trace":{"id":"$T"},"span":{"id":"$S"},"user":{"id":"u1"},"id":"mine"}"#, &[(Trace, T), (Span, S)]),
        (
            r#"{"version":"1.1","host":"a","short_message":"x","_trace_id":"$T","_request_id":"r1"}"#,
            &[(Trace, T), (Request, "r1")],
        ),
        (
            r#"{"level":30,"time":1,"pid":4,"hostname":"h","reqId":"req-1","req":{"method":"GET","headers":{"x-request-id":"r2"}}}"#,
            &[(Request, "req-1"), (Request, "r2")],
        ),
        // Cloud Logging, Datadog, AWS.
        (
            r#"{"severity":"INFO","logging.googleapis.com/trace":"projects/p-1/traces/$T","logging.googleapis.com/spanId":"$S"}"#,
            &[(Trace, T), (Span, S)],
        ),
        (
            r#"{"dd.trace_id":"1234567890123456789","dd.span_id":"42","msg":"x"}"#,
            &[(Trace, "112210f47de98115"), (Span, "000000000000002a")],
        ),
        (
            r#"[dd.service=a dd.env=b dd.version= dd.trace_id=$T dd.span_id=7] hello"#,
            &[(Trace, T), (Span, "0000000000000007")],
        ),
        (
            "X-Amzn-Trace-Id: Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1",
            &[(Trace, "5759e988bd862e3fe1be46a994272793"), (Span, "53995c3f42cd8ad8")],
        ),
        (
            "xrayTraceId=1-5759e988-bd862e3fe1be46a994272793 trace_id=1-5759e988-bd862e3fe1be46a994272793",
            &[(Trace, "5759e988bd862e3fe1be46a994272793")],
        ),
        (
            "START RequestId: 5d0c63a1-2d4b-4cd6-a0c6-0a1c8b7d8a11 Version: $LATEST",
            &[(Request, "5d0c63a1-2d4b-4cd6-a0c6-0a1c8b7d8a11")],
        ),
        ("X-Cloud-Trace-Context: $T/74;o=1", &[(Trace, T), (Span, "000000000000004a")]),
        // Spring Sleuth and Boot, log4j's MDC, Python's logging with OpenTelemetry, oslo, tracing.
        (
            "2026-11-21 18:00:00.123  INFO [beorn,$T,$S,true] 1 --- [nio-8080-exec-1] c.a.Circuits : done",
            &[(Trace, T), (Span, S)],
        ),
        (
            "2026-11-21 18:00:00.123  INFO [,463ac35c9f6413ad,463ac35c9f6413ad] 1 --- [main] x",
            &[(Trace, "463ac35c9f6413ad"), (Span, "463ac35c9f6413ad")],
        ),
        (
            "2026-11-21T18:00:00.123Z INFO 1 --- [beorn] [nio-8080-exec-1] [$T-$S] c.a.Circuits : x",
            &[(Trace, T), (Span, S)],
        ),
        (
            "18:00:00 [main] INFO  a.B - {traceId=$T, spanId=$S, circuitId=c-9} done",
            &[(Trace, T), (Span, S), (Circuit, "c-9")],
        ),
        (
            "2026-11-21 18:00:00,123 INFO [app] [a.py:12] [trace_id=$T span_id=$S resource.service.name=beorn trace_sampled=True] - done",
            &[(Trace, T), (Span, S)],
        ),
        (
            "nova.api [req-38101a0b-2096-447d-96ea-a692162415ae 113d3a99c3da401fbd62cc2caa5b96d2 - - -] GET",
            &[(Request, "req-38101a0b-2096-447d-96ea-a692162415ae")],
        ),
        (
            r#"INFO request{method=GET request_id=Some("a-1")}: shop: done circuit_id=None product_id=Some(12)"#,
            &[(Request, "a-1"), (Product, "12")],
        ),
        (
            r#"I, [2026-11-21T18:00:00 #1]  INFO -- : {:request_id=>"abc-1", "product_id" => "p2", :x=>1}"#,
            &[(Request, "abc-1"), (Product, "p2")],
        ),
        (
            "info: Microsoft.Hosting[0] => SpanId:$S, TraceId:$T, ParentId:0000000000000000 => RequestId:0HM:1",
            &[(Span, S), (Trace, T), (Request, "0HM:1")],
        ),
        // Proxies, query strings, headers, sentences.
        (
            r#"10.0.0.1 - - [21/Nov/2026:18:00:00 +0000] "GET /a?circuit_id=c-1&product_id=p%2F2 HTTP/1.1" 200 12 "-" "curl" rt=0.1 request_id=3f2a"#,
            &[(Circuit, "c-1"), (Product, "p%2F2"), (Request, "3f2a")],
        ),
        (
            r#"{"ClientHost":"10.0.0.1","request_X-Request-Id":"r-7","TraceId":"$T","SpanId":"$S"}"#,
            &[(Request, "r-7"), (Trace, T), (Span, S)],
        ),
        (
            r#"GET / headers: map[Traceparent:[00-$T-$S-01] X-Request-Id:[abc-def]]"#,
            &[(Trace, T), (Span, S), (Request, "abc-def"), (Trace, T), (Span, S)],
        ),
        ("traceparent: 00-$T-$S-01", &[(Trace, T), (Span, S), (Trace, T), (Span, S)]),
        ("calling arda with 00-$T-$S-01, hop 2", &[(Trace, T), (Span, S)]),
        ("b3: $T-$S-1-05e3ac9a4f6e3b90", &[(Trace, T), (Span, S)]),
        (
            "X-B3-TraceId: 463ac35c9f6413ad X-B3-SpanId: $S X-B3-ParentSpanId: 0020000000000001",
            &[(Trace, "463ac35c9f6413ad"), (Span, S)],
        ),
        ("uber-trace-id: 3ce929d0e0e4736:f067aa0ba902b7:0:1", &[(Trace, "03ce929d0e0e4736"), (Span, S)]),
        ("could not route circuit id: c-17, retrying (correlation id: 99).", &[(Circuit, "c-17"), (Request, "99")]),
        (
            "request_id=r-1: failed; trace_id = $T ; product-id = 'p 1' resource_id = \"r,1\"",
            &[(Request, "r-1"), (Trace, T), (Resource, "r,1")],
        ),
        (
            "CEF:0|a|b|1|100|x|5|request_id=77|circuit_id=12;product_id=9;",
            &[(Request, "77"), (Circuit, "12"), (Product, "9")],
        ),
        ("_TRACE_ID=$T REQUEST_ID=(abc) resource.id=<r1>", &[(Trace, T), (Request, "abc"), (Resource, "r1")]),
        ("trace_id=4bf92f35-77b3-4da6-a3ce-929d0e0e4736 ids", &[(Trace, T)]),
        // JSON in JSON, and in that again.
        (
            r#"{"log":"{\"trace_id\":\"$T\",\"circuit_id\":\"c-1\",\"n\":1}\n","stream":"stdout"}"#,
            &[(Trace, T), (Circuit, "c-1")],
        ),
        (
            r#"{"a":"{\"b\":\"{\\\"trace_id\\\":\\\"$T\\\",\\\"product_id\\\": \\\"p\\\"}\"}"}"#,
            &[(Trace, T), (Product, "p")],
        ),
        (
            r#"level=info msg="got {\"request_id\":\"r9\"}" circuit_id="c 1" product_id="p1""#,
            &[(Request, "r9"), (Product, "p1")],
        ),
    ];
    for (line, expected) in lines {
        let line = line.replace("$T", T).replace("$S", S);
        let expected: Vec<_> = expected.iter().map(|(kind, id)| (*kind, (*id).to_owned())).collect();
        assert_eq!(ids(&line), expected, "{line}");
    }
}

#[test]
fn what_is_no_id_is_passed_over() {
    for line in [
        r#"{"trace_id":"","span_id":null,"request_id":"null","circuit_id":"None","product_id":"-","resource_id":{"a":1}}"#,
        "trace_id= span_id= request_id= circuit_id=undefined product_id=N/A resource_id=()",
        "trace_id=00000000000000000000000000000000 span_id=0000000000000000 request_id=00000000-0000-0000-0000-000000000000",
        "trace_id=4bf92f3577b34da6a3ce929d0e0e473 span_id=00f067aa0ba902bg trace_id=xyz span_id=1",
        "trace_id=4bf92f3577b34da6a3ce929d0e0e47360 dd.trace_id=0 dd.trace_id=99999999999999999999999 dd.span_id=+2",
        "request_id=größe circuit_id=\"a\u{7f}b\" product_id=\"caf\u{e9}\" resource_id=\"a\\u00e9\"",
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01 00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        "x00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01f",
        "[main,a,b] [a,4bf92f3577b34da6a3ce929d0e0e4736] [4bf92f3577b34da6a3ce929d0e0e4736] [,,] [,] [",
        "request_id: circuit_id: product_id:",
        "trace_id: ",
        "request_id: ",
        "request_id: circuit_id:",
        "trace_id",
        "=",
        ":",
        "id=",
        "id:5",
        "\"id\":7",
        "",
        "nested { id: 5 }",
        "12:34:56 uid=0 euid=0 tty=NODEVssh rhost=1.2.3.4 pid:99 valid=true android_id=9 user_id=4",
    ] {
        assert_eq!(ids(line), [], "{line}");
    }
    let long = format!("request_id=\"{}\" circuit_id={} product_id=p", "a".repeat(129), "b".repeat(129));
    assert_eq!(ids(&long), [(IdKind::Product, "p".to_owned())]);
    let longest = "a".repeat(128);
    assert_eq!(first(&format!("request_id=\"{longest}\""), IdKind::Request), Some(longest.clone()));
    assert_eq!(first(&format!("request_id={longest}"), IdKind::Request), Some(longest));
}

#[test]
fn fields_are_read_whole() {
    let field = |name: &str, value: &str| {
        let mut all = Vec::new();
        find_in_field(name.as_bytes(), value.as_bytes(), &mut |kind, id| {
            all.push((kind, String::from_utf8(id.to_vec()).unwrap()))
        });
        all
    };
    assert_eq!(field("traceID", T), [(IdKind::Trace, T.to_owned())]);
    assert_eq!(field("http_request_header_x_request_id", "[\"a-1\"]"), [(IdKind::Request, "a-1".to_owned())]);
    let both = [(IdKind::Trace, T.to_owned()), (IdKind::Span, S.to_owned())];
    assert_eq!(field("traceparent", &format!("00-{T}-{S}-01")), both);
    assert_eq!(field("http_request_header_traceparent", &format!("[\"00-{T}-{S}-01\"]")), both);
    assert_eq!(field("b3", &format!("{T}-{S}")), both);
    assert_eq!(field("traceparent", &format!("ff-{T}-{S}-01")), []);
    assert_eq!(field("circuit_id", "a b"), []);
    assert_eq!(field("circuit_id", ""), []);
    assert_eq!(field("user_id", "7"), []);
}

fn planted() -> impl Strategy<Value = (IdKind, &'static str, String)> {
    let names = prop::sample::select(vec![
        (IdKind::Trace, "trace_id"),
        (IdKind::Trace, "traceID"),
        (IdKind::Trace, "otelTraceID"),
        (IdKind::Span, "SpanId"),
        (IdKind::Request, "X-Request-ID"),
        (IdKind::Request, "correlation_id"),
        (IdKind::Circuit, "circuit_id"),
        (IdKind::Product, "productId"),
        (IdKind::Resource, "resource.id"),
        (IdKind::ResourceType, "resource_type_id"),
    ]);
    names.prop_flat_map(|(kind, name)| {
        let id = match kind {
            IdKind::Trace => "[0-9a-f]{31}[1-9a-f]",
            IdKind::Span => "[0-9A-F]{15}[1-9]",
            _ => "[a-zA-Z1-9][a-z0-9_-]{10,30}[0-9]",
        };
        (Just(kind), Just(name), id)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_bytes_give_valid_ids_or_none(line in prop::collection::vec(any::<u8>(), 0..400)) {
        check(&line);
    }

    #[test]
    fn bits_of_lines_give_valid_ids_or_none(parts in prop::collection::vec(prop::sample::select(vec![
        "trace_id", "request_id", "id", "\"", "'", "\\", ":", "=", " ", "[", "]", "{", "}", ",", "00-", "-", T, S, "-01", "b3",
        "traceparent", "uber-trace-id", "Some(", ">", "req-", "dd.", "1-", "trace", ".", "null", "é", "circuit",
    ]), 0..30)) {
        check(parts.concat().as_bytes());
    }

    #[test]
    fn what_is_planted_is_found(
        (kind, name, id) in planted(), form in 0..8usize, before in "[a-z =:,.]{0,40}", after in "[a-z =:]{0,40}",
    ) {
        let pair = match form {
            0 => format!("{{\"m\":\"{before}\",\"{name}\":\"{id}\",\"n\":\"{after}\"}}"),
            1 => format!("{{\"m\": \"{before}\", \"{name}\": \"{id}\", \"n\": 1}}"),
            2 => format!("m=\"{before}\" {name}={id} n=\"{after}\""),
            3 => format!("{before} {name}: {id}, {after}"),
            4 => format!("{before} [{name}={id}] {after}"),
            5 => format!("GET /?a=b&{name}={id}&c=d {after}"),
            6 => format!("{{\"log\":\"{{\\\"{name}\\\":\\\"{id}\\\"}}\",\"x\":\"{after}\"}}"),
            _ => format!("{before} {{'{name}': '{id}'}} {after}"),
        };
        prop_assert!(ids(&pair).contains(&(kind, id)), "{}", pair);
    }
}

fn check(line: &[u8]) {
    find_ids(line, &mut |kind, id| {
        let hex = id.iter().all(u8::is_ascii_hexdigit) && id.iter().any(|b| *b != b'0');
        match kind {
            IdKind::Trace => assert!(hex && matches!(id.len(), 16 | 32)),
            IdKind::Span => assert!(hex && id.len() == 16),
            _ => assert!((1..=128).contains(&id.len()) && id.iter().all(u8::is_ascii_graphic)),
        }
    });
}
