"""Clients that people have, sending; the APIs, answering; `kill -9` in between. Counts are exact."""

import contextlib
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "harness"))
from bramble import TARGET, Bramble, Checks, QUIET, free_ports, http, wait_for

HERE = pathlib.Path(__file__).resolve().parent
COUNT = 150
PROMETHEUS = TARGET / "tools/prometheus/usr/bin/prometheus"
check = Checks()


def equal(got, wanted):
    assert got == wanted, f"got {str(got)[:400]}, wanted {str(wanted)[:400]}"


def scalar(bramble, query, at=None):
    """The single value of an instant query, or None."""
    params = {"query": query, **({"time": at} if at else {})}
    answer = bramble.get("prometheus", "/api/v1/query", params).json
    result = answer["data"]["result"]
    return float(result[0]["value"][1]) if result else None


def lines(bramble, selector, since_ns=0):
    """Every line that a selector finds, oldest first."""
    params = {"query": selector, "start": since_ns or time.time_ns() - 3600 * 10**9, "limit": 5000}
    params |= {"end": time.time_ns() + 10**9, "direction": "forward"}
    answer = bramble.get("loki", "/loki/api/v1/query_range", params)
    assert answer.status == 200, f"{answer.status} {answer.text[:300]}"
    return [value[1] for stream in answer.json["data"]["result"] for value in stream["values"]]


def spans(bramble, service):
    """Trace id -> number of spans, as Jaeger's API gives them."""
    answer = bramble.get("jaeger", "/api/traces", {"service": service, "limit": 5000})
    assert answer.status == 200, f"{answer.status} {answer.text[:300]}"
    return {trace["traceID"]: len(trace["spans"]) for trace in answer.json["data"]}


class Everything:
    """What was sent and acknowledged, and how to ask for it again."""

    def __init__(self):
        self.trace_ids = {}
        self.prometheus_at = None
        self.prometheus_counts = None

    def ask(self, bramble, when):
        for service, ids in self.trace_ids.items():
            with check(f"{when}: {service}: every span, by Jaeger's search"):
                equal(spans(bramble, service), dict.fromkeys(ids, 2))
            with check(f"{when}: {service}: a trace by id, by Tempo's API"):
                answer = bramble.get("tempo", f"/api/traces/{ids[0]}", headers={"Accept": "application/json"})
                equal(answer.status, 200)
                found = [s for b in answer.json["batches"] for scope in b["scopeSpans"] for s in scope["spans"]]
                equal(len(found), 2)
            with check(f"{when}: {service}: counter and histogram"):
                equal(scalar(bramble, f'sum(orders_total{{job="{service}"}})'), COUNT)
                equal(scalar(bramble, f'sum(latency_seconds_count{{job="{service}"}})'), COUNT)
            with check(f"{when}: {service}: every log record, by LogQL"):
                found = lines(bramble, f'{{service_name="{service}"}}')
                equal(sorted(found), sorted(f"order {i} of {service} taken" for i in range(COUNT)))
            with check(f"{when}: {service}: a line filter"):
                equal(lines(bramble, f'{{service_name="{service}"}} |= "order 17 "'), [f"order 17 of {service} taken"])
        with check(f"{when}: what curl pushed"):
            equal(lines(bramble, '{job="tutorial"}'), ["fizzbuzz"])
        if self.prometheus_counts:
            with check(f"{when}: Prometheus' own metrics, sample by sample counted"):
                equal(prometheus_counts(bramble.url("prometheus"), self.prometheus_at), self.prometheus_counts)


# Counter, gauge, summary and histogram among what Prometheus says of itself.
OF_PROMETHEUS = [
    "up",
    "prometheus_build_info",
    "prometheus_http_requests_total",
    "prometheus_tsdb_head_series",
    "prometheus_http_request_duration_seconds_bucket",
    "go_gc_duration_seconds",
    "process_resident_memory_bytes",
]


def prometheus_counts(url, at):
    """What is known in the minute before `at`: series in all, then per name every series with its samples counted."""

    def ask(query):
        answer = http(f"{url}/api/v1/query", params={"query": query, "time": at})
        assert answer.status == 200, f"{query}: {answer.status} {answer.text[:300]}"
        return sorted((sorted(r["metric"].items()), r["value"][1]) for r in answer.json["data"]["result"])

    everything = [ask('count({job="prometheus"})')]
    for name in OF_PROMETHEUS:
        everything.append(ask(f'count_over_time({name}{{job="prometheus"}}[60s])'))
        everything.append(ask(f'sum({name}{{job="prometheus"}})'))
    return everything


def with_sdk(bramble, everything):
    for protocol, door in (("grpc", "otlp_grpc"), ("http", "otlp_http")):
        service = f"sdk-{protocol}"
        with check(f"the OpenTelemetry SDK sends by {protocol}"):
            command = [sys.executable, str(HERE / "sdk.py"), protocol, bramble.url(door), service, str(COUNT)]
            result = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
            assert result.returncode == 0, result.stderr[-800:]
            everything.trace_ids[service] = result.stdout.split()
            equal(len(everything.trace_ids[service]), COUNT)


def with_curl(bramble):
    with check("curl pushes to Loki as in its tutorial"):
        body = json.dumps({"streams": [{"stream": {"job": "tutorial"}, "values": [[str(time.time_ns()), "fizzbuzz"]]}]})
        command = ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "-H", "Content-Type: application/json"]
        command += ["-XPOST", bramble.url("loki", "/loki/api/v1/push"), "--data-raw", body]
        equal(subprocess.run(command, capture_output=True, text=True, check=True).stdout, "204")


