"""Spans by Jaeger's and Zipkin's protocols, from the packages that people have and from plain sockets: complete, and
found by every API. What is no span is refused, counted, and harms nobody.

The packages run in an environment of their own, whose Python is `CLIENTS_OLD_PYTHON`.
"""

import gzip
import json
import os
import pathlib
import socket
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "harness"))
from bramble import QUIET, TARGET, Bramble, Checks, wait_for

HERE = pathlib.Path(__file__).resolve().parent
PYTHON = os.environ.get("CLIENTS_OLD_PYTHON", str(TARGET / "clients-old-venv/bin/python"))
COUNT = 30
JSON = {"Content-Type": "application/json"}
check = Checks()

# Packets wait for nobody, so they wait longest for their commit.
ENVIRONMENT = {**QUIET, "BRAMBLE_JOURNAL_BACKGROUND_WAIT": "200ms"}
ENVIRONMENT |= {"BRAMBLE_TRACES_DERIVED_METRICS": "false", "BRAMBLE_JAEGER_SAMPLING_RATE": "1"}


def equal(got, wanted):
    assert got == wanted, f"got {str(got)[:600]}, wanted {str(wanted)[:600]}"


def plain(value):
    """A value of OTLP's JSON."""
    ((kind, inner),) = value.items()
    if kind == "intValue":
        return int(inner)
    return [plain(v) for v in inner.get("values", [])] if kind == "arrayValue" else inner


def attributes(item):
    return {a["key"]: plain(a["value"]) for a in item.get("attributes", [])}


def trace(bramble, trace_id):
    """Name -> span of a trace by Tempo's API, with its resource and scope."""
    answer = bramble.get("tempo", f"/api/traces/{trace_id}", headers={"Accept": "application/json"})
    assert answer.status == 200, f"{answer.status} {answer.text[:200]}"
    found = {}
    for batch in answer.json["batches"]:
        for scope in batch["scopeSpans"]:
            for span in scope["spans"]:
                found[span["name"]] = {**span, "of": attributes(batch["resource"]), "scope": scope.get("scope", {})}
    return found


def jaeger_traces(bramble, service):
    answer = bramble.get("jaeger", "/api/traces", {"service": service, "limit": 500})
    assert answer.status == 200, f"{answer.status} {answer.text[:200]}"
    return {t["traceID"].zfill(32): len(t["spans"]) for t in answer.json["data"]}


def searched(bramble, query):
    answer = bramble.get("tempo", "/api/search", {"q": query, "limit": 500})
    assert answer.status == 200, f"{answer.status} {answer.text[:200]}"
    return {t["traceID"].zfill(32) for t in answer.json.get("traces", [])}


def counted(bramble, name, **labels):
    """Sum of our own counter over series that have these labels."""
    total = 0.0
    for line in bramble.get("main", "/metrics").text.splitlines():
        if line.startswith(name + "{") and all(f'{k}="{v}"' in line for k, v in labels.items()):
            total += float(line.rsplit(" ", 1)[1])
    return total


def found_by_every_api(bramble, service, ids, has_kind=True):
    with check(f"{service}: by Jaeger's search, spans counted"):
        wait_for(service, lambda: len(jaeger_traces(bramble, service)) >= len(ids), 20)
        got = jaeger_traces(bramble, service)
        equal({i: got.get(i) for i in ids}, dict.fromkeys(ids, 2))
    with check(f"{service}: in Jaeger's list of services, and its operations"):
        assert service in bramble.get("jaeger", "/api/services").json["data"]
        assert "order" in bramble.get("jaeger", f"/api/services/{service}/operations").json["data"]
    with check(f"{service}: by TraceQL"):
        kind = "&& kind = client" if has_kind else ""
        query = f'{{ resource.service.name = "{service}" && name = "pay" {kind} && status = error }}'
        equal(searched(bramble, query), set(ids))


