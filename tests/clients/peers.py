"""Two hubs that name each other: queries at either are answered from both, each item once, and say so when the other is away."""

import json
import pathlib
import subprocess
import sys
import time

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parents[1] / "harness")]

import send  # noqa: E402
from bramble import QUIET, Bramble, Checks, http, wait_for  # noqa: E402

JSON = {"Content-Type": "application/json"}
NOW = int(time.time()) - 60
NOW_NS = NOW * 10**9
LINES = 60
RANGE = {"start": NOW - 3600, "end": NOW + 60}
RANGE_NS = {"start": NOW_NS - 3600 * 10**9, "end": NOW_NS + 60 * 10**9}
MISSING = "is missing from this answer"


def hubs_of(i):
    """Where the i-th item goes: the first hub, the second, or both."""
    return [(0,), (1,), (0, 1)][i % 3]


def push_lines(hub, numbers):
    values = [[str(NOW_NS - i * 10**9), f"line {i} of {LINES}", {"number": str(i)}] for i in numbers]
    push = {"streams": [{"stream": {"app": f"app-{s}"}, "values": values[s::2]} for s in range(2)]}
    answer = hub.post("loki", "/loki/api/v1/push", json.dumps(push).encode(), JSON)
    assert answer.status == 204, answer.text


def span(trace, number, service="shop"):
    start = NOW_NS - trace * 10**9 + number * 10**6
    attribute = {"key": "number", "value": {"intValue": str(number)}}
    made = {
        "traceId": f"{trace:032x}",
        "spanId": f"{trace * 100 + number:016x}",
        "parentSpanId": f"{trace * 100 + 1:016x}" if number > 1 else "",
        "name": f"step {number}",
        "kind": 2,
        "startTimeUnixNano": str(start),
        "endTimeUnixNano": str(start + 5 * 10**6),
        "attributes": [attribute],
    }
    return service, made


def push_spans(hub, spans):
    for service in {service for service, _ in spans}:
        resource = {"attributes": [{"key": "service.name", "value": {"stringValue": service}}]}
        ours = [made for of, made in spans if of == service]
        body = {"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": ours}]}]}
        answer = hub.post("otlp_http", "/v1/traces", json.dumps(body).encode(), JSON)
        assert answer.status == 200, answer.text


def feed(hubs):
    """Part to both, part to one only."""
    for at, hub in enumerate(hubs):
        send.gauge(hub, "shared", {"job": "both"}, [(NOW - i * 15, i) for i in range(40)])
        send.gauge(hub, f"only_{at}", {"job": f"hub-{at}"}, [(NOW, at)])
        send.gauge(hub, "mixed", {"job": "both"}, [(NOW - i * 15, i) for i in range(40) if at in hubs_of(i)])
        push_lines(hub, [i for i in range(LINES) if at in hubs_of(i)])
    # Trace 1 is on both, 2 on the first, 3 on the second, 4 in parts, of which one is the wanted one.
    push_spans(hubs[0], [span(1, 1), span(1, 2, "bank"), span(2, 1), span(4, 1), span(4, 2)])
    push_spans(hubs[1], [span(1, 1), span(1, 2, "bank"), span(3, 1, "bank"), span(4, 2), span(4, 3, "bank")])


def range_query(hub, query, step=15):
    answer = hub.get("prometheus", "/api/v1/query_range", {"query": query, "step": step, **RANGE})
    assert answer.status == 200, answer.text
    return answer.json


def logs(hub, query='{app=~".+"}', direction="forward", limit=1000, **more):
    params = {"query": query, "direction": direction, "limit": limit, **RANGE_NS, **more}
    answer = hub.get("loki", "/loki/api/v1/query_range", params)
    assert answer.status == 200, answer.text
    streams = answer.json["data"]["result"]
    rows = [(int(value[0]), value[1]) for stream in streams for value in stream["values"]]
    return sorted(rows, reverse=direction == "backward"), answer.json


def numbers(rows):
    return sorted(int(line.split()[1]) for _, line in rows)


