"""Logs posted to the correlation API: forms, bad records by number, syslog, packed bodies; LogQL brings them back by their ids."""

import gzip
import json
import pathlib
import sys
import time
import urllib.parse
import uuid

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "harness"))
from bramble import QUIET, Bramble, Checks, wait_for

JSON = {"Content-Type": "application/json"}
DOORS = ("correlation", "main")
check = Checks()


def equal(got, wanted):
    assert got == wanted, f"got {str(got)[:600]}, wanted {str(wanted)[:600]}"


def post(b, body, headers=JSON, path="/api/logs", door="correlation"):
    body = body if isinstance(body, bytes) else (body if isinstance(body, str) else json.dumps(body)).encode()
    return b.post(door, path, body, headers)


def accepted(answer, count):
    equal((answer.status, answer.json), (200, {"accepted": count, "rejected": []}))


def entries(b, query):
    """(line, labels of its stream and its own) of every entry that a query finds, oldest first."""
    params = {"query": query, "start": time.time_ns() - 7200 * 10**9, "end": time.time_ns() + 600 * 10**9}
    params |= {"limit": 1000, "direction": "forward"}
    answer = b.get("loki", "/loki/api/v1/query_range", params)
    assert answer.status == 200, answer.text[:300]
    found = [(value[0], value[1], stream["stream"]) for stream in answer.json["data"]["result"] for value in stream["values"]]
    return [(line, labels) for _, line, labels in sorted(found, key=lambda entry: entry[0])]


def lines(b, query):
    return [line for line, _ in entries(b, query)]


def rfc3339(seconds):
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{int(seconds % 1 * 1000):03}Z"


def ids():
    return uuid.uuid4().hex, f"C-{uuid.uuid4().hex[:8]}"


def documented(b, door):
    trace, circuit = ids()
    now = time.time()
    body = {
        "resource": {"service": f"beorn-{door}", "host": "pi", "env": "dev"},
        "records": [
            {
                "timestamp": rfc3339(now - 2),
                "severity": "ERROR",
                "message": "it broke",
                "trace_id": trace,
                "labels": {"circuit_id": circuit, "team": "a"},
            },
            {"timestamp": now - 1, "severity": "info", "message": "it works again", "trace_id": trace.upper(), "circuitId": circuit},
            {"message": "something else"},
        ],
    }
    with check(f"{door}: the documented form"):
        accepted(post(b, body, door=door), 3)
    for name, value in (("trace_id", trace), ("circuit_id", circuit)):
        with check(f"{door}: a selector by {name}"):
            equal(lines(b, f'{{{name}="{value}"}}'), ["it broke", "it works again"])
        with check(f"{door}: a filter by {name}"):
            equal(lines(b, f'{{service="beorn-{door}"}} | {name}="{value}"'), ["it broke", "it works again"])
    with check(f"{door}: selectors by service, either name, host and label"):
        for selector in (f'service="beorn-{door}"', f'service_name="beorn-{door}"'):
            equal(len(lines(b, f"{{{selector}}}")), 3)
        equal(lines(b, f'{{service="beorn-{door}", host="pi", env="dev", team="a"}}'), ["it broke"])
    with check(f"{door}: levels"):
        equal(lines(b, f'{{service="beorn-{door}"}} | detected_level="error"'), ["it broke"])
        equal(lines(b, f'{{service="beorn-{door}"}} | level="info"'), ["it works again"])
    with check(f"{door}: ids make no streams"):
        answer = b.get("loki", "/loki/api/v1/series", {"match[]": f'{{service="beorn-{door}"}}'})
        equal(len(answer.json["data"]), 2)


