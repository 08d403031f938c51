"""The API of correlations beside the demonstration: every link of an answer leads somewhere, the newest log records come
back as they were posted, the stream goes on where a client stopped, bad input is named.
"""

import gzip
import http.client
import json
import pathlib
import sys
import time
import urllib.parse

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "harness"))
from bramble import QUIET, Bramble, Checks
from bramble import http as ask
from correlating import equal, new_trace, post_logs, post_spans, the_correlation

SETTINGS = {**QUIET, "CORR_WINDOW_SECONDS": "2", "BRAMBLE_CORRELATION_LISTENERS_MAX": "2"}
check = Checks()


class Stream:
    """Server-sent events, read one by one."""

    def __init__(self, bramble, last=None, **filters):
        url = urllib.parse.urlsplit(bramble.url("correlation", "/api/correlations/stream"))
        self.connection = http.client.HTTPConnection(url.netloc, timeout=60)
        # What is compressed would wait to be more.
        headers = {"Accept-Encoding": "gzip", **({"Last-Event-ID": last} if last else {})}
        self.connection.request("GET", f"{url.path}?{urllib.parse.urlencode(filters)}", headers=headers)
        self.response = self.connection.getresponse()

    def next(self):
        """Fields of the next event that is none of comments alone; None at the end."""
        fields = {}
        for line in self.response:
            text = line.decode().rstrip("\n")
            if not text and "data" in fields:
                return fields
            name, _, value = text.partition(":")
            if name:
                fields[name] = value.strip()
        return None

    def close(self):
        self.response.close()
        self.connection.close()


def joined(bramble, **ids):
    """A trace of two services, as a correlation."""
    trace_id, at = new_trace(), time.time_ns()
    post_logs(bramble, "beorn", ["order taken", "order sent"], at=at, trace_id=trace_id, severity="WARNING", **ids)
    post_spans(bramble, "arda", [(trace_id, new_trace()[:16], "", "build", at + 2_000_000, at + 5_000_000)])
    return the_correlation(bramble, trace_id=trace_id)


def links(bramble, c):
    with check("every link of a correlation leads to it, from either door"):
        main = bramble.url("main", "")
        at_main = bramble.get("main", "/api/correlations", {"trace_id": c["trace_id"]}).json["correlations"][0]
        for door, links in (("correlation", c["links"]), ("main", at_main["links"])):
            found = {}
            for name, link in [(n, v) for n, v in links.items() if n != "stories"] + [("story", v) for v in links["stories"]]:
                answer = ask(urllib.parse.urljoin(bramble.url(door, "/"), link))
                equal((name, answer.status), (name, 200))
                found[name] = answer
            equal(found["self"].json["id"], c["id"])
            assert c["trace_id"] in found["tempo"].text or "build" in found["tempo"].text, found["tempo"].text[:300]
            equal(found["jaeger"].json["data"][0]["traceID"], c["trace_id"])
            lines = [v[1] for s in found["logs"].json["data"]["result"] for v in s["values"]]
            equal(sorted(lines), ["order sent", "order taken"])
            equal([r["message"] for r in found["log_records"].json["logs"]], ["order sent", "order taken"])
            equal(found["story"].json["services"], ["beorn", "arda"])
            assert links["page"].endswith(f"/#/correlations/{c['id']}"), links
        assert c["links"]["tempo"].startswith(main.rstrip("/")), (c["links"], main)


def records(bramble, c):
    with check("the newest records come back in the shape in which they were posted"):
        answer = bramble.get("correlation", "/api/logs", {"trace_id": c["trace_id"], "limit": 1}).json
        equal(answer["count"], 1)
        [record] = answer["logs"]
        equal(
            {k: record[k] for k in ("message", "service", "host", "env", "trace_id", "circuit_id", "labels")},
            {
                "message": "order sent",
                "service": "beorn",
                "host": "orthanc",
                "env": "test",
                "trace_id": c["trace_id"],
                "circuit_id": c["circuit_id"],
                "labels": {"n": "1"},
            },
        )
        assert record["severity"].lower().startswith("warn"), record
    with check("records by service, severity, time and ids in lines; never those that are ours"):
        texts = lambda **f: [r["message"] for r in bramble.get("main", "/api/logs", f).json["logs"]]  # noqa: E731
        post_logs(bramble, "palantir", ['{"msg":"seen","circuitId":"C-line"}'], severity="ERROR")
        equal(texts(circuit_id="C-line"), ['{"msg":"seen","circuitId":"C-line"}'])
        equal(texts(circuitId=c["circuit_id"], severity="error"), [])
        equal(len(texts(circuitId=c["circuit_id"], severity="warn")), 2)
        equal(texts(service="palantir", severity="error"), ['{"msg":"seen","circuitId":"C-line"}'])
        equal((texts(service="nobody"), texts(until="1h"), texts(request_id="C-line")), ([], [], []))
        everything = bramble.get("main", "/api/logs", {"limit": 1000}).json["logs"]
        equal({r["service"] for r in everything}, {"beorn", "palantir"})
        stamps = [r["timestamp"] for r in everything]
        assert len(stamps) == 3 and stamps[0] > stamps[-1], stamps


def stream(bramble):
    with check("the stream tells of what is published, filtered, uncompressed, and goes on where a client stopped"):
        first, all_of_them = Stream(bramble, circuitId="C-s1"), Stream(bramble)
        equal(first.response.headers.get("Content-Encoding"), None)
        third = Stream(bramble)
        equal((third.response.status, "error" in json.loads(gzip.decompress(third.response.read()))), (429, True))
        joined(bramble, circuit_id="C-s2")
        wanted = joined(bramble, circuit_id="C-s1")
        event = first.next()
        equal((event["event"], json.loads(event["data"])["id"]), ("correlation", wanted["id"]))
        numbers = [all_of_them.next()["id"] for _ in range(2)]
        first.close()
        all_of_them.close()
        again = None
        for _ in range(100):
            again = Stream(bramble, last=numbers[0])
            if again.response.status == 200:
                break
            time.sleep(0.1)
        equal(again.next()["id"], numbers[1])
        return again


def bad_input(bramble):
    with check("bad input is refused by name"):
        for path, params, status, field in [
            ("/api/correlations", {"limit": 1001}, 400, "limit"),
            ("/api/correlations", {"since": "1h", "until": "2h"}, 400, "until"),
            ("/api/correlations", {"circuitId": "x" * 200}, 400, "circuit_id"),
            ("/api/correlations/stream", {"has_error": "perhaps"}, 400, "has_error"),
            ("/api/correlations/nothing", {}, 400, "id"),
            (f"/api/correlations/{new_trace()}-7", {}, 404, "id"),
            ("/api/stories", {}, 400, "circuit_id"),
            ("/api/logs", {"severity": "loud"}, 400, "severity"),
            ("/api/logs", {"trace_id": "0" * 32}, 400, "trace_id"),
        ]:
            answer = bramble.get("correlation", path, params)
            equal((path, answer.status, answer.json["field"]), (path, status, field))
            assert answer.json["error"], answer.text
        equal(bramble.get("correlation", "/api/correlations", {"unheard_of": "1"}).status, 200)
        equal(bramble.get("correlation", "/health").json, {"status": "healthy"})
        assert "bramble_correlation_listeners" in bramble.get("correlation", "/metrics").text


with Bramble(SETTINGS) as bramble:
    c = joined(bramble, circuit_id="C-1")
    links(bramble, c)
    records(bramble, c)
    bad_input(bramble)
    listening = stream(bramble)
    with check("a stream ends when the server stops"):
        bramble.stop()
        while listening.next():
            pass
sys.exit(check.done())