def check_metrics(checks, hub, name):
    with checks(f"{name}: samples that are here, there, or on both are each there once"):
        (series,) = range_query(hub, "mixed")["data"]["result"]
        assert len(series["values"]) >= 40, len(series["values"])
        for query in ("count_over_time(mixed[2h])", "count_over_time(shared[2h])"):
            answer = hub.get("prometheus", "/api/v1/query", {"query": query, "time": NOW + 30}).json
            assert [s["value"][1] for s in answer["data"]["result"]] == ["40"], answer
            assert "warnings" not in answer, answer
        raw = hub.get("prometheus", "/api/v1/query", {"query": "mixed[2h]", "time": NOW + 30}).json
        values = raw["data"]["result"][0]["values"]
        assert [int(v[1]) for v in values] == list(range(39, -1, -1)), values
    with checks(f"{name}: lists of metrics are those of both"):
        names = hub.get("prometheus", "/api/v1/label/__name__/values").json["data"]
        assert {"shared", "mixed", "only_0", "only_1"} <= set(names), names
        jobs = hub.get("prometheus", "/api/v1/label/job/values", {"match[]": '{__name__=~"only_.*"}'}).json["data"]
        assert jobs == ["hub-0", "hub-1"], jobs
        found = hub.get("prometheus", "/api/v1/series", {"match[]": '{__name__=~"only_.*"}', **RANGE}).json["data"]
        assert len(found) == 2, found
        assert {"only_0", "only_1"} <= set(hub.get("prometheus", "/api/v1/metadata").json["data"])


def check_logs(checks, hub, name):
    for direction in ("forward", "backward"):
        with checks(f"{name}: each line once, {direction}, and page by page"):
            rows, answer = logs(hub, direction=direction)
            assert numbers(rows) == list(range(LINES)), numbers(rows)
            assert "warnings" not in answer, answer["warnings"]
            paged, bounds = [], dict(RANGE_NS)
            for _ in range(LINES):
                page, _ = logs(hub, direction=direction, limit=7, **bounds)
                if not page:
                    break
                assert len(page) <= 7
                paged += page
                if direction == "forward":
                    bounds["start"] = page[-1][0] + 1
                else:
                    bounds["end"] = page[-1][0]
            assert paged == rows, (len(paged), len(rows))
    with checks(f"{name}: what filters and counts see is both"):
        rows, _ = logs(hub, '{app="app-0"} |= "5"')
        alone, _ = logs(hub, '{app="app-0"}')
        assert rows == [row for row in alone if "5" in row[1]] and rows, rows
        params = {"query": 'sum(count_over_time({app=~".+"}[2h]))', "time": NOW_NS + 10**9}
        counted = hub.get("loki", "/loki/api/v1/query", params).json["data"]["result"]
        assert [v["value"][1] for v in counted] == [str(LINES)], counted
        stats = hub.get("loki", "/loki/api/v1/index/stats", {"query": '{app=~".+"}', **RANGE_NS}).json
        assert stats["entries"] == LINES and stats["streams"] == 2, stats
        apps = hub.get("loki", "/loki/api/v1/label/app/values", RANGE_NS).json["data"]
        assert apps == ["app-0", "app-1"], apps


def spans_of(hub, trace):
    answer = hub.get("tempo", f"/api/traces/{trace:032x}")
    if answer.status == 404:
        return []
    batches = answer.json.get("batches") or answer.json.get("resourceSpans")
    names = sorted(s["name"] for batch in batches for scope in batch["scopeSpans"] for s in scope["spans"])
    # Each hub that joins a trace writes a span that says so: the same one.
    assert names.count("correlation") <= 1, names
    return [name for name in names if name != "correlation"]


def check_traces(checks, hub, name):
    with checks(f"{name}: traces are whole, wherever their spans are"):
        found = {trace: spans_of(hub, trace) for trace in range(1, 5)}
        steps = {1: 2, 2: 1, 3: 1, 4: 3}
        assert found == {t: [f"step {i + 1}" for i in range(n)] for t, n in steps.items()}, found
    with checks(f"{name}: searches find each trace once"):
        found = hub.get("tempo", "/api/search", {"q": "{}", "limit": 20, **RANGE}).json["traces"]
        assert sorted(int(t["traceID"], 16) for t in found) == [1, 2, 3, 4], found
        # Its spans are on both hubs, and each has one that the other has not.
        query = '{ resource.service.name = "shop" && name = "step 1" } >> { resource.service.name = "bank" }'
        found = hub.get("tempo", "/api/search", {"q": query, "limit": 20, **RANGE}).json["traces"]
        # Trace 1 has both services on either hub, 4 only when its parts are put together.
        assert sorted(int(t["traceID"], 16) for t in found) == [1, 4], found
        params = {"service": "bank", "limit": 20, "start": RANGE["start"] * 10**6, "end": RANGE["end"] * 10**6}
        found = hub.get("jaeger", "/api/traces", params).json["data"]
        counted = {int(t["traceID"], 16): sum(s["operationName"] != "correlation" for s in t["spans"]) for t in found}
        assert counted == {1: 2, 3: 1, 4: 3}, found
    with checks(f"{name}: rates over spans count each once; lists are those of both"):
        params = {"q": "{} | count_over_time()", "step": "2h", **RANGE}
        series = hub.get("tempo", "/api/metrics/query_range", params).json["series"]
        total = sum(sample.get("value", 0) for s in series for sample in s["samples"])
        assert total == 7, series
        assert set(hub.get("jaeger", "/api/services").json["data"]) >= {"shop", "bank"}
        tags = hub.get("tempo", "/api/v2/search/tag/resource.service.name/values", RANGE).json["tagValues"]
        assert {tag["value"] for tag in tags} >= {"shop", "bank"}, tags


