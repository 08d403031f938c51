"""Grafana's files in docs/grafana: every query of them is asked of a running Bramble, every expression is tried on lines,
every reference leads somewhere. (Grafana itself is not here.)
"""

import json
import pathlib
import re
import sys
import time

import yaml

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "harness"))
from bramble import QUIET, ROOT, Bramble, Checks, wait_for
from correlating import JSON, correlations, equal, loki, new_trace, post_logs, post_spans, the_correlation

FILES = ROOT / "docs/grafana"
SETTINGS = {**QUIET, "BRAMBLE_OWN_ENABLED": "true", "BRAMBLE_OWN_INTERVAL": "1s", "CORR_WINDOW_SECONDS": "2"}
# The kind of a data source: its port, our name of the door, and what Grafana's "Save & test" asks.
KINDS = {
    "prometheus": (9090, "prometheus", "/api/v1/query?query=1%2B1"),
    "loki": (3100, "loki", "/loki/api/v1/query?query=vector(1)%2Bvector(1)"),
    "tempo": (3200, "tempo", "/api/echo"),
    "jaeger": (16686, "jaeger", "/api/services"),
}
ID = "4bf92f3577b34da6a3ce929d0e0e4736"
LINES = [
    f'{{"level":"info","trace_id":"{ID}"}}',
    f'{{"traceId": "{ID}", "msg": "x"}}',
    f"level=info traceID={ID} msg=x",
    f"request done trace-id: {ID}",
    f"otelTraceID={ID} otelSpanID=00f067aa0ba902b7",
    f"X-B3-TraceId: {ID}",
    f"'trace.id': '{ID}'",
    f"traceparent: 00-{ID}-00f067aa0ba902b7-01",
    f'"traceparent":"00-{ID}-00f067aa0ba902b7-01"',
    f"b3: {ID}-00f067aa0ba902b7-1",
]
OTHER_LINES = [f"commit {ID}", "trace_id=none", "trace ids are long", f"traced {ID}"]
check = Checks()


def provisioned():
    return yaml.safe_load((FILES / "provisioning/datasources/bramble.yaml").read_text())["datasources"]


def texts(value):
    """Every text below a value."""
    if isinstance(value, dict):
        return [t for v in value.values() for t in texts(v)]
    if isinstance(value, list):
        return [t for v in value for t in texts(v)]
    return [value] if isinstance(value, str) else []


def uids(value):
    """Every data source that a value names."""
    if isinstance(value, dict):
        own = [v for k, v in value.items() if k in ("datasourceUid", "uid") and isinstance(v, str)]
        return own + [u for v in value.values() for u in uids(v)]
    return [u for v in value for u in uids(v)] if isinstance(value, list) else []


def unescaped(text):
    """As Grafana reads a text of a provisioning file: two dollars are one."""
    return text.replace("$$", "$")


def filled(expression, **more):
    """A query with Grafana's own variables filled in."""
    known = {"__rate_interval": "1m", "__range": "1h", "__interval": "15s", **more}
    return re.sub(r"\$(?:\{(\w+)\}|(\w+))", lambda m: known[m.group(1) or m.group(2)], expression)


def well_formed(sources, dashboard):
    with check("every data source is one of ours, and every reference leads to one"):
        known = {source["uid"] for source in sources}
        equal(len(known), len(sources))
        for source in sources:
            port, _, _ = KINDS[source["type"]]
            equal(source["url"], f"http://${{TELEMETRY_HOST}}:{port}")
            assert set(uids(source["jsonData"])) <= known, source["name"]
        assert set(uids(dashboard["panels"])) <= known, uids(dashboard["panels"])
        equal(sum(source.get("isDefault", False) for source in sources), 1)
    with check("dollars that are Grafana's own are escaped, others name one of two variables"):
        for text in texts(sources):
            rest = re.sub(r"\$\{TELEMETRY_(HOST|PAGE)\}", "", text)
            assert "$" not in rest.replace("$$", ""), text
    with check("the dashboard: one number per panel, variables that exist, nothing on top of each other"):
        numbers = [panel["id"] for panel in dashboard["panels"]]
        equal(len(set(numbers)), len(numbers))
        cells = [
            (x, y)
            for p in dashboard["panels"]
            for x in range(p["gridPos"]["x"], p["gridPos"]["x"] + p["gridPos"]["w"])
            for y in range(p["gridPos"]["y"], p["gridPos"]["y"] + p["gridPos"]["h"])
        ]
        equal(len(set(cells)), len(cells))
        assert max(x for x, _ in cells) < 24


