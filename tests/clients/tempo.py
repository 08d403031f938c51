"""Grafana's way to Tempo: questions as gRPC streams on the port that serves HTTP/1.1, at the same time; and what its
HTTP calls need. Messages are encoded and read here by field number, as the interface has them.
"""

import json
import pathlib
import socket
import struct
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "harness"))
import grpc
from bramble import QUIET, Bramble, Checks

SERVICE = "/tempopb.StreamingQuerier/"
TRACES = 3000
BATCH = 500
check = Checks()
identity = lambda message: message  # noqa: E731 - what gRPC calls a serializer


def varint(n):
    out = b""
    while n >= 0x80:
        out += bytes([n & 0x7F | 0x80])
        n >>= 7
    return out + bytes([n])


def encode(fields):
    """A message of {number: integer | text}."""
    out = b""
    for number, value in fields.items():
        if isinstance(value, int):
            out += varint(number << 3) + varint(value)
        else:
            data = value.encode() if isinstance(value, str) else value
            out += varint(number << 3 | 2) + varint(len(data)) + data
    return out


def decode(message):
    """Number -> values, in order; nested messages stay bytes."""
    at, fields = 0, {}

    def number():
        nonlocal at
        n = shift = 0
        while True:
            byte = message[at]
            at += 1
            n |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return n

    while at < len(message):
        tag = number()
        if tag & 7 == 0:
            value = number()
        elif tag & 7 == 1:
            value, at = struct.unpack_from("<d", message, at)[0], at + 8
        else:
            assert tag & 7 == 2, f"wire type {tag & 7}"
            length = number()
            value, at = message[at : at + length], at + length
        fields.setdefault(tag >> 3, []).append(value)
    return fields


def equal(got, wanted):
    assert got == wanted, f"got {str(got)[:400]}, wanted {str(wanted)[:400]}"


def feed(bramble):
    """One trace each 200 ms until now: a request and a query below it, every tenth failed."""
    now = time.time_ns()
    for first in range(0, TRACES, BATCH):
        spans = []
        for n in range(first, first + BATCH):
            begin = now - (TRACES - n) * 200_000_000
            span = {"traceId": f"{n + 1:032x}", "startTimeUnixNano": str(begin), "endTimeUnixNano": str(begin + 10**6)}
            status = {"code": 2} if n % 10 == 0 else {}
            number = [{"key": "n", "value": {"intValue": str(n)}}]
            spans.append({**span, "spanId": "00000000000000aa", "name": "GET /", "kind": 2, "attributes": number})
            spans.append({**span, "spanId": "00000000000000bb", "parentSpanId": "00000000000000aa"})
            spans[-1] |= {"name": "SELECT", "kind": 3, "status": status}
        resource = {"attributes": [{"key": "service.name", "value": {"stringValue": "shop"}}]}
        body = {"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": spans}]}]}
        answer = bramble.post("otlp_http", "/v1/traces", json.dumps(body).encode(), {"Content-Type": "application/json"})
        equal(answer.status, 200)


class Client:
    """A plain channel to a door, as Grafana dials it."""

    def __init__(self, bramble, door="tempo"):
        self.channel = grpc.insecure_channel(f"127.0.0.1:{bramble.ports[door]}")

    def call(self, method, fields, timeout=60):
        stub = self.channel.unary_stream(SERVICE + method, request_serializer=identity, response_deserializer=identity)
        return stub(fields if isinstance(fields, bytes) else encode(fields), timeout=timeout)

    def ask(self, method, fields, **more):
        return [decode(message) for message in self.call(method, fields, **more)]

    def refused(self, method, fields, **more):
        """Status and text of a call that fails."""
        try:
            answer = self.ask(method, fields, **more)
        except grpc.RpcError as error:
            return error.code(), error.details()
        raise AssertionError(f"answered {answer}")


def search(query, limit=20, **more):
    now = int(time.time())
    return {4: limit, 5: now - 3600, 6: now + 10, 8: query, **more}


def traces(messages):
    return [decode(trace) for message in messages for trace in message.get(1, [])]