def bad_records(b):
    with check("bad records are named, the good ones stored"):
        body = {
            "resource": {"service": "mixed"},
            "records": [{"message": "one"}, {"message": "x", "timestamp": "soon"}, 7, {"severity": "info"}, {"message": "two"}],
        }
        answer = post(b, body)
        equal((answer.status, answer.json["accepted"]), (207, 2))
        equal([(bad["index"], bad["field"]) for bad in answer.json["rejected"]], [(1, "timestamp"), (2, "record"), (3, "message")])
        equal(lines(b, '{service="mixed"}'), ["one", "two"])
    with check("nothing good: 400, all are named"):
        answer = post(b, {"records": [{"message": "x", "time": "never"}]})
        equal((answer.status, answer.json["accepted"], len(answer.json["rejected"])), (400, 0, 1))
    with check("what the store refuses is counted by reason"):
        answer = post(b, [{"message": "far ahead", "timestamp": time.time() + 86_400}, {"message": "now", "service": "judged"}])
        equal((answer.status, answer.json["accepted"]), (207, 1))
        equal(answer.json["rejected_by_store"], {"too_far_in_future": 1})
        equal(lines(b, '{service="judged"}'), ["now"])
    with check("not JSON: 400 with line and column"):
        answer = post(b, '{"records":[\n {"message" "x"}]}')
        equal((answer.status, answer.json["line"], answer.json["column"]), (400, 2, 13))
        for body in ("", "17", '{"records":[', b'{"message":"\xff"}'):
            equal(post(b, body).status, 400)
    with check("other encodings: 415; damaged ones: 400"):
        equal(post(b, "{}", {**JSON, "Content-Encoding": "br"}).status, 415)
        equal(post(b, gzip.compress(b"{}")[:-3], {**JSON, "Content-Encoding": "gzip"}).status, 400)
    with check("too large: 413"):
        answer = post(b, b'{"message":"' + b"x" * (17 << 20) + b'"}')
        equal((answer.status, list(answer.json)), (413, ["error"]))
    with check("a line too long is named"):
        answer = post(b, [{"message": "x" * 300_000}, {"message": "short", "service": "long"}])
        equal((answer.status, [(bad["index"], bad["field"]) for bad in answer.json["rejected"]]), (207, [(0, "message")]))


def forms(b):
    record = {"message": "m", "service": "forms"}
    now = time.time()
    bodies = [
        record,
        [record],
        {"logs": [record]},
        {"records": record},
        [{"resource": {"service.name": "forms"}, "records": [{"msg": "m"}]}, {"body": "m", "service": "forms"}],
    ]
    with check("a record alone, lists, logs for records, other names"):
        # Entries that are the same in all are one.
        for at, body in enumerate(bodies):
            accepted(post(b, json.dumps(body).replace('"m"', f'"m{at}"')), 2 if at == 4 else 1)
        equal(sorted(lines(b, '{service="forms"}')), ["m0", "m1", "m2", "m3", "m4", "m4"])
    with check("times in every unit"):
        stamps = [rfc3339(now), now, int(now * 1000), int(now * 1e6), int(now * 1e9), str(int(now)), None]
        stamps += [time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(now)), rfc3339(now).replace("Z", "+00:00")]
        body = [{"message": f"t{at}", "ts": ts, "service": "times"} for at, ts in enumerate(stamps)]
        accepted(post(b, body), len(stamps))
        equal(sorted(lines(b, '{service="times"}')), [f"t{at}" for at in range(len(stamps))])
    with check("lines of JSON, packed with gzip and deflate; a bad line spoils no other"):
        body = b'{"message":"l1","service":"ndjson"}\n{"message":\n{"message":"l2","service":"ndjson"}\n'
        answer = post(b, gzip.compress(body), {"Content-Type": "application/x-ndjson", "Content-Encoding": "gzip"})
        equal((answer.status, answer.json["accepted"], answer.json["rejected"][0]["index"]), (207, 2, 1))
        equal(sorted(lines(b, '{service="ndjson"}')), ["l1", "l2"])
    with check("what curl sends without a type"):
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        accepted(post(b, {"message": "from curl", "service": "curl"}, form), 1)
        equal(lines(b, '{service="curl"}'), ["from curl"])


