"""Three instrumented services, real processes (tests/services): beorn asks palantir and arda, palantir asks arda.

What must come of it: one trace per order over all three, with the business ids on every span, found by every API, with
its logs and its exception.
"""

import contextlib
import json
import os
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "harness"))
from bramble import QUIET, ROOT, TARGET, Bramble, Checks, free_ports, http, wait_for

PYTHON = TARGET / "services-venv/bin/python"
IDS = ("circuit_id", "product_id", "resource_id", "resource_type_id", "request_id")
ORDERS = 12
check = Checks()


def equal(got, wanted):
    assert got == wanted, f"got {str(got)[:400]}, wanted {str(wanted)[:400]}"


def scalar(bramble, query):
    """The single value of an instant query, or None."""
    result = bramble.get("prometheus", "/api/v1/query", {"query": query}).json["data"]["result"]
    return float(result[0]["value"][1]) if result else None


@contextlib.contextmanager
def services(bramble):
    """The three, sending to `bramble`; gives beorn's address. palantir sends by gRPC, the others by HTTP."""
    urls = {name: f"http://127.0.0.1:{port}" for name, port in zip(("beorn", "palantir", "arda"), free_ports(3))}
    asks = {"arda": (), "palantir": ("arda",), "beorn": ("palantir", "arda")}
    running = []
    try:
        for name, others in asks.items():
            protocol, door = ("grpc", "otlp_grpc") if name == "palantir" else ("http/protobuf", "otlp_http")
            environment = {
                **os.environ,
                "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
                "OTEL_EXPORTER_OTLP_ENDPOINT": bramble.url(door),
            }
            port = urls[name].rsplit(":", 1)[1]
            command = [str(PYTHON), f"{name}.py", port, *(urls[other] for other in others)]
            running.append(
                subprocess.Popen(
                    command,
                    cwd=ROOT / "tests/services",
                    env=environment,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                )
            )
        for name, url in urls.items():
            wait_for(name, lambda url=url: http(url + "/health", timeout=5).status == 200)
        yield urls["beorn"]
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.wait()


def order(beorn, number, headers=None):
    """Places an order; its ids. The last one is for something that cannot be built."""
    broken = number == ORDERS - 1
    ids = {
        "circuit_id": f"circ-{number:05}",
        "product_id": "broken" if broken else f"prod-{number % 3}",
        "resource_id": f"res-{number}",
        "resource_type_id": "tosca.resourceTypes.Fibre",
    }
    answer = http(beorn + "/circuits", json.dumps(ids).encode(), {"Content-Type": "application/json", **(headers or {})})
    equal(answer.status, 502 if broken else 200)
    return {**ids, "request_id": answer.json["request_id"]}


def found(bramble, query):
    """Trace ids that a TraceQL query finds."""
    answer = bramble.get("tempo", "/api/search", {"q": query, "limit": 100})
    assert answer.status == 200, answer.text
    return [trace["traceID"] for trace in answer.json["traces"]]


def spans_of(bramble, trace_id):
    """(service, span with its attributes as a dictionary) of a trace, by Tempo's API."""
    answer = bramble.get("tempo", f"/api/traces/{trace_id}", headers={"Accept": "application/json"})
    spans = []
    for batch in answer.json["batches"]:
        service = attributes(batch["resource"])["service.name"]
        for scope in batch["scopeSpans"]:
            spans += [(service, {**span, "attributes": attributes(span)}) for span in scope["spans"]]
    return spans


def attributes(of):
    return {a["key"]: next(iter(a["value"].values())) for a in of.get("attributes", [])}


def whole(bramble, ids):
    """The spans of an order's trace, when all have arrived: each service sends by itself, and its request ends last."""
    traces = found(bramble, f'{{ span.request_id = "{ids["request_id"]}" }}')
    if len(traces) != 1:
        return None
    spans = spans_of(bramble, traces[0])
    wanted = {("beorn", "POST /circuits"), ("palantir", "GET /products/<product_id>"), ("arda", "POST /build")}
    return spans if wanted <= {(service, span["name"]) for service, span in spans} else None