def derived(sources):
    [logs] = [source for source in sources if source["type"] == "loki"]
    fields = logs["jsonData"]["derivedFields"]
    expressions = [re.compile(f["matcherRegex"]) for f in fields if f["matcherType"] == "regex"]
    with check("trace ids are found in lines of every spelling, and nothing else is"):
        for line in LINES:
            equal((line, {m.group(1) for e in expressions for m in e.finditer(line)}), (line, {ID}))
        for line in OTHER_LINES:
            equal((line, [m.group(1) for e in expressions for m in e.finditer(line)]), (line, []))
    with check("names of links are distinct"):
        equal(len({f["name"] for f in fields}), len(fields))
    return [f["matcherRegex"] for f in fields if f["matcherType"] == "label"]


def feed(bramble, labels):
    """A failed request of two services with logs, with exemplars of nothing; lines with an id in each label."""
    trace_id, at = new_trace(), time.time_ns()
    post_logs(bramble, "shop", ["sold"], at=at, severity="ERROR", trace_id=trace_id, circuit_id="circ-7", request_id="r-7")
    post_spans(bramble, "shop", [(trace_id, f"{1:016x}", "", "POST /sell", at, at + 10**8)])
    post_spans(bramble, "stock", [(trace_id, f"{2:016x}", f"{1:016x}", "GET /parts", at + 10**6, at + 10**7)])
    values = [[str(at + n), f"by {label}", {label: trace_id}] for n, label in enumerate(labels)]
    body = {"streams": [{"stream": {"service": "labels"}, "values": values}]}
    equal(bramble.post("loki", "/loki/api/v1/push", json.dumps(body).encode(), JSON).status, 204)
    the_correlation(bramble, circuit_id="circ-7")
    return trace_id


def asked(bramble, sources, dashboard, labels):
    trace_id = feed(bramble, labels)
    with check("save & test"):
        for source in sources:
            _, door, path = KINDS[source["type"]]
            equal((path, bramble.get(door, path).status), (path, 200))
    with check("structured metadata comes back under the labels that are looked for"):
        for label in dict.fromkeys(labels):
            found = loki(bramble, f'{{service="labels"}} |= "by {label}"')
            assert any(of.get(label) == trace_id for of, _ in found), (label, found)
    with check("from a span to the lines of its trace"):
        for source in sources:
            if wanted := source["jsonData"].get("tracesToLogsV2"):
                query = unescaped(wanted["query"]).replace("${__trace.traceId}", trace_id)
                assert "sold" in [line for _, line in loki(bramble, query)], query
    with check("from a span to series"):
        for source in sources:
            for wanted in source["jsonData"].get("tracesToMetrics", {}).get("queries", []):
                query = filled(unescaped(wanted["query"]), __tags='service="shop"')
                answer = bramble.get("prometheus", "/api/v1/query", {"query": query})
                equal((query, answer.status), (query, 200))
    with check("the dashboard's metrics exist, and its queries have answers"):
        variables = {"service": ".*", "failed": ".*", "circuit_id": "", "trace_id": ""}
        names = set(re.findall(r"^# TYPE (\w+)", bramble.get("correlation", "/metrics").text, re.MULTILINE))
        for panel in dashboard["panels"]:
            for target in panel["targets"]:
                query = filled(target["expr"], **variables)
                if target["datasource"]["type"] == "loki":
                    assert loki(bramble, query), query
                    continue
                for name in re.findall(r"\b(?:bramble_)?correlation_\w+", query):
                    assert re.sub("_(bucket|sum|count)$", "", name) in names or name in names, name
                equal((query, bramble.get("prometheus", "/api/v1/query", {"query": query}).status), (query, 200))
    with check("rows are narrowed down by what is written into the dashboard's boxes"):
        [panel] = [p for p in dashboard["panels"] if p["type"] == "logs"]
        count = lambda **v: len(  # noqa: E731
            loki(bramble, filled(panel["targets"][0]["expr"], **{"failed": ".*", "circuit_id": "", "trace_id": "", **v}))
        )
        equal((count(circuit_id="circ-7"), count(circuit_id="circ-8")), (count(), 0))
        equal((count(trace_id=trace_id), count(trace_id="0" * 32), count(failed="false")), (count(), 0, 0))
    with check("a variable's values"):
        wait_for("a sample", lambda: bramble.get("prometheus", "/api/v1/label/service/values", {"match[]": "correlation_events_total"}).json["data"])
    with check("its links to our page ask for what is there"):
        equal(len(correlations(bramble, trace_id=trace_id)), 1)


def main():
    sources = provisioned()
    dashboard = json.loads((FILES / "dashboards/correlations.json").read_text())
    yaml.safe_load((FILES / "provisioning/dashboards/bramble.yaml").read_text())
    well_formed(sources, dashboard)
    labels = derived(sources)
    with Bramble(SETTINGS) as bramble:
        asked(bramble, sources, dashboard, labels)
    return check.done()


if __name__ == "__main__":
    sys.exit(main())
