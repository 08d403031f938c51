"""Series that fall out of spans: sent by the OpenTelemetry SDK, asked for in PromQL; each span once, over `kill -9` too."""

import pathlib
import random
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "harness"))
from bramble import QUIET, Bramble, Checks, wait_for
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, Status, StatusCode

ORDERS = 100
ROUNDS = 6
SETTINGS = {
    **QUIET,
    "BRAMBLE_TRACES_DERIVED_INTERVAL": "1s",
    # Longer than a busy machine takes from one service's export to the other's.
    "BRAMBLE_TRACES_EDGE_WAIT": "8s",
    "BRAMBLE_TRACES_DIMENSIONS": "shop.tier",
}
check = Checks()


def equal(got, wanted):
    assert got == wanted, f"got {str(got)[:400]}, wanted {str(wanted)[:400]}"


def ask(bramble, query):
    answer = bramble.get("prometheus", "/api/v1/query", {"query": query})
    assert answer.status == 200, f"{query}: {answer.status} {answer.text[:300]}"
    return answer.json["data"]["result"]


def values(bramble, query, *labels):
    """Label values -> value of an instant query."""
    return {tuple(r["metric"].get(l, "") for l in labels): float(r["value"][1]) for r in ask(bramble, query)}


def increases(bramble, selector, *labels):
    """Label values -> growth over all samples, resets counted, as raw samples say it."""
    grown = {}
    for series in ask(bramble, f"{selector}[1h]"):
        key = tuple(series["metric"].get(l, "") for l in labels)
        numbers = [float(v) for _, v in series["values"]]
        assert numbers[0] == 0, f"{series['metric']} begins with {numbers[0]}"
        growth = sum(b - a if b >= a else b for a, b in zip(numbers, numbers[1:]))
        grown[key] = grown.get(key, 0) + growth
    return grown


class Shop:
    """beorn answers users, asks palantir, which asks its database; beorn mails through something without spans."""

    def __init__(self, bramble):
        self.tracers, self.providers, self.trace_ids, self.sent = {}, [], [], 0
        for service in ("beorn", "palantir"):
            resource = Resource.create({"service.name": service, "shop.tier": "gold"})
            provider = TracerProvider(resource=resource)
            exporter = OTLPSpanExporter(endpoint=bramble.url("otlp_http", "/v1/traces"))
            provider.add_span_processor(BatchSpanProcessor(exporter))
            self.providers.append(provider)
            self.tracers[service] = provider.get_tracer("derived")

    def order(self):
        beorn, palantir = self.tracers["beorn"], self.tracers["palantir"]
        failed, self.sent = self.sent % 10 == 0, self.sent + 1
        now = time.time_ns()

        def span(tracer, name, kind, parent, ms, **attributes):
            context = trace.set_span_in_context(parent) if parent else None
            made = tracer.start_span(name, context, kind, attributes, start_time=now)
            if failed:
                made.set_status(Status(StatusCode.ERROR))
            made.end(now + ms * 1_000_000)
            return made

        root = span(beorn, "POST /orders", SpanKind.SERVER, None, 300)
        asks = span(beorn, "GET", SpanKind.CLIENT, root, 150, **{"server.address": "10.0.0.9"})
        answers = span(palantir, "GET /stock", SpanKind.SERVER, asks, 120)
        span(palantir, "SELECT", SpanKind.CLIENT, answers, 7, **{"db.system": "postgresql", "db.name": "stock"})
        span(beorn, "send", SpanKind.CLIENT, root, 20, **{"peer.service": "mail"})
        self.trace_ids.append(f"{root.get_span_context().trace_id:032x}")

    def send(self, orders):
        for _ in range(orders):
            self.order()
        for provider in self.providers:
            assert provider.force_flush(), "not everything was taken"


EDGES = [
    ("user", "beorn", "virtual_node"),
    ("beorn", "palantir", ""),
    ("palantir", "stock", "database"),
    ("beorn", "mail", "virtual_node"),
]
GRAPH = "traces_service_graph_request_total"
CALLS = "traces_spanmetrics_calls_total"
OPERATIONS = [("beorn", "POST /orders"), ("beorn", "GET"), ("beorn", "send"), ("palantir", "GET /stock"), ("palantir", "SELECT")]


def everything_counted(bramble, orders):
    calls = increases(bramble, CALLS, "service", "span_name")
    edges = increases(bramble, GRAPH, "client", "server", "connection_type")
    return calls == dict.fromkeys(OPERATIONS, orders) and edges == dict.fromkeys(EDGES, orders)