def check_away(checks, hub):
    """The other one is down."""
    with checks("metrics: an answer without the other hub says so"):
        answer = hub.get("prometheus", "/api/v1/query", {"query": "count_over_time(mixed[2h])", "time": NOW + 30}).json
        assert answer["status"] == "success" and answer["data"]["result"][0]["value"][1] == "27", answer
        assert any(MISSING in warning for warning in answer["warnings"]), answer
        listed = hub.get("prometheus", "/api/v1/label/__name__/values").json
        assert "only_0" in listed["data"] and any(MISSING in warning for warning in listed["warnings"]), listed
    with checks("logs: likewise"):
        rows, answer = logs(hub)
        assert numbers(rows) == [i for i in range(LINES) if i % 3 != 1], numbers(rows)
        assert MISSING in json.dumps(answer), answer
    with checks("traces: likewise"):
        found = hub.get("tempo", "/api/search", {"q": "{}", "limit": 20, **RANGE})
        assert sorted(int(t["traceID"], 16) for t in found.json["traces"]) == [1, 2, 4], found.text
        assert spans_of(hub, 4) == ["step 1", "step 2"]
        params = {"service": "shop", "limit": 20, "start": RANGE["start"] * 10**6, "end": RANGE["end"] * 10**6}
        assert MISSING in hub.get("jaeger", "/api/traces", params).text
    with checks("series, problems and bramble doctor tell of it"):

        def seen():
            lines = hub.get("main", "/metrics").text.splitlines()
            return any(line.startswith("bramble_peer_up{") and line.endswith(" 0") for line in lines)

        wait_for("the other hub to be seen as away", seen)
        problems = hub.get("main", "/api/problems").json["problems"]
        assert any(problem["part"] == "peers" for problem in problems), problems
        command = [str(hub.binary), "doctor", "--data-dir", str(hub.data_dir)]
        told = subprocess.run(command, env=hub.environment(), capture_output=True, text=True, timeout=60)
        assert "peers: http://127.0.0.1" in told.stdout + told.stderr, told.stdout + told.stderr


def main():
    checks = Checks()
    first, second = Bramble(QUIET), Bramble(QUIET)
    # One names itself as well, by mistake.
    first.settings["BRAMBLE_CLUSTER_PEERS"] = f"{second.url('main')},{first.url('main')}"
    second.settings["BRAMBLE_CLUSTER_PEERS"] = first.url("main").removeprefix("http://")
    with first, second:
        hubs = [first, second]
        feed(hubs)

        def greeted():
            no_warnings = lambda hub: "warnings" not in range_query(hub, "mixed")  # noqa: E731
            return all(map(no_warnings, hubs)) and "it is this hub itself" in first.get("main", "/api/problems").text

        wait_for("the hubs to have greeted each other", greeted)
        for hub, name in zip(hubs, ("first hub", "second hub")):
            check_metrics(checks, hub, name)
            check_logs(checks, hub, name)
            check_traces(checks, hub, name)
        with checks("who asks nonsense is told so"):
            answer = second.post("main", "/api/peer/v1/read", b'{"ask":"everything"}', JSON)
            assert answer.status == 400 and "unknown variant" in answer.json["error"], answer.text
            hello = http(second.url("main", "/api/peer/v1/hello")).json
            assert hello["hub_id"] and hello["hub_id"] != http(first.url("main", "/api/peer/v1/hello")).json["hub_id"]
        assert second.stop() == 0
        check_away(checks, first)
        second.start()
        wait_for("the other hub to be there again", lambda: "warnings" not in range_query(first, "mixed"))
        check_metrics(checks, first, "both again")
        check_logs(checks, first, "both again")
        check_traces(checks, first, "both again")
        second.kill()
        with checks("a hub that dies between two questions costs no answer"):
            rows, answer = logs(first)
            assert numbers(rows) == [i for i in range(LINES) if i % 3 != 1], numbers(rows)
            assert MISSING in json.dumps(answer), answer
    return checks.done()


if __name__ == "__main__":
    sys.exit(main())
