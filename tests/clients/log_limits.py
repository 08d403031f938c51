"""Bad pushes and limits: Loki's codes and words, the rest stored, and a sender that comes again is served."""

import gzip
import json
import pathlib
import sys
import time
import zlib

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "harness"))
from bramble import QUIET, Bramble, Checks

JSON = {"Content-Type": "application/json"}
PUSH = "/loki/api/v1/push"
check = Checks()

SETTINGS = {
    **QUIET,
    "BRAMBLE_LOGS_MAX_AGE": "1h",
    "BRAMBLE_LOGS_OUT_OF_ORDER": "10m",
    "BRAMBLE_LOGS_LABELS_MAX": "5",
    "BRAMBLE_LOGS_METADATA_MAX": "1KiB",
    "BRAMBLE_LOGS_METADATA_COUNT_MAX": "4",
    "BRAMBLE_INGEST_LABEL_NAME_MAX": "16",
    "BRAMBLE_INGEST_LABEL_VALUE_MAX": "32",
    "BRAMBLE_INGEST_LINE_MAX": "1KiB",
    "BRAMBLE_INGEST_STREAMS_MAX": "20",
    "BRAMBLE_INGEST_BODY_MAX": "200KB",
    "BRAMBLE_INGEST_DECOMPRESSED_MAX": "1MiB",
}


def equal(got, wanted):
    assert got == wanted, f"got {str(got)[:600]}, wanted {str(wanted)[:600]}"


def streams(*pairs):
    return json.dumps({"streams": [{"stream": s, "values": v} for s, v in pairs]}).encode()


def refused(bramble, body, status, text, headers=JSON):
    answer = bramble.post("loki", PUSH, body, headers)
    equal((answer.status, answer.text), (status, text + "\n"))


def stored(bramble, query):
    params = {"query": query, "start": time.time_ns() - 7200 * 10**9, "end": time.time_ns() + 7200 * 10**9}
    answer = bramble.get("loki", "/loki/api/v1/query_range", {**params, "limit": 1000})
    assert answer.status == 200, answer.text[:300]
    return sorted(value[1] for stream in answer.json["data"]["result"] for value in stream["values"])