def with_prometheus(bramble, everything):
    if not PROMETHEUS.exists():
        print("SKIPPED Prometheus: no binary")
        return
    directory = pathlib.Path(tempfile.mkdtemp(prefix="bramble-prometheus-"))
    port = free_ports(1)[0]
    config = directory / "prometheus.yml"
    config.write_text(
        "global: {scrape_interval: 1s}\n"
        f"remote_write: [{{url: '{bramble.url('prometheus', '/api/v1/write')}'}}]\n"
        f"scrape_configs: [{{job_name: prometheus, static_configs: [{{targets: ['127.0.0.1:{port}']}}]}}]\n"
    )
    command = [str(PROMETHEUS), f"--config.file={config}", f"--storage.tsdb.path={directory}/data"]
    command += [f"--web.listen-address=127.0.0.1:{port}"]
    with open(directory / "log", "wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        with check("Prometheus remote-writes its own metrics"):
            wait_for("prometheus_build_info", lambda: scalar(bramble, "count(prometheus_build_info)") == 1)
            time.sleep(8)
            at = int(time.time()) - 1
            own = f"http://127.0.0.1:{port}"
            wanted = prometheus_counts(own, at)
            assert all(wanted), wanted
            wait_for("all of it", lambda: prometheus_counts(bramble.url("prometheus"), at) == wanted, 20)
            everything.prometheus_at, everything.prometheus_counts = at, wanted
    finally:
        process.terminate()
        process.wait()
        shutil.rmtree(directory, ignore_errors=True)


class Sender(threading.Thread):
    """Pushes numbered items, one request at a time, until the server is gone; keeps what was acknowledged."""

    def __init__(self, bramble, kind):
        super().__init__(daemon=True)
        self.bramble, self.kind, self.acknowledged = bramble, kind, []

    def run(self):
        n = 0
        with contextlib.suppress(OSError):
            while True:
                n += 1
                if self.send(n):
                    self.acknowledged.append(n)

    def send(self, n):
        now, headers = time.time_ns(), {"Content-Type": "application/json"}
        resource = {"attributes": [{"key": "service.name", "value": {"stringValue": "cut"}}]}
        if self.kind == "logs":
            body = {"streams": [{"stream": {"job": "cut"}, "values": [[str(now), f"line {n}"]]}]}
            return self.post("loki", "/loki/api/v1/push", body, headers)
        if self.kind == "spans":
            span = {"traceId": f"{n:032x}", "spanId": f"{n:016x}", "name": "cut", "startTimeUnixNano": str(now)}
            span["endTimeUnixNano"] = str(now + 1000)
            body = {"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": [span]}]}]}
            return self.post("otlp_http", "/v1/traces", body, headers)
        point = {"asInt": str(n), "timeUnixNano": str(now)}
        point["attributes"] = [{"key": "n", "value": {"stringValue": str(n)}}]
        metric = {"name": "cut_number", "gauge": {"dataPoints": [point]}}
        body = {"resourceMetrics": [{"resource": resource, "scopeMetrics": [{"metrics": [metric]}]}]}
        return self.post("otlp_http", "/v1/metrics", body, headers)

    def post(self, door, path, body, headers):
        return self.bramble.post(door, path, json.dumps(body).encode(), headers, timeout=20).status in (200, 204)


def killed_while_sending(bramble):
    """`kill -9` under load, three times: nothing acknowledged is missing, nothing is there twice."""
    for life in range(3):
        began = time.time_ns()
        senders = [Sender(bramble, kind) for kind in ("logs", "metrics", "spans")]
        for sender in senders:
            sender.start()
        time.sleep(3)
        bramble.kill()
        for sender in senders:
            sender.join(30)
        bramble.start()
        logs, metrics, traces = (set(sender.acknowledged) for sender in senders)
        when = f"kill -9 number {life + 1}"
        with check(f"{when}: {len(metrics)} acknowledged samples"):
            assert len(metrics) > 3, "hardly anything was acknowledged"
            result = bramble.get("prometheus", "/api/v1/query", {"query": "cut_number"}).json["data"]["result"]
            missing = metrics - {int(r["metric"]["n"]) for r in result}
            assert not missing, f"samples missing: {sorted(missing)[:5]}"
        with check(f"{when}: {len(traces)} acknowledged spans"):
            assert len(traces) > 3, "hardly anything was acknowledged"
            missing = traces - {int(t, 16) for t in spans(bramble, "cut")}
            assert not missing, f"spans missing: {sorted(missing)[:5]}"
        with check(f"{when}: {len(logs)} acknowledged lines"):
            assert len(logs) > 3, "hardly anything was acknowledged"
            found = [int(line.split()[1]) for line in lines(bramble, '{job="cut"}', began)]
            assert not logs - set(found), f"lines missing: {sorted(logs - set(found))[:5]}"
            assert len(found) == len(set(found)), "a line is there twice"


def main():
    everything = Everything()
    with Bramble(environment=QUIET) as bramble:
        with_sdk(bramble, everything)
        with_curl(bramble)
        with_prometheus(bramble, everything)
        everything.ask(bramble, "at once")
        bramble.kill()
        bramble.start()
        with check(f"ready after kill -9 ({bramble.ready_s:.2f} s)"):
            pass
        everything.ask(bramble, "after kill -9")
        with check("flush and merge on demand"):
            equal(bramble.post("prometheus", "/internal/force_flush", b"").status // 100, 2)
            equal(bramble.post("prometheus", "/internal/force_merge", b"").status // 100, 2)
        everything.ask(bramble, "from blocks")
        with check("SIGTERM ends it with 0"):
            equal(bramble.stop(), 0)
        bramble.start()
        everything.ask(bramble, "after SIGTERM")
        killed_while_sending(bramble)
    return check.done()


sys.exit(main())
