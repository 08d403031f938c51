"""The classic demonstration: logs with a trace id and a circuit id, and three real services that call each other with
that circuit id, become one correlation; every API leads to its parts.
"""

import json
import pathlib
import sys
import threading
import time
import urllib.parse
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "harness"))
from bramble import QUIET, Bramble, Checks, wait_for
from correlating import correlations, equal, items, loki, nanoseconds, new_trace, post_logs, post_spans, the_correlation
from services import IDS, ORDERS, order, scalar, services, spans_of

SETTINGS = {
    **QUIET,
    "BRAMBLE_OWN_ENABLED": "true",
    "BRAMBLE_OWN_INTERVAL": "1s",
    # As the engine that people run has it.
    "CORR_WINDOW_SECONDS": "4",
    # A busy machine gets here late.
    "BRAMBLE_CORRELATION_GRACE": "10m",
    "BRAMBLE_TRACES_DERIVED_INTERVAL": "1s",
}
WINDOW_NS = 4 * 10**9
CHAIN = ["beorn", "palantir", "arda"]
POSTED = ["portal: order pressed", "portal: waiting for the circuit"]
check = Checks()


class Listener(threading.Thread):
    """A client of the stream of new correlations, as a browser's EventSource reads it."""

    def __init__(self, bramble, **filters):
        super().__init__(daemon=True)
        url = bramble.url("correlation", "/api/correlations/stream")
        self.response = urllib.request.urlopen(f"{url}?{urllib.parse.urlencode(filters)}", timeout=120)
        equal(self.response.headers["Content-Type"].split(";")[0], "text/event-stream")
        self.heard = []
        self.start()

    def run(self):
        event = ""
        try:
            for line in self.response:
                name, _, value = line.decode().rstrip("\n").partition(":")
                if name == "event":
                    event = value.strip()
                elif name == "data" and event == "correlation":
                    self.heard.append(json.loads(value))
        except (OSError, ValueError):
            return

    def of(self, trace_id):
        return [c for c in self.heard if c["trace_id"] == trace_id]


class Order:
    """One order: the portal's logs by `POST /api/logs`, then the services, which go on with the portal's trace."""

    def __init__(self, bramble, beorn, number):
        self.trace_id, self.span_id, self.at = new_trace(), new_trace()[:16], time.time_ns()
        self.circuit = f"circ-{number:05}"
        post_logs(bramble, "portal", POSTED, at=self.at, trace_id=self.trace_id, circuit_id=self.circuit)
        self.ids = order(beorn, number, {"traceparent": f"00-{self.trace_id}-{self.span_id}-01"})