def of_sdk(bramble, service, ids, typed, has_kind):
    """A trace of the SDK's exporters; Zipkin's types are text, and it knows no links."""
    with check(f"{service}: attributes, event, link, status, scope and parent are what was sent"):
        spans = trace(bramble, ids[3])
        root, child = spans["order"], spans["pay"]
        got = attributes(root)
        equal(got["text"], "naïve")
        wanted = {"truth": True, "double": 0.5, "number": 3}
        equal({k: got[k] for k in wanted}, wanted if typed else {k: str(v).lower() for k, v in wanted.items()})
        if has_kind:
            equal((root["kind"], child["kind"]), ("SPAN_KIND_SERVER", "SPAN_KIND_CLIENT"))
        equal(child["parentSpanId"], root["spanId"])
        equal(child["status"]["code"], "STATUS_CODE_ERROR")
        equal(child["status"].get("message"), "no money")
        equal([e["name"] for e in child["events"]], ["retry"])
        equal(attributes(child["events"][0]), {"attempt": 2})
        # The exporter for Jaeger writes the resource into the tags of each span, and there it stays.
        equal((root["of"]["service.name"], (got if typed else root["of"])["host.name"]), (service, "pi"))
        equal((root["scope"]["name"], root["scope"]["version"]), ("clients", "1.5"))
        assert 0 < int(root["endTimeUnixNano"]) - int(root["startTimeUnixNano"]) < 10**10
        if typed:
            ((link_trace, link_attributes),) = [(x["traceId"], attributes(x)) for x in root["links"]]
            assert link_attributes["opentracing.ref_type"] == "follows_from", link_attributes
            assert link_trace, root["links"]


