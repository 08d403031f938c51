"""Queries of death: each is answered as Prometheus answers its own limits, and the process stays inside its cap."""

import json
import os
import pathlib
import socket
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "harness"))
from bramble import QUIET, Bramble, Checks, wait_for
from send import gauge

check = Checks()
NOW = int(time.time())
CAP_MIB = 128
SETTINGS = {
    **QUIET,
    "BRAMBLE_MEMORY_CAP": f"{CAP_MIB}MiB",
    "BRAMBLE_QUERY_TIMEOUT": "5s",
    "BRAMBLE_QUERY_CONCURRENCY": "2",
}
QUERY, RANGE = "/api/v1/query", "/api/v1/query_range"
# Little memory and much time: twenty thousand steps, at each of which fifteen thousand others are looked at.
LONG = "max_over_time(sum_over_time(vector(1)[5m:20ms])[2000s:100ms])"


def rss_mib(bramble):
    status = pathlib.Path(f"/proc/{bramble.process.pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")) / 1024


def refused(answer, kinds):
    """A refusal in Prometheus' form: status and errorType of `kinds`, and a reason."""
    body = answer.json
    assert body["status"] == "error" and (answer.status, body["errorType"]) in kinds, (answer.status, answer.text[:300])
    assert len(body["error"]) > 8, body
    return body


EXECUTION, TIMEOUT, BAD = (422, "execution"), (503, "timeout"), (400, "bad_data")


def counter(bramble, name):
    for line in bramble.get("prometheus", "/metrics").text.splitlines():
        if line.startswith(name + " "):
            return float(line.split()[1])
    raise KeyError(name)


def feed(b):
    for name in range(20):
        body = {
            "resourceMetrics": [
                {
                    "scopeMetrics": [
                        {
                            "metrics": [
                                {
                                    "name": f"wide_{name}",
                                    "gauge": {
                                        "dataPoints": [
                                            {
                                                "timeUnixNano": str((NOW - 60) * 10**9),
                                                "asDouble": i,
                                                "attributes": [{"key": "i", "value": {"stringValue": str(i)}}],
                                            }
                                            for i in range(1000)
                                        ]
                                    },
                                }
                            ]
                        }
                    ]
                }
            ]
        }
        answer = b.post("otlp_http", "/v1/metrics", json.dumps(body).encode(), {"Content-Type": "application/json"})
        assert answer.status == 200, answer.text
    gauge(b, "up", {"job": "x"}, [(NOW - 60 + i, 1) for i in range(60)])


def bad(b):
    instant = lambda q, **more: b.get("prometheus", QUERY, {"query": q, "time": NOW, **more})  # noqa: E731
    post = lambda q: b.post(  # noqa: E731
        "prometheus", QUERY, ("query=" + q).encode(), {"Content-Type": "application/x-www-form-urlencoded"}
    )
    with check("a regex bomb"):
        refused(instant('up{job=~"' + "(a{1000}){1000}" + '"}'), {BAD})
    with check("a range of more than 11,000 points"):
        answer = b.get("prometheus", RANGE, {"query": "up", "start": 0, "end": NOW, "step": 1})
        assert "11,000" in refused(answer, {BAD})["error"]
    with check("deep nesting"):
        refused(post("(" * 200_000 + "1" + ")" * 200_000), {BAD})
        refused(post("-" * 200_000 + "1"), {BAD})
        refused(post("abs(" * 100_000 + "up" + ")" * 100_000), {BAD})
    with check("a form that is too large"):
        assert post("1" * (2 << 20)).status == 413
    with check("a join of everything with everything"):
        refused(instant('{__name__=~"wide_.*"} * on(i) group_left {__name__=~"wide_.*"}'), {EXECUTION})
    with check("a subquery of a millisecond over a year"):
        refused(instant("max_over_time(rate(wide_1[1m])[1y:1ms])"), {EXECUTION, TIMEOUT})
        refused(instant("sum_over_time(vector(1)[100y:1ms])"), {EXECUTION, TIMEOUT})
    with check("everything at eleven thousand steps"):
        params = {"query": '{__name__=~".+"}', "start": NOW - 11_000, "end": NOW, "step": 1}
        refused(b.get("prometheus", RANGE, params), {EXECUTION, TIMEOUT})
    with check("a time limit of its own"):
        refused(instant(LONG, timeout="50ms"), {TIMEOUT})
    with check("labels that grow"):
        query = "up"
        for i in range(40):
            query = f'label_join({query}, "a", "", ' + ", ".join(['"a"', '"job"'] * 20) + ")"
        refused(instant(query), {EXECUTION, BAD, TIMEOUT})


def gone(b):
    """A client that goes away takes its query with it."""
    before = counter(b, 'bramble_queries_total{outcome="abandoned"}')
    with socket.create_connection(("127.0.0.1", b.ports["prometheus"]), 20) as s:
        from urllib.parse import urlencode

        s.sendall(f"GET {QUERY}?{urlencode({'query': LONG, 'time': NOW})} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        wait_for("the query to run", lambda: counter(b, "bramble_queries_running") >= 1, 10)
    wait_for("the query to stop", lambda: counter(b, "bramble_queries_running") == 0, 4)
    assert counter(b, 'bramble_queries_total{outcome="abandoned"}') == before + 1


def fair(b):
    """One dashboard with many long queries does not keep an alert rule from its answer."""
    statuses = []

    def panel():
        headers = {"X-Dashboard-Uid": "heavy"}
        answer = b.get("prometheus", QUERY, {"query": LONG.replace("2000s", "400s"), "time": NOW}, headers=headers)
        statuses.append(answer.status)

    panels = [threading.Thread(target=panel) for _ in range(30)]
    for thread in panels:
        thread.start()
    wait_for("the panels to wait", lambda: counter(b, "bramble_queries_waiting") > 10, 10)
    answer = b.get("prometheus", QUERY, {"query": "1+1"}, headers={"FromAlert": "true"})
    waiting = counter(b, "bramble_queries_waiting")
    for thread in panels:
        thread.join()
    assert answer.status == 200, answer.text
    assert set(statuses) <= {200, 503} and 200 in statuses, statuses
    assert waiting > 5, f"the rule was answered when only {waiting} panels still waited"


with Bramble(environment=SETTINGS) as bramble:
    feed(bramble)
    bad(bramble)
    with check("a client that goes away stops its query"):
        gone(bramble)
    with check("turns are fair"):
        fair(bramble)
    with check("who waits too long is told when to come again"):
        fair_answer = bramble.get("prometheus", QUERY, {"query": LONG, "time": NOW, "timeout": "1ms"})
        refused(fair_answer, {TIMEOUT})
        assert fair_answer.headers["Retry-After"], fair_answer.headers
    with check("answers are packed as asked"):
        for coding in ("gzip", "deflate", "zstd"):
            params, headers = {"query": "wide_1", "time": NOW}, {"Accept-Encoding": coding}
            answer = bramble.get("prometheus", QUERY, params, headers=headers)
            assert answer.headers.get("Content-Encoding") == coding, (coding, answer.headers)
    with check("it still serves, inside its cap"):
        assert bramble.get("prometheus", QUERY, {"query": "up", "time": NOW}).status == 200
        assert rss_mib(bramble) <= CAP_MIB, rss_mib(bramble)
        assert bramble.process.poll() is None and os.path.exists(f"/proc/{bramble.process.pid}")
sys.exit(check.done())