def after_sending(bramble, shop):
    with check("every span and every request is counted once"):
        wait_for("all counts", lambda: everything_counted(bramble, ORDERS))
    with check("labels are Tempo's, and dimensions by setting"):
        found = values(bramble, CALLS + '{span_name="GET /stock"}', "service", "span_kind", "status_code", "shop_tier")
        ok, failed = ("STATUS_CODE_UNSET", ORDERS * 0.9), ("STATUS_CODE_ERROR", ORDERS * 0.1)
        equal(found, {("palantir", "SPAN_KIND_SERVER", code, "gold"): count for code, count in (ok, failed)})
    with check("rates and errors"):
        errors = f'sum(rate({CALLS}{{service="beorn",status_code="STATUS_CODE_ERROR"}}[1m])) / sum(rate({CALLS}{{service="beorn"}}[1m]))'
        share = wait_for("a rate", lambda: values(bramble, errors))[()]
        assert abs(share - 0.1) < 0.02, share
    with check("quantiles of latencies"):
        by = 'sum by (le, span_name) (rate(traces_spanmetrics_latency_bucket{service="beorn"}[1m]))'
        found = values(bramble, f"histogram_quantile(0.9, {by})", "span_name")
        assert 0.256 < found[("POST /orders",)] <= 0.512 and 0.016 < found[("send",)] <= 0.032, found
        average = values(bramble, 'sum(traces_spanmetrics_latency_sum{span_name="send"}) / sum(traces_spanmetrics_latency_count{span_name="send"})')
        equal(average, {(): 0.02})
    with check("the service graph's failures and times"):
        failed = increases(bramble, "traces_service_graph_request_failed_total", "client", "server", "connection_type")
        equal(failed, dict.fromkeys(EDGES, ORDERS / 10))
        edge = '{client="beorn",server="palantir"}'
        for side, seconds in (("client", 0.15), ("server", 0.12)):
            name = f"traces_service_graph_request_{side}_seconds"
            (took,) = values(bramble, f"{name}_sum{edge} / {name}_count{edge}").values()
            assert abs(took - seconds) < 1e-9, (side, took)
    with check("exemplars lead to traces"):
        params = {"query": 'traces_spanmetrics_latency_bucket{span_name="POST /orders"}', "start": time.time() - 600, "end": time.time() + 60}
        answer = bramble.get("prometheus", "/api/v1/query_exemplars", params).json["data"]
        ids = {e["labels"]["trace_id"] for series in answer for e in series["exemplars"]}
        assert ids and ids <= set(shop.trace_ids), ids
        equal(bramble.get("tempo", f"/api/traces/{ids.pop()}").status, 200)
    with check("types and help"):
        kinds = bramble.get("prometheus", "/api/v1/metadata").json["data"]
        equal(kinds[CALLS][0]["type"], "counter")
        equal(kinds["traces_spanmetrics_latency"][0]["type"], "histogram")


def with_crashes(bramble, shop):
    """Killed at any moment after an answer: before, while and after derived series are written."""
    rng = random.Random(5)
    for at in range(ROUNDS):
        shop.send(25)
        time.sleep(rng.uniform(0, 1.6))
        bramble.kill()
        bramble.start()
    shop.send(1)
    with check(f"after {ROUNDS} times kill -9 every span and every request is counted once"):
        wanted = ORDERS + 25 * ROUNDS + 1
        try:
            wait_for("all counts", lambda: everything_counted(bramble, wanted))
        except AssertionError:
            calls = increases(bramble, CALLS, "service", "span_name")
            raise AssertionError(f"wanted {wanted}: {calls} {increases(bramble, GRAPH, 'client', 'server', 'connection_type')}") from None


def stopped_in_order(bramble, shop):
    sent = ORDERS + 25 * ROUNDS + 1
    shop.send(10)
    bramble.stop()
    bramble.start()
    with check("a stop in order loses nothing either"):
        wait_for("all counts", lambda: everything_counted(bramble, sent + 10))


def switched_off(bramble):
    with check("by setting there are none"):
        Shop(bramble).send(3)
        time.sleep(2.5)
        equal(ask(bramble, '{__name__=~"traces_.*|bramble_derived.*"}'), [])


def main():
    with Bramble(SETTINGS) as bramble:
        shop = Shop(bramble)
        shop.send(ORDERS)
        after_sending(bramble, shop)
        with_crashes(bramble, shop)
        stopped_in_order(bramble, shop)
    with Bramble({**SETTINGS, "BRAMBLE_TRACES_DERIVED_METRICS": "false"}) as bramble:
        switched_off(bramble)
    return check.done()


if __name__ == "__main__":
    sys.exit(main())