def searches(client):
    with check("save & test: one message or the end"):
        assert len(client.ask("Search", search("{}", 1))) >= 1
    with check("every trace once, in several messages, with progress up to the end"):
        messages = client.ask("Search", search("{}", TRACES + 5))
        found = [trace[1][0] for trace in traces(messages)]
        equal((len(found), len(set(found))), (TRACES, TRACES))
        assert len(messages) > 1, f"{len(messages)} message"
        assert all(sum(len(t) for t in m.get(1, [])) < 4 << 20 for m in messages)
        jobs = [(m[4][0], m[5][0]) for m in (decode(message[2][0]) for message in messages)]
        equal(jobs[-1], (100, 100))
        equal(sorted(jobs), jobs)
    with check("a filter, its spans and the services of the trace"):
        found = traces(client.ask("Search", search("{ status = error }", 1000)))
        equal(len(found), TRACES // 10)
        first = found[0]
        equal((first[2], first[3]), ([b"shop"], [b"GET /"]))
        span_set = decode(first[7][0])
        equal(span_set[2], [1])
        equal(decode(span_set[1][0])[1], [b"00000000000000bb"])
        service = decode(first[8][0])
        equal((service[1], decode(service[2][0])), ([b"shop"], {1: [2], 2: [1]}))
    with check("the old form: tags, duration"):
        tag = encode({1: "n", 2: "17"})
        found = traces(client.ask("Search", search("", 20) | {1: tag, 2: 1}))
        equal([int(t[1][0], 16) for t in found], [18])
        equal(client.ask("Search", search("", 20) | {1: tag, 2: 2})[0].get(1), None)


def tags(client):
    now = int(time.time())
    with check("names of tags, both generations"):
        names = client.ask("SearchTags", {3: now - 3600, 4: now + 10})[0][1]
        assert {b"n", b"service.name"} <= set(names), names
        scopes = {s[1][0]: s.get(2, []) for s in map(decode, client.ask("SearchTagsV2", {})[0][1])}
        equal((scopes[b"span"], scopes[b"resource"]), ([b"n"], [b"service.name"]))
        assert b"rootServiceName" in scopes[b"intrinsic"]
    with check("values of tags, both generations, with a filter"):
        request = {1: "resource.service.name", 2: '{ name = "SELECT" }', 4: now - 3600, 5: now + 10}
        values = [decode(v) for v in client.ask("SearchTagValuesV2", request)[0][1]]
        equal(values, [{1: [b"string"], 2: [b"shop"]}])
        equal(sorted(client.ask("SearchTagValues", {1: "name"})[0][1]), [b"GET /", b"SELECT"])
        values = client.ask("SearchTagValuesV2", {1: "span.n", 6: 5})[0][1]
        equal(len(values), 5)


def measures(client):
    now = time.time_ns()
    request = {2: now - 3600 * 10**9, 3: now + 10**9, 4: 60 * 10**9}
    with check("a measure over time by name"):
        last = client.ask("MetricsQueryRange", {1: "{} | count_over_time() by (name)", **request})[-1]
        series = [decode(s) for s in last[1]]
        sums = [sum(decode(sample)[1][0] for sample in s[2]) for s in series]
        equal(sums, [TRACES, TRACES])
        assert all(decode(sample)[2][0] > 10**12 for s in series for sample in s[2]), "milliseconds"
    with check("exemplars"):
        query = "{} | quantile_over_time(duration, .9) with (exemplars=true)"
        last = client.ask("MetricsQueryRange", {1: query, 16: 10, **request})[-1]
        exemplars = [decode(e) for s in last[1] for e in decode(s).get(4, [])]
        assert 1 <= len(exemplars) <= 100, f"{len(exemplars)} exemplars"
    with check("a measure for an instant"):
        last = client.ask("MetricsQueryInstant", {1: "{ status = error } | count_over_time()", **request})[-1]
        equal([decode(s)[2][0] for s in last[1]], [TRACES / 10])


def bad_requests(bramble, client):
    bad, many = grpc.StatusCode.INVALID_ARGUMENT, 2**32 - 1
    with check("TraceQL that is wrong names the place"):
        code, text = client.refused("Search", search("{ name = }"))
        equal(code, bad)
        assert "col" in text, text
    for what, method, fields in [
        ("a limit beyond all", "Search", search("{}", many)),
        ("an end before the start", "Search", search("{}") | {6: 1}),
        ("bytes that are no message", "Search", b"\xff" * 40),
        ("text that is no text", "Search", encode({8: b"\xff\xfe"})),
        ("a measure of nothing", "MetricsQueryRange", {1: "{}"}),
        ("more steps than can be", "MetricsQueryRange", {1: "{} | rate()", 2: 1, 3: 2**62, 4: 1}),
        ("a tag that is none", "SearchTagValuesV2", {1: "bad scope"}),
        ("a scope that is none", "SearchTagsV2", {1: "nowhere"}),
    ]:
        with check(f"refused: {what}"):
            code, text = client.refused(method, fields)
            assert code in (bad, grpc.StatusCode.RESOURCE_EXHAUSTED) and text, f"{code} {text}"
    with check("a method that is not there"):
        equal(client.refused("Nothing", {})[0], grpc.StatusCode.UNIMPLEMENTED)
    with check("a query of two megabytes"):
        equal(client.refused("Search", search("{" + " " * (2 << 20) + "}"))[0], grpc.StatusCode.RESOURCE_EXHAUSTED)
    with check("no time at all"):
        # Both sides count the same ten microseconds: the client may give up first, or read what was found, marked so unless
        # it was everything.
        try:
            status = client.ask("Search", search("{}"), timeout=0.00001)[-1]
            assert 3 not in status or status[3] == [1] and status[4][0].startswith(b"partial: the time"), status
        except grpc.RpcError as error:
            equal(error.code(), grpc.StatusCode.DEADLINE_EXCEEDED)
    with check("garbage on the socket, in both protocols, leaves the door open"):
        for garbage in [b"\0" * 4096, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 4096, b"GET /\xff\xfe\r\n\r\n"]:
            with socket.create_connection(("127.0.0.1", bramble.ports["tempo"]), 10) as s:
                s.sendall(garbage)
                s.settimeout(10)
                try:
                    s.recv(4096)
                except OSError:
                    pass
        equal(len(traces(client.ask("Search", search("{}", 1)))), 1)
    with check("health"):
        stub = client.channel.unary_unary(
            "/grpc.health.v1.Health/Check", request_serializer=identity, response_deserializer=identity
        )
        equal(decode(stub(encode({1: "tempopb.StreamingQuerier"}), timeout=30)), {1: [1]})


def cancelled(bramble, client):
    with check("clients that leave free their turn: two hundred searches given up, then one answered"):
        for _ in range(200):
            call = client.call("Search", search("{} >> {}", TRACES))
            call.cancel()
        calls = [client.call("Search", search("{}", TRACES)) for _ in range(8)]
        for call in calls:
            next(call)
            call.cancel()
        equal(len(traces(client.ask("Search", search("{}", 3)))), 3)
        for _ in range(300):
            text = bramble.get("prometheus", "/metrics").text
            if "\nbramble_queries_running 0" in text and "\nbramble_queries_waiting 0" in text:
                break
            time.sleep(0.1)
        else:
            raise AssertionError("queries still run")


def both_at_once(bramble, client):
    with check("HTTP/1.1 and gRPC on one port at the same time"):
        failures = []

        def over_http():
            for _ in range(20):
                answer = bramble.get("tempo", "/api/search", {"q": "{ status = error }", "limit": 50})
                if answer.status != 200 or len(answer.json["traces"]) != 50:
                    failures.append(answer.text[:200])

        threads = [threading.Thread(target=over_http) for _ in range(3)]
        for thread in threads:
            thread.start()
        for _ in range(20):
            if len(traces(client.ask("Search", search("{ status = error }", 50)))) != 50:
                failures.append("gRPC")
        for thread in threads:
            thread.join()
        equal(failures, [])


def over_http(bramble):
    protobuf = {"Accept": "application/protobuf"}
    with check("save & test without streaming"):
        answer = bramble.get("tempo", "/api/echo")
        equal((answer.status, answer.text), (200, "echo"))
    with check("a trace by id as protobuf, both generations, short ids; 404 when there is none"):
        resources = decode(decode(bramble.get("tempo", "/api/v2/traces/12", headers=protobuf).body)[1][0])[1]
        equal(len(resources), 1)
        equal(decode(bramble.get("tempo", f"/api/traces/{18:032x}", headers=protobuf).body)[1], resources)
        equal([bramble.get("tempo", f"/api{v}/traces/ffff", headers=protobuf).status for v in ("", "/v2")], [404, 404])
    with check("only the spans that a filter wants"):
        params = {"q": '{ name = "SELECT" }', "keep_hierarchy": "false"}
        found = bramble.get("tempo", "/api/v2/traces/12", params).json["trace"]["resourceSpans"][0]
        equal([s["name"] for s in found["scopeSpans"][0]["spans"]], ["SELECT"])
    with check("an instant has no fields that Grafana does not know"):
        answer = bramble.get("tempo", "/api/metrics/query", {"q": "{} | count_over_time()", "since": "1h"}).json
        equal(sorted(answer), ["metrics", "series"])
        equal([sorted(s) for s in answer["series"]], [["labels", "value"]])
        equal(answer["series"][0]["value"], 2 * TRACES)
    with check("parameters of a POST come in a form"):
        form = b"q=%7B%20status%20%3D%20error%20%7D&limit=7"
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        equal(len(bramble.post("tempo", "/api/search", form, kind).json["traces"]), 7)
    with check("status pages"):
        for path in ["/ready", "/metrics", "/status", "/status/version", "/status/services", "/status/endpoints"]:
            equal(bramble.get("tempo", path).status, 200)
        assert "tempo" in bramble.get("tempo", "/status/config").text
        for path in ["/status/buildinfo", "/api/status/buildinfo"]:
            assert bramble.get("tempo", path).json["version"]


with Bramble(environment=QUIET) as bramble:
    feed(bramble)
    client = Client(bramble)
    searches(client)
    tags(client)
    measures(client)
    bad_requests(bramble, client)
    both_at_once(bramble, client)
    cancelled(bramble, client)
    over_http(bramble)
    with check("streams at the root of the main door, where Grafana dials whatever the path"):
        equal(len(traces(Client(bramble, "main").ask("Search", search("{}", 5)))), 5)
sys.exit(check.done())
