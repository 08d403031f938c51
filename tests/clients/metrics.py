"""Metrics of every kind by every way in: what clients send is what PromQL, exemplars and metadata answer."""

import contextlib
import json
import pathlib
import re
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "harness"))
from bramble import Bramble, Checks, QUIET, http, wait_for
from native_exporter import Exporter
from peer_prometheus import PROMETHEUS, prometheus
from protobuf import double, doubles, integer, message, packed, signed, snappy

ROUNDS = 3
check = Checks()


def equal(got, wanted):
    assert got == wanted, f"got {str(got)[:400]}, wanted {str(wanted)[:400]}"


def near(got, wanted):
    assert got is not None and abs(got - wanted) <= abs(wanted) * 0.05, f"got {got}, wanted about {wanted}"


def ask(url, query, at=None):
    """Labels -> value of an instant query."""
    params = {"query": query, **({"time": at} if at else {})}
    answer = http(f"{url}/api/v1/query", params=params)
    assert answer.status == 200, f"{query}: {answer.status} {answer.text[:300]}"
    return {json.dumps(r["metric"], sort_keys=True): float(r["value"][1]) for r in answer.json["data"]["result"]}


def one(url, query, at=None):
    found = list(ask(url, query, at).values())
    return found[0] if len(found) == 1 else None


def exemplars(url, query, seconds=3600):
    """Trace ids of the exemplars of a query's series."""
    now = time.time()
    params = {"query": query, "start": now - seconds, "end": now + 60}
    answer = http(f"{url}/api/v1/query_exemplars", params=params)
    assert answer.status == 200, f"{query}: {answer.status} {answer.text[:300]}"
    return sorted(e["labels"]["trace_id"] for series in answer.json["data"] for e in series["exemplars"])


def with_sdk(b, temporality):
    service = f"sdk-{temporality}"
    url, job = b.url("prometheus"), f'{{job="{service}"}}'
    command = [sys.executable, str(HERE / "sdk_metrics.py"), temporality, b.url("otlp_http"), service, str(ROUNDS)]
    traces = []
    with check(f"{service}: all is taken"):
        result = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert result.returncode == 0, result.stderr[-800:]
        traces = result.stdout.split()
        assert "rejected" not in result.stderr.lower(), result.stderr[-800:]
    with check(f"{service}: counter, up-down counter, gauge, observable counter"):
        equal(one(url, f'things_total{{job="{service}",kind="a.b",instance="one"}}'), 5 * ROUNDS)
        equal(one(url, f"level{job}"), -ROUNDS)
        equal(one(url, f"temperature_celsius{job}"), 20 + ROUNDS - 1)
        assert one(url, f"seen_total{job}") >= 7 * ROUNDS
    with check(f"{service}: a histogram with explicit bounds"):
        equal(one(url, f"wait_seconds_count{job}"), 4 * ROUNDS)
        near(one(url, f"wait_seconds_sum{job}"), 55.55 * ROUNDS)
        for bound, count in (("0.1", ROUNDS), ("10", 3 * ROUNDS), ("+Inf", 4 * ROUNDS)):
            equal(one(url, f'wait_seconds_bucket{{job="{service}",le="{bound}"}}'), count)
    with check(f"{service}: an exponential histogram is native"):
        equal(one(url, f"histogram_count(answer_size_bytes{job})"), 11 * ROUNDS)
        equal(one(url, f"histogram_sum(answer_size_bytes{job})"), 1023 * ROUNDS)
        near(one(url, f"histogram_quantile(0.99, answer_size_bytes{job})"), 512)
    with check(f"{service}: target_info and metadata"):
        equal(one(url, f'target_info{{job="{service}",host_name="pi"}}'), 1)
        metadata = http(f"{url}/api/v1/metadata", params={"metric": "things_total"}).json["data"]["things_total"][0]
        equal((metadata["type"], metadata["help"]), ("counter", "Things counted."))
    with check(f"{service}: exemplars lead to the traces"):
        # The SDK keeps one at a time; which of the rounds is left of a cumulative counter's is its choice.
        found = exemplars(url, f"things_total{job}")
        assert found and set(found) <= set(traces), f"{found} of {traces}"
        assert exemplars(url, f"wait_seconds_bucket{job}"), "none of the histogram"


COMPARED = [
    'count({job="demo"})',
    'demo_requests_total{job="demo"}',
    'demo_level{job="demo"}',
    'histogram_count(demo_size_bytes{job="demo"})',
    'histogram_sum(demo_size_bytes{job="demo"})',
    'count_over_time(demo_size_bytes{job="demo"}[30s])',
    'histogram_count(increase(demo_size_bytes{job="demo"}[5s]))',
]
# Exponential buckets are interpolated exponentially since Prometheus 3.
COMPARED_3 = ['histogram_quantile(0.9, demo_size_bytes{job="demo"})']