def run_package(bramble, kind):
    service = kind.replace("_", "-")
    command = [PYTHON, str(HERE / "old_sender.py"), kind, service, json.dumps(bramble.ports), str(COUNT)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 0, result.stderr[-800:]
    ids = result.stdout.split()
    equal(len(ids), COUNT)
    return service, ids


def packages(bramble):
    for kind in ("jaeger_udp", "jaeger_http", "jaeger_grpc", "zipkin_json", "zipkin_json_v1", "zipkin_protobuf"):
        service, ids = None, []
        with check(f"OpenTelemetry's old exporter sends: {kind}"):
            service, ids = run_package(bramble, kind)
        if not ids:
            continue
        # The exporter for version 1 does not write what kind of span it is.
        has_kind = kind != "zipkin_json_v1"
        found_by_every_api(bramble, service, ids, has_kind)
        of_sdk(bramble, service, ids, kind.startswith("jaeger"), has_kind)
    client(bramble)


def client(bramble):
    service, ids = None, []
    with check("jaeger-client sends packets, sampled as it is told"):
        service, ids = run_package(bramble, "jaeger_client")
    if not ids:
        return
    found_by_every_api(bramble, service, ids)
    with check(f"{service}: tags, log, reference and error are what was sent"):
        spans = trace(bramble, ids[3])
        root, child = spans["order"], spans["pay"]
        got = attributes(root)
        equal({k: got[k] for k in ("text", "truth", "number", "double")}, {"text": "naïve", "truth": True, "number": 3, "double": 0.5})
        equal((child["parentSpanId"], child["status"]["code"]), (root["spanId"], "STATUS_CODE_ERROR"))
        equal([(e["name"], attributes(e)) for e in child["events"]], [("retry", {"attempt": 2})])
        equal([attributes(x) for x in child["links"]], [{"opentracing.ref_type": "follows_from"}])
        assert root["of"]["jaeger.version"].startswith("Python-") and root["of"]["host.name"], root["of"]


def zipkin_span(trace_id, span_id, **more):
    now = time.time_ns() // 1000
    span = {"traceId": trace_id, "id": span_id, "name": "step", "timestamp": now, "duration": 500}
    return {**span, "localEndpoint": {"serviceName": "curl-zipkin", "ipv4": "10.0.0.1"}, **more}


def by_hand(bramble):
    with check("Zipkin's JSON by plain HTTP, both sides of a shared span, a 64-bit trace id"):
        client_side = zipkin_span("00000000000000ab", "0000000000000005", kind="CLIENT")
        server = {"kind": "SERVER", "shared": True, "tags": {"http.path": "/x"}, "name": "served"}
        body = json.dumps([client_side, zipkin_span("00000000000000ab", "0000000000000005", **server)]).encode()
        equal(bramble.post("zipkin", "/api/v2/spans", gzip.compress(body), JSON | {"Content-Encoding": "gzip"}).status, 202)
        wait_for("the trace", lambda: len(trace(bramble, f"{0xab:032x}")) == 2)
        spans = trace(bramble, f"{0xab:032x}")
        equal((spans["step"]["kind"], spans["served"]["kind"]), ("SPAN_KIND_CLIENT", "SPAN_KIND_SERVER"))
        equal(attributes(spans["served"])["http.path"], "/x")
    with check("Zipkin's JSON of version 1"):
        now = time.time_ns() // 1000
        host = {"serviceName": "curl-v1", "ipv4": "10.0.0.1", "port": 80}
        annotations = [{"timestamp": now, "value": "sr", "endpoint": host}]
        annotations.append({"timestamp": now + 70, "value": "ss", "endpoint": host})
        binary = [{"key": "http.path", "value": "/y", "endpoint": host}]
        span = {"traceId": "ac", "id": "6", "name": "v1", "annotations": annotations, "binaryAnnotations": binary}
        equal(bramble.post("zipkin", "/api/v1/spans", json.dumps([span]).encode(), JSON).status, 202)
        wait_for("the trace", lambda: "v1" in trace(bramble, f"{0xac:032x}"))
        span = trace(bramble, f"{0xac:032x}")["v1"]
        equal((span["kind"], span["of"]["service.name"]), ("SPAN_KIND_SERVER", "curl-v1"))
        equal(int(span["endTimeUnixNano"]) - int(span["startTimeUnixNano"]), 70_000)
    with check("what asks for sampling and health is answered"):
        strategy = bramble.get("jaeger_sampling", "/sampling", {"service": "x"}).json
        equal(strategy, {"strategyType": "PROBABILISTIC", "probabilisticSampling": {"samplingRate": 1}})
        equal(bramble.get("jaeger_thrift_http", "/api/sampling", {"service": "x"}).json, strategy)
        equal(bramble.get("jaeger_sampling", "/baggageRestrictions", {"service": "x"}).json, [])
        for door, path in (("health", "/"), ("health", "/status"), ("jaeger_health", "/"), ("zipkin", "/health")):
            equal(bramble.get(door, path).status, 200)


def bad(bramble):
    with check("garbage by UDP is counted with its reason, and the next packets are taken"):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            target = ("127.0.0.1", bramble.ports["jaeger_thrift_compact"])
            deep = b"\x82\x81\x00\x09emitBatch\x19" + b"\x19" * 60_000
            packets = [b"GET / HTTP/1.1\r\n\r\n", b"", b"\x82\x81\x00\x04ping\x00", deep, os.urandom(1400)]
            packets += [b"\x82\x81\x00\x09emitBatch\x1c\x1c\x18\xff\xff\xff\x7f", b"\x80\x01\x00\x04\x7f\xff\xff\xff"]
            for packet in packets:
                s.sendto(packet, target)
        refused = lambda: counted(bramble, "bramble_receive_rejected_total", protocol="jaeger_udp") >= len(packets)
        wait_for("every packet refused", refused, 20)
        run_package(bramble, "jaeger_udp")
    with check("bad bodies get a text and leave no trace"):
        thrift = {"Content-Type": "application/x-thrift"}
        for door, path, body, headers, status in (
            ("jaeger_thrift_http", "/api/traces", b"\x0c\x00\x01garbage", thrift, 400),
            ("jaeger_thrift_http", "/api/traces", b"{}", JSON, 400),
            ("zipkin", "/api/v2/spans", b"", JSON, 400),
            ("zipkin", "/api/v2/spans", b"[{]", JSON, 400),
            ("zipkin", "/api/v2/spans", b'[{"traceId":"0","id":"1"}]', JSON, 400),
            ("zipkin", "/api/v2/spans", b"[" * 200_000, JSON, 400),
            ("zipkin", "/api/v2/spans", b"\x0a\xff\xff\xff\xff\x0f", {"Content-Type": "application/x-protobuf"}, 400),
            ("zipkin", "/api/v2/spans", b" " * (9 << 20), JSON, 413),
        ):
            answer = bramble.post(door, path, body, headers)
            assert answer.status == status and len(answer.body) > 5, (path, body[:20], answer.status, answer.text[:200])
    with check("a megabyte in a tag is taken or refused with a text, and a span without service is found"):
        body = json.dumps([zipkin_span("ad", "7", tags={"big": "x" * (1 << 20)})]).encode()
        answer = bramble.post("zipkin", "/api/v2/spans", body, JSON)
        assert answer.status in (202, 400, 413), (answer.status, answer.text[:200])
        body = json.dumps([zipkin_span("ae", "8", localEndpoint={})]).encode()
        equal(bramble.post("zipkin", "/api/v2/spans", body, JSON).status, 202)
        wait_for("the trace", lambda: "step" in trace(bramble, f"{0xae:032x}"))
        assert bramble.process.poll() is None


def main():
    with Bramble(environment=ENVIRONMENT) as bramble:
        packages(bramble)
        by_hand(bramble)
        bad(bramble)
        with check("packets that were taken outlive a SIGTERM"):
            service, ids = run_package(bramble, "jaeger_udp")
            equal(bramble.stop(), 0)
            bramble.start()
            got = jaeger_traces(bramble, service)
            equal({i: got.get(i) for i in ids}, dict.fromkeys(ids, 2))
    return check.done()


sys.exit(main())