def in_correlations(bramble, good, bad):
    with check("the correlation is there after the window, found by its circuit id"):
        c = the_correlation(bramble, circuit_id=good.circuit)
        equal(c["trace_id"], good.trace_id)
        equal(c["id"].rsplit("-", 1)[0], good.trace_id)
        equal([c[key] for key in IDS], [good.ids[key] for key in IDS])
        equal(c["ids"]["request_id"], [good.ids["request_id"]])
        equal(c["window"]["seconds"], 4)
        equal(nanoseconds(c["window"]["end"]) - nanoseconds(c["window"]["start"]), WINDOW_NS)
        equal(nanoseconds(c["start"]), good.at)
        good.correlation = c
    with check("services in causal order, each once, the portal's logs among them"):
        equal([s["service"] for s in c["services"] if s["spans"]], CHAIN)
        equal(sorted(s["service"] for s in c["services"]), sorted(["portal", *CHAIN]))
        equal([(s["logs"], s["env"]) for s in c["services"] if s["spans"]], [(1, "test")] * 3)
        [portal] = [s for s in c["services"] if s["service"] == "portal"]
        equal((portal["logs"], portal["spans"], portal["node"], portal["env"]), (len(POSTED), 0, "orthanc", "test"))
    with check("counts are those of the trace and of its log lines"):
        written = [s for service, s in spans_of(bramble, good.trace_id) if service != "bramble"]
        lines = loki(bramble, f'{{service_name=~".+"}} | trace_id="{good.trace_id}"')
        lines += loki(bramble, f'{{service="portal"}} | trace_id="{good.trace_id}"')
        texts = {line for _, line in lines}
        equal(items(c), (len(texts), len(written)))
        assert c["counts"]["logs"] == len(POSTED) + 3, texts
        equal((c["has_error"], c["counts"]["errors"], c["counts"]["failed_spans"], c["first_error"]), (False, 0, 0, None))
    with check("the order that cannot be built has its first error and its worst span"):
        c = bad.correlation = the_correlation(bramble, trace_id=bad.trace_id)
        assert c["has_error"] and c["counts"]["failed_spans"] >= 1 and c["counts"]["levels"]["error"] == 2, c
        equal(c["first_error"]["service"], "arda")
        assert c["worst_span"]["failed"] and c["worst_span"]["service"] in CHAIN, c["worst_span"]
    with check("filters: with errors, without, by service, by other ids, since, limit"):
        ids = lambda **filters: {c["trace_id"] for c in correlations(bramble, **filters)}  # noqa: E731
        equal(ids(has_error="true"), {bad.trace_id})
        equal(ids(has_error="false"), {good.trace_id})
        for key in IDS:
            assert good.trace_id in ids(**{key: good.ids[key]}), key
        equal(ids(service="arda", since="15m"), {good.trace_id, bad.trace_id})
        equal((ids(service="nobody"), ids(circuit_id="circ-99999"), ids(since="2035-01-01T00:00:00Z")), (set(), set(), set()))
        equal([c["trace_id"] for c in correlations(bramble)], [bad.trace_id, good.trace_id])
        equal(correlations(bramble, limit=1), correlations(bramble)[:1])
        equal(ids(), {c["trace_id"] for c in correlations(bramble, door="main")})
    with check("one by its id, as a timeline of spans and lines together"):
        c = bramble.get("correlation", f"/api/correlations/{good.correlation['id']}").json
        kinds = [event["kind"] for event in c["timeline"]]
        equal((kinds.count("log"), kinds.count("span")), items(good.correlation))
        times = [event.get("corrected_time", event["time"]) for event in c["timeline"]]
        equal(times, sorted(times, key=nanoseconds))
        assert POSTED[0] in [event.get("line") for event in c["timeline"]], c["timeline"]
        assert not c["truncated"] and all(event["certain"] for event in c["timeline"]), c
    with check("what is asked wrongly is refused, and says where"):
        for params in ({"trace_id": "xyz"}, {"since": "yesterday"}, {"limit": "many"}, {"has_error": "perhaps"}):
            answer = bramble.get("correlation", "/api/correlations", params)
            equal((answer.status, answer.json["field"]), (400, *params))
        equal(bramble.get("correlation", f"/api/correlations/{new_trace()}-1").status, 404)
        equal(bramble.get("correlation", "/api/correlations/nonsense").status // 100, 4)


def in_traces(bramble, good):
    def synthetic():
        spans = spans_of(bramble, good.trace_id)
        return next(((s, spans) for service, s in spans if s["name"] == "correlation" and service == "bramble"), None)

    with check("Tempo: the trace holds the span `correlation`, linked to its parts"):
        span, spans = wait_for("the synthetic span", synthetic)
        by_id = {s["spanId"]: (service, s) for service, s in spans}
        service, root = by_id[span["parentSpanId"]]
        equal((service, root["name"]), ("beorn", "POST /circuits"))
        links = [link["spanId"] for link in span["links"]]
        assert {by_id[link][0] for link in links} >= set(CHAIN), links
        equal({link["traceId"] for link in span["links"]} | {span["traceId"]}, {root["traceId"]})
        assert good.circuit in map(str, span["attributes"].values()), span["attributes"]
        opened_ms = span["attributes"]["correlation.opened_ms"]
        equal(good.correlation["id"], f"{int(good.trace_id, 16):032x}-{opened_ms}")
    with check("Jaeger: the same span, with references"):
        [trace] = bramble.get("jaeger", f"/api/traces/{good.trace_id}").json["data"]
        [span] = [s for s in trace["spans"] if s["operationName"] == "correlation"]
        equal(trace["processes"][span["processID"]]["serviceName"], "bramble")
        assert len(span["references"]) >= 1 + len(CHAIN), span["references"]
    with check("TraceQL finds it, and its own span is no request of anyone"):
        query = f'{{ name = "correlation" && span.circuit_id = "{good.circuit}" }}'
        found = bramble.get("tempo", "/api/search", {"q": query}).json["traces"]
        equal([int(t["traceID"], 16) for t in found], [int(good.trace_id, 16)])
        equal(scalar(bramble, 'count(traces_spanmetrics_calls_total{span_name="correlation"})'), None)


def in_logs(bramble, good):
    with check("logs by {trace_id=…} through Loki's API"):
        found = loki(bramble, f'{{trace_id="{good.trace_id}"}}')
        lines = {line for _, line in found}
        assert set(POSTED) <= lines and f"order for circuit {good.circuit}" in lines, lines
        equal(len(found), good.correlation["counts"]["logs"])
    with check("logs by the circuit id"):
        found = loki(bramble, f'{{service="portal"}} | circuit_id="{good.circuit}"')
        equal({line for _, line in found}, set(POSTED))
        found = loki(bramble, f'{{circuit_id="{good.circuit}"}}')
        assert {line for _, line in found} >= set(POSTED), found
        found = loki(bramble, f'{{service_name=~".+"}} |= "{good.circuit}"')
        assert {line for _, line in found} >= {f"order for circuit {good.circuit}", f"built {good.circuit}"}, found
    with check("GET /api/logs has what was posted"):
        answer = bramble.get("correlation", "/api/logs", {"limit": 200})
        equal(answer.status, 200)
        for text in [*POSTED, good.trace_id, good.circuit]:
            assert text in answer.text, (text, answer.text[:500])
    with check("correlations are entries of the log store, shown to whoever asks for them and to nobody else"):
        assert any(good.trace_id in str(row) for row in loki(bramble, '{__bramble__="correlations"}'))
        for query in ('{service=~".*"}', '{service_name=~".*"}', f'{{service=~".*"}} |= "{good.trace_id}"'):
            for labels, _ in loki(bramble, query.replace('".*"', '".+"')):
                assert "__bramble__" not in labels, labels
        for path in ("/loki/api/v1/labels", "/loki/api/v1/series"):
            answer = bramble.get("loki", path, {"match[]": '{env=~".*",service=~".+"}', "since": "1h"})
            assert "__bramble__" not in answer.text, answer.text
        assert "__bramble__" not in bramble.get("correlation", "/api/logs", {"limit": 500}).text


def in_metrics(bramble, good, bad):
    began = {order.correlation["services"][0]["service"] for order in (good, bad)}
    with check("correlation_events_total on /metrics, by the service where it began"):
        said = bramble.get("correlation", "/metrics").text.splitlines()
        counts = sorted(line for line in said if line.startswith("correlation_events_total{"))
        [service] = began
        wanted = [f'correlation_events_total{{has_error="{failed}",service="{service}"}} 1' for failed in ("false", "true")]
        equal(counts, wanted)
    with check("correlation_events_total in PromQL, and what is told of windows"):
        counted = f'sum(correlation_events_total{{service="{service}"}})'
        wait_for("a sample", lambda: scalar(bramble, counted) == 2)
        equal(scalar(bramble, "sum(correlation_events_total)"), 2)
        equal(scalar(bramble, f'sum(correlation_events_total{{service="{service}",has_error="true"}})'), 1)
        count, quick = "_count", '_bucket{le="2"}'
        stored, within = (scalar(bramble, f"sum(bramble_correlation_window_latency_seconds{s})") for s in (count, quick))
        assert stored == within == 2, f"{within} of {stored} were visible within two seconds"
        exemplars = sum(o.correlation["counts"]["exemplars"] for o in (good, bad))
        joined = sum(sum(items(o.correlation)) for o in (good, bad))
        equal(scalar(bramble, "sum(bramble_correlation_items_sum)"), joined + exemplars)
    with check("/health"):
        answer = bramble.get("correlation", "/health")
        equal((answer.status, answer.json["status"]), (200, "healthy"))


def as_story(bramble, good, listener):
    with check("the story of the circuit, over all services"):
        story = bramble.get("correlation", "/api/stories", {"circuit_id": good.circuit}).json
        equal((story["ids"]["circuit_id"], story["traces"]), ([good.circuit], [good.trace_id]))
        assert set(story["services"]) >= {*CHAIN, "portal"} and "orthanc" in story["nodes"], story
        equal([c["id"] for c in story["correlations"]], [good.correlation["id"]])
        lines = [event["line"] for event in story["events"] if event["kind"] == "log"]
        assert lines.index(POSTED[0]) < lines.index(f"order for circuit {good.circuit}"), lines
        assert any(e["kind"] == "span" and e["name"] == "lay fibre" for e in story["events"]), story["events"]
    with check("the stream of new correlations had it"):
        heard = wait_for("an event", lambda: listener.of(good.trace_id))
        equal((heard[0]["id"], heard[0]["ids"]["circuit_id"]), (good.correlation["id"], [good.circuit]))


def late(bramble, good):
    with check("what comes late revises it: the same id, a higher revision"):
        before = the_correlation(bramble, trace_id=good.trace_id)
        post_logs(bramble, "portal", ["portal: late word"], at=good.at + 10**9, severity="ERROR", trace_id=good.trace_id)
        after = the_correlation(bramble, lambda c: c["counts"]["logs"] > before["counts"]["logs"], trace_id=good.trace_id)
        equal(after["id"], before["id"])
        assert after["revision"] > before["revision"] and after["has_error"], after
        equal((after["first_error"]["kind"], after["first_error"]["text"]), ("log", "portal: late word"))
        equal(correlations(bramble, circuit_id=good.circuit), [after])


def twice(bramble):
    with check("the same trace sent twice changes nothing"):
        trace_id, at = new_trace(), time.time_ns()
        spans = [(trace_id, f"{n + 1:016x}", f"{n:016x}" if n else "", f"step {n}", at + n, at + 10**8) for n in range(4)]

        def send():
            for n, span in enumerate(spans):
                post_spans(bramble, f"service-{n}", [span])
            post_logs(bramble, "portal", ["once"], at=at, trace_id=trace_id)

        send()
        send()
        first = the_correlation(bramble, trace_id=trace_id)
        equal(items(first), (1, 4))
        send()
        # Longer than a revision takes to come.
        time.sleep(12)
        equal(the_correlation(bramble, trace_id=trace_id), first)


def alone(bramble):
    with check("one signal of one service is counted, not stored"):
        one, other, at = new_trace(), new_trace(), time.time_ns()
        post_logs(bramble, "hermit", ["alone", "and alone"], at=at, trace_id=one)
        post_logs(bramble, "hermit", ["with somebody"], at=at + 10**6, trace_id=other)
        post_logs(bramble, "guest", ["with a hermit"], at=at + 10**6, trace_id=other)
        the_correlation(bramble, trace_id=other)
        time.sleep(1)
        equal(correlations(bramble, trace_id=one), [])


def main():
    with Bramble(SETTINGS) as bramble, services(bramble) as beorn:
        listener = Listener(bramble)
        good, bad = Order(bramble, beorn, 1), Order(bramble, beorn, ORDERS - 1)
        in_correlations(bramble, good, bad)
        in_traces(bramble, good)
        in_logs(bramble, good)
        in_metrics(bramble, good, bad)
        as_story(bramble, good, listener)
        late(bramble, good)
        twice(bramble)
        alone(bramble)
    with Bramble({**QUIET, "BRAMBLE_CORRELATION_ENABLED": "false"}) as bramble:
        with check("by setting there are none; logs are taken all the same"):
            post_logs(bramble, "portal", ["taken"], trace_id=new_trace())
            equal(len(loki(bramble, '{service="portal"}')), 1)
            equal(bramble.get("correlation", "/health").status, 200)
    return check.done()


if __name__ == "__main__":
    sys.exit(main())
