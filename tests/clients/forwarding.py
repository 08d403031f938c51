"""Sending on: from one Bramble to another's doors and to Debian's Prometheus, by every protocol, with the receivers away for a while."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parents[1] / "harness")]

from bramble import QUIET, TARGET, Bramble, Checks, free_ports, http, wait_for  # noqa: E402

PROMETHEUS = pathlib.Path(os.environ.get("HOUSE_TOOLS", TARGET / "tools")) / "prometheus/usr/bin/prometheus"
LINES, SERIES, TRACES = 200, 40, 20


class Prometheus:
    """Debian's, which is built without its OTLP receiver, taking remote write; `away()` and `back()` with its data."""

    def __init__(self, root):
        self.root, self.port, self.process = root, free_ports(1)[0], None
        (root / "prometheus.yml").write_text("global:\n  scrape_interval: 1h\n")
        self.back()

    def url(self, path):
        return f"http://127.0.0.1:{self.port}{path}"

    def away(self):
        self.process.terminate()
        self.process.wait()

    def back(self):
        self.process = subprocess.Popen(
            [
                str(PROMETHEUS),
                f"--config.file={self.root / 'prometheus.yml'}",
                f"--storage.tsdb.path={self.root / 'prometheus'}",
                f"--web.listen-address=127.0.0.1:{self.port}",
                "--web.enable-remote-write-receiver",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_for("Prometheus", lambda: http(self.url("/-/ready")).status == 200)


def tables(receiver, prometheus):
    """One destination per protocol and receiver; each adds a label that tells them apart."""
    write = "/api/v1/write"
    kinds = [
        ("rw1", "remote_write", receiver.url("prometheus", write), 'version = "1.0"'),
        ("rw2", "remote_write", receiver.url("prometheus", write), 'version = "2.0"'),
        ("grpc", "otlp", receiver.url("otlp_grpc"), ""),
        ("gzip", "otlp", receiver.url("otlp_grpc"), 'compression = "gzip"\nsignals = ["metrics", "logs"]'),
        ("http", "otlp", receiver.url("otlp_http"), 'protocol = "http"\nsignals = ["metrics", "logs"]'),
        ("loki", "loki", receiver.url("loki"), ""),
        ("debian1", "remote_write", prometheus.url(write), 'version = "1.0"'),
        ("debian2", "remote_write", prometheus.url(write), 'version = "2.0"'),
    ]
    return "\n".join(
        f'[[forward]]\nname = "{name}"\nkind = "{kind}"\nendpoint = "{url}"\nretry_max = "1s"\n{more}\n'
        f'external_labels = {{ via = "{name}" }}\n'
        for name, kind, url, more in kinds
    )


def push(sender, part):
    """A part of the data: series as text, lines by Loki's push, traces by OTLP. Times are those of now, so that receivers take them."""
    now_ns = time.time_ns()
    text = "".join(f'garden_temperature{{bed="{part}-{i}"}} {i}.5\n' for i in range(SERIES))
    sender.post("victoria_metrics", "/api/v1/import/prometheus", text.encode())
    values = [[str(now_ns + i * 1000), f"part {part} line {i}", {"number": str(i)}] for i in range(LINES)]
    body = {"streams": [{"stream": {"service_name": "garden", "part": str(part)}, "values": values}]}
    sender.post("loki", "/loki/api/v1/push", json.dumps(body).encode(), {"Content-Type": "application/json"})
    spans = [
        {
            "traceId": f"{part * 1000 + i + 1:032x}",
            "spanId": f"{part * 1000 + i + 1:016x}",
            "name": "water",
            "startTimeUnixNano": str(now_ns - 1_000_000),
            "endTimeUnixNano": str(now_ns),
        }
        for i in range(TRACES)
    ]
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": "garden"}}]}
    body = {"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": spans}]}]}
    sender.post("otlp_http", "/v1/traces", json.dumps(body).encode(), {"Content-Type": "application/json"})


def values_at(url, via):
    """Values by bed of what came that way."""
    answer = http(url, params={"query": f'last_over_time(garden_temperature{{via="{via}"}}[30m])'}).json
    return {series["metric"]["bed"]: float(series["value"][1]) for series in answer["data"]["result"]}


def lines_at(receiver, via):
    params = {"query": f'{{service_name="garden"}} | via="{via}"', "limit": "5000", "since": "1h"}
    streams = receiver.get("loki", "/loki/api/v1/query_range", params).json["data"]["result"]
    return sorted(line for stream in streams for _, line in stream["values"])


def traces_at(receiver, via):
    params = {"q": f'{{resource.via="{via}"}}', "limit": "1000"}
    return {trace["traceID"].zfill(32) for trace in receiver.get("tempo", "/api/search", params).json["traces"]}


def has_all(checks, receiver, prometheus, parts):
    beds = {f"{part}-{i}": i + 0.5 for part in range(parts) for i in range(SERIES)}
    lines = sorted(f"part {part} line {i}" for part in range(parts) for i in range(LINES))
    traces = {f"{part * 1000 + i + 1:032x}" for part in range(parts) for i in range(TRACES)}
    for via in ["rw1", "rw2", "grpc", "gzip", "http"]:
        with checks(f"{via}: {parts} parts of metrics"):
            wait_for(via, lambda: values_at(receiver.url("prometheus", "/api/v1/query"), via) == beds)
    for via in ["debian1", "debian2"]:
        with checks(f"{via}: {parts} parts of metrics"):
            wait_for(via, lambda: values_at(prometheus.url("/api/v1/query"), via) == beds)
    for via in ["grpc", "gzip", "http", "loki"]:
        with checks(f"{via}: {parts} parts of logs, each line once"):
            wait_for(via, lambda: lines_at(receiver, via) == lines)
    # A span is stored once, the first that comes: traces go one way alone.
    with checks(f"grpc: {parts} parts of traces"):
        wait_for("traces", lambda: traces_at(receiver, "grpc") == traces)


def main():
    checks = Checks()
    with tempfile.TemporaryDirectory(prefix="bramble-forward-") as root, Bramble(environment=QUIET) as receiver:
        root = pathlib.Path(root)
        prometheus = Prometheus(root)
        (root / "bramble.toml").write_text(tables(receiver, prometheus))
        with Bramble(environment=QUIET, arguments=["--config", str(root / "bramble.toml")]) as sender:
            push(sender, 0)
            has_all(checks, receiver, prometheus, 1)
            # Both away: what is new waits on disk, over a start of the sender too.
            receiver.stop()
            prometheus.away()
            push(sender, 1)
            time.sleep(7)
            with checks("what waits is on disk, after a start too"):
                sender.stop()
                sender.start()
                assert any((sender.data_dir / "spool").iterdir())
            push(sender, 2)
            receiver.start()
            prometheus.back()
            has_all(checks, receiver, prometheus, 3)
            with checks("nothing waits any more"):
                metric = "bramble_forward_queue_items"
                wait_for(
                    "empty queues",
                    lambda: all(
                        line.endswith(" 0")
                        for line in sender.get("main", "/metrics").text.splitlines()
                        if line.startswith(metric)
                    ),
                )
        prometheus.away()
    return checks.done()


if __name__ == "__main__":
    sys.exit(main())
