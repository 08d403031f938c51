"""What is wrong with a request is said in the protocol's own form, counted by reason, and the server goes on."""

import gzip
import json
import pathlib
import socket
import sys
import time
import zlib

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "harness"))
from bramble import QUIET, Bramble, Checks
from protobuf import double, fixed64, integer, labels, message, packed, snappy

check = Checks()
JSON = {"Content-Type": "application/json"}
PROTOBUF = {"Content-Type": "application/x-protobuf"}
REMOTE_WRITE = {**PROTOBUF, "Content-Encoding": "snappy", "X-Prometheus-Remote-Write-Version": "0.1.0"}
DOORS = {"otlp": ("otlp_http", "/v1/logs"), "loki": ("loki", "/loki/api/v1/push")}
DOORS["remote write"] = ("prometheus", "/api/v1/write")


def loki_body(ns):
    return json.dumps({"streams": [{"stream": {"job": "bad"}, "values": [[str(ns), "x"]]}]}).encode()


def refused(answer, statuses=(400,)):
    """A refusal has a 4xx status and says something a person can use."""
    assert answer.status in statuses, f"status {answer.status}: {answer.text[:200]!r}"
    assert len(answer.text.strip()) >= 8, f"says nothing: {answer.text!r}"
    return answer


def snappy_bomb(claimed):
    """A snappy block that claims to be `claimed` bytes long and holds none."""
    out = bytearray()
    while claimed >= 0x80:
        out.append(claimed & 0x7F | 0x80)
        claimed >>= 7
    out.append(claimed)
    return bytes(out) + b"\x00a"


def series(pairs, *fields):
    return message(1, labels(1, pairs), *fields)


def bad_metrics(b, now_ms):
    """Each bad series or point is named and refused alone; the others of its request are there."""

    def sample(value=1):
        return message(2, double(1, value), integer(2, now_ms))

    def write(name, *fields, says, samples=1):
        with check(f"remote write: {name}"):
            good = series({"__name__": "good", "case": name}, sample())
            answer = b.post("prometheus", "/api/v1/write", snappy(good + b"".join(fields) + good), REMOTE_WRITE)
            refused(answer)
            assert f"{samples} samples rejected" in answer.text and says in answer.text, answer.text
            found = b.get("prometheus", "/api/v1/query", {"query": f'good{{case="{name}"}}'}).json["data"]["result"]
            assert len(found) == 1, found

    write("no name", series({"a": "b"}, sample()), says="name")
    write("an empty label name", series({"__name__": "m", "": "b"}, sample()), says="empty name")
    twice = message(1, labels(1, {"__name__": "m", "a": "1"}), labels(1, {"a": "2"}), sample())
    write("a label twice", twice, says="twice")
    write("a long label name", series({"__name__": "m", "n" * 2000: "b"}, sample()), says="too long")
    write("a long label value", series({"__name__": "m", "n": "v" * 9000}, sample()), says="too long")
    many = {"__name__": "m", **{f"l{i}": "v" for i in range(300)}}
    write("too many labels", series(many, sample()), says="too many labels")
    not_text = message(1, message(1, message(1, "__name__"), message(2, b"\xff\xfe")), sample())
    write("a name that is not UTF-8", not_text, says="UTF-8")
    write("a sample of long ago", series({"__name__": "m"}, message(2, integer(2, 1000))), says="old")
    spans = message(11, integer(2, 3))
    wrong = series({"__name__": "h"}, message(4, integer(1, 3), spans, packed(12, [2, 2]), integer(15, now_ms)))
    write("a histogram with wrong bucket counts", wrong, says="spans need 3 buckets")
    huge = series({"__name__": "h"}, message(4, message(11, integer(2, 2**32 - 1)), integer(15, now_ms)))
    write("a histogram that claims billions of buckets", huge, says="spans need")
    with check("remote write: NaN, infinity and the staleness marker are values"):
        stale = message(2, fixed64(1, 0x7FF0000000000002), integer(2, now_ms))
        fine = series({"__name__": "odd", "v": "nan"}, sample(float("nan")))
        fine += series({"__name__": "odd", "v": "inf"}, sample(float("inf"))) + series({"__name__": "odd"}, stale)
        assert b.post("prometheus", "/api/v1/write", snappy(fine), REMOTE_WRITE).status == 204
        found = b.get("prometheus", "/api/v1/query", {"query": "odd"}).json["data"]["result"]
        assert sorted(r["value"][1] for r in found) == ["+Inf", "NaN"], found
    with check("otlp: bad points are counted, the others are stored"):
        point = {"timeUnixNano": str(now_ms * 1_000_000)}
        exponential = [{**point, "scale": -5}, {**point, "count": "2", "scale": 0}, {**point, "count": "1", "zeroCount": "1"}]
        data = [
            {"name": "exponential", "exponentialHistogram": {"aggregationTemporality": 2, "dataPoints": exponential}},
            {"name": "unsaid", "sum": {"dataPoints": [{**point, "asInt": "1"}]}},
            {"name": "stored", "gauge": {"dataPoints": [{**point, "asInt": "1"}]}},
        ]
        body = json.dumps({"resourceMetrics": [{"scopeMetrics": [{"metrics": data}]}]}).encode()
        answer = b.post("otlp_http", "/v1/metrics", body, JSON)
        partial = answer.json["partialSuccess"]
        assert (answer.status, partial["rejectedDataPoints"]) == (200, "3"), answer.text
        assert "scale" in partial["errorMessage"], answer.text
        for query in ("stored", "histogram_count(exponential)"):
            found = b.get("prometheus", "/api/v1/query", {"query": query}).json["data"]["result"]
            assert [r["value"][1] for r in found] == ["1"], (query, found)