def syslog(b):
    now = time.time()
    old = time.strftime("%b %e %H:%M:%S", time.gmtime(now - 5))
    with check("syslog in records is taken apart"):
        trace, circuit = ids()
        modern = f'<34>1 {rfc3339(now - 3)} gate su 77 ID47 [x@1 trace_id="{trace}" k="v"] \'su root\' failed'
        body = {"records": [{"message": modern, "labels": {"circuit_id": circuit}}, {"message": f"<13>{old} gate backup[9]: done"}]}
        accepted(post(b, body), 2)
        ((line, labels),) = entries(b, f'{{trace_id="{trace}"}}')
        equal(line, "'su root' failed")
        wanted = {"service": "su", "host": "gate", "procid": "77", "msgid": "ID47", "facility": "auth", "level": "critical"}
        wanted |= {"severity_text": "crit", "sd_x_1_k": "v", "circuit_id": circuit, "detected_level": "critical"}
        equal({name: labels.get(name) for name in wanted}, wanted)
        ((line, labels),) = entries(b, '{service="backup"}')
        equal((line, labels["host"], labels["procid"], labels["severity_text"]), ("done", "gate", "9", "notice"))
    with check("its times are those of the lines"):
        params = {"query": '{service="backup"}', "start": int((now - 60) * 1e9), "end": int((now + 60) * 1e9)}
        stream = b.get("loki", "/loki/api/v1/query_range", params).json["data"]["result"][0]
        equal(int(stream["values"][0][0]) // 10**9, int(now - 5))
    with check("a body of lines; the resource is in the address"):
        body = f"<11>{old} gate dnsmasq[1]: query\nplain text\n\n<30>1 {rfc3339(now)} - dnsmasq 1 - - \u00fcber\n"
        path = "/api/logs?" + urllib.parse.urlencode({"service": "router", "env": "prod"})
        accepted(post(b, body, {"Content-Type": "text/plain"}, path), 3)
        equal(sorted(lines(b, '{service="router", env="prod"}')), ["plain text", "query", "\u00fcber"])
        equal(lines(b, '{service="router"} | app="dnsmasq" | level="error"'), ["query"])
    with check("JSON and logfmt stay as they are"):
        messages = ['{"a":"<34>1 x"}', 'level=warn msg="<34>1 x"']
        accepted(post(b, [{"message": m, "service": "asis"} for m in messages]), 2)
        equal(sorted(lines(b, '{service="asis"}')), sorted(messages))


def otlp(b):
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
    from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    import logging

    for door in DOORS:
        service = f"sdk-{door}"
        resource = Resource.create({"service.name": service})
        with check(f"{door}: OpenTelemetry's SDK at /api/otlp"):
            tracers = TracerProvider(resource=resource)
            tracers.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(b.url(door, "/api/otlp/traces"))))
            loggers = LoggerProvider(resource=resource)
            loggers.add_log_record_processor(SimpleLogRecordProcessor(OTLPLogExporter(b.url(door, "/api/otlp/logs"))))
            logger = logging.getLogger(service)
            logger.addHandler(LoggingHandler(logger_provider=loggers))
            reader = PeriodicExportingMetricReader(OTLPMetricExporter(b.url(door, "/api/otlp/metrics")), 3_600_000)
            meters = MeterProvider(metric_readers=[reader], resource=resource)
            meters.get_meter("m").create_counter("posted").add(3)
            with tracers.get_tracer("t").start_as_current_span("a span") as span:
                logger.warning("a line")
                trace = f"{span.get_span_context().trace_id:032x}"
            meters.shutdown()
            loggers.shutdown()
            tracers.shutdown()
            equal(lines(b, f'{{service="{service}"}} | trace_id="{trace}"'), ["a line"])
            equal(b.get("tempo", f"/api/traces/{trace}").status, 200)
            query = {"query": f'posted_total{{job="{service}"}}'}
            result = b.get("prometheus", "/api/v1/query", query).json["data"]["result"]
            equal([sample["value"][1] for sample in result], ["3"])
        with check(f"{door}: OTLP at /v1"):
            body = {"resourceLogs": [{"scopeLogs": [{"logRecords": [{"body": {"stringValue": f"v1 {door}"}}]}]}]}
            for path in ("/v1/logs", "/api/otlp/v1/logs"):
                equal(post(b, body, path=path, door=door).status, 200)


def recent(b):
    for door in DOORS:
        with check(f"{door}: GET /api/logs has what was posted"):
            trace, _ = ids()
            accepted(post(b, {"message": f"recent {door}", "trace_id": trace}, door=door), 1)
            answer = wait_for("the record", lambda: b.get(door, "/api/logs"))
            equal(answer.status, 200)
            assert f"recent {door}" in answer.text and trace in answer.text, answer.text[:300]
    with check("health of the old engine's door"):
        answer = b.get("correlation", "/health")
        equal((answer.status, answer.json), (200, {"status": "healthy"}))


def restarted(b):
    with check("posted logs survive kill -9"):
        trace, circuit = ids()
        accepted(post(b, {"message": "kept", "trace_id": trace, "circuit_id": circuit}), 1)
        b.kill()
        b.start()
        equal((lines(b, f'{{trace_id="{trace}"}}'), lines(b, f'{{circuit_id="{circuit}"}}')), (["kept"], ["kept"]))


def main():
    with Bramble(environment=QUIET) as b:
        for door in DOORS:
            documented(b, door)
        bad_records(b)
        forms(b)
        syslog(b)
        otlp(b)
        recent(b)
        restarted(b)
    return check.done()


sys.exit(main())