def with_prometheus(name, message_name, features, queries):
    """A Bramble of its own: the same series must not have come by another way."""
    with Bramble(environment=QUIET) as b, Exporter() as exporter, contextlib.ExitStack() as stack:
        ours = b.url("prometheus")
        remote_write = {"url": f"{ours}/api/v1/write", "send_exemplars": True, "send_native_histograms": True}
        if message_name:
            remote_write["protobuf_message"] = message_name
        with check(f"{name}: scrapes and sends"):
            config = {
                "global": {"scrape_interval": "1s"},
                "remote_write": [remote_write],
                "scrape_configs": [{"job_name": "demo", "static_configs": [{"targets": [exporter.address]}]}],
            }
            theirs = stack.enter_context(prometheus(config, features))
            wait_for("the histogram", lambda: one(ours, "histogram_count(demo_size_bytes)"))
            time.sleep(6)
            at = int(time.time()) - 1
            wait_for("the newest", lambda: one(ours, "timestamp(demo_level)") > at)
        for query in queries:
            with check(f"{name}: {query}"):
                wanted = ask(theirs, query, at)
                assert wanted, "Prometheus knows nothing"
                equal(ask(ours, query, at), wanted)
        with check(f"{name}: exemplars"):
            wanted = exemplars(theirs, "demo_requests_total", 10**9)[:4]
            assert wanted, "Prometheus knows none"
            found = exemplars(ours, "demo_requests_total", 10**9)
            assert set(wanted) <= set(found), f"{wanted} of {found}"
        with check(f"{name}: nothing failed"):
            for kind in ("samples", "histograms", "exemplars"):
                failed = f"prometheus_remote_storage_{kind}_failed_total"
                metrics = http(f"{theirs}/metrics").text
                equal(re.findall(rf"^{failed}{{.*}} (\S+)$", metrics, re.M), ["0"])
        with check(f"{name}: staleness, when the target is gone"):
            exporter.__exit__()
            wait_for("the end", lambda: one(theirs, "demo_level") is None)
            wait_for("the end here", lambda: one(ours, "demo_level") is None)
            equal(one(ours, "histogram_count(demo_size_bytes)"), None)


V2 = {
    "Content-Type": "application/x-protobuf;proto=io.prometheus.write.v2.Request",
    "Content-Encoding": "snappy",
    "X-Prometheus-Remote-Write-Version": "2.0.0",
}


def written(answer):
    kinds = ("Samples", "Histograms", "Exemplars")
    return [int(answer.headers[f"X-Prometheus-Remote-Write-{kind}-Written"]) for kind in kinds]


def by_hand(b):
    """Remote write 2.0 as its specification has it, whatever Prometheus is installed."""
    now = int(time.time() * 1000)
    url = b.url("prometheus")
    symbols = ["", "__name__", "hand_total", "hand_size", "trace_id", "ab" * 16, "Made by hand.", "x"]
    table = b"".join(message(4, symbol) for symbol in symbols)
    counted = message(2, double(1, 41), integer(2, now - 1000), integer(3, now - 60_000)) + message(
        2, double(1, 42), integer(2, now), integer(3, now - 60_000)
    )
    exemplar = message(4, packed(1, [4, 5]), double(2, 1), integer(3, now))
    metadata = message(5, integer(1, 1), integer(3, 6))
    bounds = double(2, 3.5) + double(3, 9) + signed(4, -53) + message(11, integer(2, 2)) + doubles(13, [1, 2.5])
    bounds = message(3, bounds, integer(15, now), doubles(16, [4]))
    good = message(5, packed(1, [1, 2]), counted, exemplar, metadata) + message(5, packed(1, [1, 3]), bounds)
    with check("remote write 2.0 by hand: taken, and the headers say so"):
        answer = b.post("prometheus", "/api/v1/write", snappy(table + good), V2)
        equal((answer.status, answer.body, written(answer)), (204, b"", [2, 1, 1]))
        equal(one(url, "hand_total"), 42)
        equal(one(url, "histogram_count(hand_size)"), 3.5)
        found = http(f"{url}/api/v1/metadata", params={"metric": "hand_total"}).json["data"]
        equal(found["hand_total"][0]["help"], "Made by hand.")
        equal(exemplars(url, "hand_total"), ["ab" * 16])
    with check("remote write 2.0 by hand: the bad are refused, the good are stored and counted"):
        later = message(5, packed(1, [1, 2]), message(2, double(1, 43), integer(2, now + 1)))
        bad = message(5, packed(1, [1, 99]), message(2, integer(2, now)))
        odd = message(5, packed(1, [1]), message(2, integer(2, now)))
        answer = b.post("prometheus", "/api/v1/write", snappy(table + later + bad + odd), V2)
        equal((answer.status, written(answer)), (400, [1, 0, 0]))
        assert "2 samples rejected" in answer.text and "symbols" in answer.text, answer.text
        equal(one(url, "hand_total"), 43)
    with check("remote write 2.0 by hand: twice the same is the same"):
        equal(written(b.post("prometheus", "/api/v1/write", snappy(table + good), V2))[:2], [2, 1])
    with check("remote write: another message is 415"):
        other = {**V2, "Content-Type": "application/x-protobuf;proto=io.prometheus.write.v9.Request"}
        equal(b.post("prometheus", "/api/v1/write", snappy(table), other).status, 415)


def main():
    with Bramble(environment=QUIET) as b:
        with_sdk(b, "cumulative")
        with_sdk(b, "delta")
        by_hand(b)
    if not PROMETHEUS.exists():
        print("SKIPPED Prometheus: no binary")
        return check.done()
    version = subprocess.run([str(PROMETHEUS), "--version"], capture_output=True, text=True, check=True)
    version = tuple(int(n) for n in re.search(r"version (\d+)\.(\d+)", version.stdout + version.stderr).groups())
    features = ["native-histograms", "exemplar-storage"]
    queries = COMPARED + (COMPARED_3 if version >= (3, 0) else [])
    with_prometheus("Prometheus by remote write 1.0", None, features, queries)
    if version >= (2, 54):
        features.append("metadata-wal-records")
        with_prometheus("Prometheus by remote write 2.0", "io.prometheus.write.v2.Request", features, queries)
    else:
        print(f"SKIPPED Prometheus by remote write 2.0: {version} does not send it")
    return check.done()


sys.exit(main())