def main():
    with Bramble(environment=QUIET) as b:
        now = time.time_ns()
        bad_metrics(b, now // 1_000_000)
        for name, (door, path) in DOORS.items():
            headers = REMOTE_WRITE if name == "remote write" else PROTOBUF
            with check(f"{name}: garbage"):
                refused(b.post(door, path, b"\xff\xfe\x00garbage", headers))
            with check(f"{name}: wrong content type"):
                refused(b.post(door, path, b"<xml/>", {"Content-Type": "application/xml"}), (400, 415))
            with check(f"{name}: unknown compression"):
                refused(b.post(door, path, b"abc", {**headers, "Content-Encoding": "br"}), (400, 415))
        with check("otlp: gzip cut short"):
            body = gzip.compress(b'{"resourceLogs":[]}' * 20)[:-12]
            refused(b.post("otlp_http", "/v1/logs", body, {**JSON, "Content-Encoding": "gzip"}))
        with check("otlp: a gzip bomb"):
            bomb = zlib.compressobj(9, zlib.DEFLATED, 31)
            body = b"".join(bomb.compress(bytes(1 << 20)) for _ in range(200)) + bomb.flush()
            refused(b.post("otlp_http", "/v1/logs", body, {**JSON, "Content-Encoding": "gzip"}), (400, 413))
        with check("remote write: a snappy bomb"):
            refused(b.post("prometheus", "/api/v1/write", snappy_bomb(3 << 30), REMOTE_WRITE), (400, 413))
        with check("loki: JSON cut short"):
            refused(b.post("loki", "/loki/api/v1/push", b'{"streams":[{"stream":{"a":"b"},"val', JSON))
        with check("loki: a body that is too large"):
            refused(b.post("loki", "/loki/api/v1/push", b" " * (9 << 20), JSON), (400, 413, 429))
        with check("loki: a timestamp far in the past"):
            answer = refused(b.post("loki", "/loki/api/v1/push", loki_body(10**18), JSON))
            assert "too" in answer.text or "old" in answer.text, answer.text
        with check("loki: a timestamp far in the future"):
            refused(b.post("loki", "/loki/api/v1/push", loki_body(now + 10**9 * 86400 * 365), JSON))
        with check("a query that does not parse says where"):
            answer = refused(b.get("prometheus", "/api/v1/query", {"query": "sum(up"}))
            assert "1:" in answer.json["error"], answer.text
        with check("an unknown API path is 404, not a page"):
            answer = b.get("main", "/api/v1/nothing-here")
            assert answer.status == 404 and b"<html" not in answer.body, answer.text[:100]
        with check("the connection stays usable after a refusal"):
            with socket.create_connection(("127.0.0.1", b.ports["loki"]), 20) as s:
                statuses = []
                for body in (b"{bad", loki_body(now)):
                    head = f"POST /loki/api/v1/push HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n"
                    s.sendall(head.encode() + b"Content-Type: application/json\r\n\r\n" + body)
                    text = b""
                    while b"\r\n\r\n" not in text:
                        text += s.recv(4096)
                    header, _, rest = text.partition(b"\r\n\r\n")
                    length = [int(h[15:]) for h in header.lower().split(b"\r\n") if h.startswith(b"content-length:")]
                    while length and len(rest) < length[0]:
                        rest += s.recv(4096)
                    statuses.append(header.split()[1])
                assert statuses == [b"400", b"204"], statuses
        with check("refusals are counted by reason"):
            metrics = b.get("main", "/metrics").text
            reasons = {line for line in metrics.splitlines() if "reason=" in line and not line.endswith(" 0")}
            assert len(reasons) >= 3, sorted(reasons)
        with check("it still serves"):
            assert b.get("prometheus", "/-/ready").status == 200
            assert b.process.poll() is None
    return check.done()


sys.exit(main())