def look(bramble, orders):
    last = orders[-1]
    traces = {ids["request_id"]: wait_for("a whole trace", lambda ids=ids: whole(bramble, ids)) for ids in orders}
    with check("each order is one trace over the three services, with one root"):
        for spans in traces.values():
            equal({service for service, _ in spans}, {"beorn", "palantir", "arda"})
            known = {span["spanId"] for _, span in spans}
            roots = [span["name"] for _, span in spans if span.get("parentSpanId", "") not in known]
            equal(roots, ["POST /circuits"])
    with check("every span has the five ids of its order"):
        for ids in orders:
            for service, span in traces[ids["request_id"]]:
                equal({key: span["attributes"].get(key) for key in IDS}, ids)
    for key in IDS[:1] + IDS[2:3]:
        with check(f"TraceQL finds an order by {key}"):
            equal(len(found(bramble, f'{{ span.{key} = "{orders[3][key]}" }}')), 1)
    with check("TraceQL finds what lies between services"):
        beneath = '{ resource.service.name = "beorn" } >> { resource.service.name = "arda" && name = "lay fibre" }'
        equal(len(found(bramble, beneath)), ORDERS)
        equal(len(found(bramble, '{ resource.service.name = "arda" && event:name = "exception" }')), 1)
        equal(len(found(bramble, '{ event.exception.message = "no light at the far end" }')), 1)
    with check("Jaeger's API finds an order by a tag, whole"):
        params = {"service": "palantir", "tags": json.dumps({"circuit_id": last["circuit_id"]})}
        [trace] = bramble.get("jaeger", "/api/traces", params).json["data"]
        equal(len(trace["spans"]), len(traces[last["request_id"]]))
        equal({p["serviceName"] for p in trace["processes"].values()}, {"beorn", "palantir", "arda"})
    with check("the logs of a trace are found by its id"):
        [trace_id] = found(bramble, f'{{ span.request_id = "{last["request_id"]}" }}')
        params = {"query": f'{{service_name=~".+"}} | trace_id="{trace_id}"', "since": "1h"}

        def lines():
            streams = bramble.get("loki", "/loki/api/v1/query_range", params).json["data"]["result"]
            texts = {value[1] for stream in streams for value in stream["values"]}
            return texts if len(texts) >= 4 else None

        texts = wait_for("four log lines", lines)
        assert f"order for circuit {last['circuit_id']}" in texts, texts
        assert f"cannot build {last['circuit_id']}: no light at the far end" in texts, texts
    with check("calls per service fall out of the spans"):
        calls = 'sum(traces_spanmetrics_calls_total{service="arda",span_kind="SPAN_KIND_SERVER",span_name=~".*build"})'
        wait_for("calls", lambda: scalar(bramble, calls) == ORDERS)
        wait_for(
            "failed calls", lambda: scalar(bramble, calls.replace("}", ',status_code="STATUS_CODE_ERROR"}')) == 1
        )
    with check("who calls whom falls out of the spans"):
        for client, server, requests in (("beorn", "palantir", ORDERS), ("palantir", "arda", 2 * ORDERS)):
            edge = f'traces_service_graph_request_total{{client="{client}",server="{server}"}}'
            wait_for(edge, lambda edge=edge, requests=requests: scalar(bramble, f"sum({edge})") == requests)
    with check("Jaeger's dependencies are the same"):
        links = bramble.get("jaeger", "/api/dependencies", {"endTs": 4102444800000, "lookback": 4102444800000}).json
        counts = {(link["parent"], link["child"]): link["callCount"] for link in links["data"]}
        equal(counts.get(("palantir", "arda")), 2 * ORDERS)


if __name__ == "__main__":
    with Bramble(environment={**QUIET, "BRAMBLE_TRACES_DERIVED_INTERVAL": "1s"}) as bramble, services(bramble) as beorn:
        orders = [order(beorn, number) for number in range(ORDERS)]
        look(bramble, orders)
    sys.exit(check.done())