def stamp(ns):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(ns // 10**9))


def malformed(bramble):
    now = str(time.time_ns())
    with check("no stream: 422"):
        for body in (b"{}", b"null", b'{"streams":[]}'):
            refused(bramble, body, 422, "error at least one valid stream is required for ingestion")
    with check("not JSON, not snappy, not a known encoding: 400"):
        packed = gzip.compress(b"{}")
        for body, headers in [
            (b"", JSON),
            (b"{", JSON),
            (b"[]", JSON),
            (b'{"streams":{}}', JSON),
            (streams(({"a": "b"}, [["notanumber", "x"]])), JSON),
            (streams(({"a": "b"}, [[5, "x"]])), JSON),
            (streams(({"a": "b"}, [[now, 5]])), JSON),
            (streams(({"a": "b"}, [[now, "x", "metadata"]])), JSON),
            (streams(({"a": "b"}, [[now, "x", {"k": {}}]])), JSON),
            (b"plain", {"Content-Type": "text/plain"}),
            (b"plain", {"Content-Type": "application/x-protobuf"}),
            (packed[:-3], {**JSON, "Content-Encoding": "gzip"}),
            (b"not zlib", {**JSON, "Content-Encoding": "deflate"}),
            (b"not zstd", {**JSON, "Content-Encoding": "zstd"}),
            (streams(({"a": "b"}, [[now, "x"]])), {**JSON, "Content-Encoding": "br"}),
        ]:
            answer = bramble.post("loki", PUSH, body, headers)
            assert answer.status == 400 and answer.text.strip(), f"{body[:60]} {headers}: {answer.status} {answer.text}"
    with check("bodies over the limit, as sent and unpacked: 413"):
        equal(bramble.post("loki", PUSH, b" " * 300_000, JSON).status, 413)
        bomb = zlib.compress(b" " * 3_000_000)
        equal(bramble.post("loki", PUSH, bomb, {**JSON, "Content-Encoding": "deflate"}).status, 413)
    with check("a time alone is an empty line"):
        equal(bramble.post("loki", PUSH, streams(({"case": "short"}, [[now]])), JSON).status, 204)
        equal(stored(bramble, '{case="short"}'), [""])


def labels(bramble):
    now = str(time.time_ns())
    one = [[now, "x"]]
    with check("labels that break a rule, each with Loki's text"):
        for stream, text in [
            ({}, "error at least one label pair is required per stream"),
            ({"bad-name": "x"}, "couldn't parse labels: 1:5: parse error: unexpected character inside braces: '-'"),
            (
                {f"l{n}": "v" for n in range(6)},
                'entry for stream \'{l0="v", l1="v", l2="v", l3="v", l4="v", l5="v"}\' has 6 label names; limit 5',
            ),
            ({"a" * 17: "x"}, f"stream '{{{'a' * 17}=\"x\"}}' has label name too long: '{'a' * 17}'"),
            ({"a": "v" * 33}, f"stream '{{a=\"{'v' * 33}\"}}' has label value too long: '{'v' * 33}'"),
        ]:
            refused(bramble, streams((stream, one)), 400, text)
    with check("a label twice is an error in a text, and the last one in an object"):
        old = {"streams": [{"labels": '{a="1",a="2"}', "entries": [{"ts": stamp(int(now)), "line": "x"}]}]}
        refused(bramble, json.dumps(old).encode(), 400, "stream '{a=\"1\", a=\"2\"}' has duplicate label name: 'a'")
        body = f'{{"streams":[{{"stream":{{"case":"1","case":"dup"}},"values":[["{now}","x"]]}}]}}'
        equal(bramble.post("loki", PUSH, body.encode(), JSON).status, 204)
        equal(stored(bramble, '{case="dup"}'), ["x"])
    with check("good streams beside bad ones are stored"):
        body = streams(({"case": "beside"}, [[now, "kept"]]), ({"-": "x"}, one), ({}, one))
        answer = bramble.post("loki", PUSH, body, JSON)
        equal(answer.status, 400)
        assert answer.text.startswith("2 errors like: couldn't parse labels: 1:2: parse error"), answer.text
        equal(stored(bramble, '{case="beside"}'), ["kept"])


def entries(bramble):
    now = time.time_ns()
    stream = '{case="entry"}'

    def one(ns, line="x", metadata=None):
        return streams(({"case": "entry"}, [[str(ns), line] + ([metadata] if metadata else [])]))

    with check("too old, too new, too long, too much metadata"):
        answer = bramble.post("loki", PUSH, one(now - 7200 * 10**9), JSON)
        start = f"entry for stream '{{case=\"entry\", service_name=\"unknown_service\"}}' has timestamp too old: "
        assert answer.status == 400 and answer.text.startswith(start + stamp(now - 7200 * 10**9)), answer.text
        answer = bramble.post("loki", PUSH, one(now + 3600 * 10**9), JSON)
        assert answer.status == 400 and "has timestamp too new: " + stamp(now + 3600 * 10**9) in answer.text, answer.text
        text = f"Max entry size '1024' bytes exceeded for stream '{stream}' while adding an entry with length '1025' bytes"
        refused(bramble, one(now, "x" * 1025), 400, text)
        answer = bramble.post("loki", PUSH, one(now, "x", {"k": "v" * 1024}), JSON)
        equal(answer.status, 400)
        assert "has structured metadata too large: '1025' bytes, limit: '1024' bytes" in answer.text, answer.text
        answer = bramble.post("loki", PUSH, one(now, "x", {f"k{n}": "v" for n in range(5)}), JSON)
        equal(answer.status, 400)
        assert "has too many structured metadata labels: '5', limit: '4'" in answer.text, answer.text
        equal(stored(bramble, stream), [])
    with check("too far behind its stream's newest line"):
        equal(bramble.post("loki", PUSH, one(now, "newest"), JSON).status, 204)
        equal(bramble.post("loki", PUSH, one(now - 300 * 10**9, "late, but in time"), JSON).status, 204)
        answer = bramble.post("loki", PUSH, one(now - 900 * 10**9, "too late"), JSON)
        equal(answer.status, 400)
        late, cutoff = stamp(now - 900 * 10**9), stamp(now - 600 * 10**9)
        wanted = f"reason: 'entry too far behind, entry timestamp is: {late}, oldest acceptable timestamp is: {cutoff}',\n"
        assert wanted in answer.text, answer.text
        assert "user 'fake', total ignored: 1 out of 1 for stream: {case=" in answer.text, answer.text
        equal(stored(bramble, stream), ["late, but in time", "newest"])
    with check("OTLP: a partial success says the same"):
        record = [{"timeUnixNano": str(now), "body": {"stringValue": text}} for text in ("fine", "x" * 1025)]
        body = json.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": record}]}]}).encode()
        for door, path in (("otlp_http", "/v1/logs"), ("loki", "/otlp/v1/logs")):
            answer = bramble.post(door, path, body, JSON)
            equal((answer.status, answer.json["partialSuccess"]["rejectedLogRecords"]), (200, "1"))
        equal(stored(bramble, '{service_name="unknown_service"} |= "fine"'), ["fine"])
    with check("OTLP: an error is a Status, in protobuf for protobuf"):
        answer = bramble.post("loki", "/otlp/v1/logs", b"\xff\xff", {"Content-Type": "application/x-protobuf"})
        equal((answer.status, answer.headers["Content-Type"]), (400, "application/x-protobuf"))
        equal(answer.body[:3], b"\x08\x03\x12")
        equal(bramble.post("loki", "/otlp/v1/logs", b"{", JSON).json["code"], 3)


def too_many_streams(bramble):
    with check("more streams than the limit: 429, and the others are stored"):
        now = str(time.time_ns())
        body = streams(*(({"case": "many", "n": str(n)}, [[now, f"line {n}"]]) for n in range(25)))
        answer = bramble.post("loki", PUSH, body, JSON)
        equal(answer.status, 429)
        assert int(answer.headers["Retry-After"]) > 0
        assert "Maximum active stream limit exceeded when trying to create stream {case=" in answer.text, answer.text
        assert 5 < len(stored(bramble, '{case="many"}')) < 25
        equal(bramble.post("prometheus", "/internal/force_flush", b"").status // 100, 2)
        # What was stored is sent once more, and is there once.
        bramble.post("loki", PUSH, body, JSON)
        found = stored(bramble, '{case="many"}')
        equal(len(found), len(set(found)))


def rates():
    settings = {**QUIET, "BRAMBLE_LOGS_RATE": "20KB", "BRAMBLE_LOGS_STREAM_RATE": "2KB"}
    with Bramble(environment=settings) as bramble:
        now = time.time_ns()

        def lots(stream, count, size=1000):
            return streams((stream, [[str(now + n), f"{n:04}" + "x" * (size - 4)] for n in range(count)]))

        with check("a stream over its rate: 429 with Retry-After, others are stored"):
            equal(bramble.post("loki", PUSH, lots({"case": "fast"}, 8), JSON).status, 204)
            both = json.loads(lots({"case": "fast"}, 9))["streams"] + json.loads(lots({"case": "slow"}, 1))["streams"]
            answer = bramble.post("loki", PUSH, json.dumps({"streams": both}).encode(), JSON)
            equal(answer.status, 429)
            assert 1 <= int(answer.headers["Retry-After"]) <= 10, answer.headers["Retry-After"]
            assert answer.text.startswith("9 errors like: Per stream rate limit exceeded (limit: 1.95KB/sec)"), answer.text
            equal((len(stored(bramble, '{case="slow"}')), len(stored(bramble, '{case="fast"}'))), (1, 8))
        with check("all over the rate: 429 with Retry-After, by OTLP too, and later it goes on"):
            body = streams(*((({"case": "all", "n": str(n)}), [[str(now), "x" * 4000]]) for n in range(7)))
            answers = [bramble.post("loki", PUSH, body, JSON) for _ in range(2)]
            equal(answers[-1].status, 429)
            wanted = "Ingestion rate limit exceeded for user fake (limit: 20000 bytes/sec) while attempting to ingest '7'"
            assert answers[-1].text.startswith(wanted), answers[-1].text
            record = {"timeUnixNano": str(now), "body": {"stringValue": "x" * 9000}}
            otlp = json.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": [record] * 3}]}]}).encode()
            answer = bramble.post("otlp_http", "/v1/logs", otlp, JSON)
            equal((answer.status, answer.json["code"]), (429, 8))
            assert int(answer.headers["Retry-After"]) >= 1
            time.sleep(3)
            equal(bramble.post("loki", PUSH, streams(({"case": "later"}, [[str(now), "x" * 4000]])), JSON).status, 204)


def truncated():
    with check("long lines are cut where that is set"):
        settings = {**QUIET, "BRAMBLE_LOGS_LINE_TRUNCATE": "true", "BRAMBLE_INGEST_LINE_MAX": "10"}
        with Bramble(environment=settings) as bramble:
            body = streams(({"case": "cut"}, [[str(time.time_ns()), "123456789é and more"]]))
            equal(bramble.post("loki", PUSH, body, JSON).status, 204)
            equal(stored(bramble, '{case="cut"}'), ["123456789"])


def main():
    with Bramble(environment=SETTINGS) as bramble:
        malformed(bramble)
        labels(bramble)
        entries(bramble)
        too_many_streams(bramble)
    rates()
    truncated()
    return check.done()


sys.exit(main())
