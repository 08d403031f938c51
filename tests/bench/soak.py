#!/usr/bin/env python3
"""Half an hour of steady load against the release binary: does its memory stay where it belongs?

    tests/bench/soak.py NAME [--minutes 30]      NAME: busy (20,000 series at 1 s) or wide (300,000 series at 15 s)

Both with 2,000 log lines/s and 500 spans/s (lines carry the ids of these spans' traces, so all of them are correlated), queries all the time, a merge of the running day forced at two thirds, so
that every head was flushed before. Prints a table row and, with --log FILE, appends the run's minutes to FILE.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "harness"))
from bramble import TARGET, Bramble, http  # noqa: E402

WINDOW_S = 60
RUNS = {
    "busy": dict(series=20_000, interval=1, cap="256MiB", limit_mib=128),
    "wide": dict(series=300_000, interval=15, cap="192MiB", limit_mib=128),
}


def status(pid, key):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1]) / 1024
    return 0.0


def cpu_s(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / 100


def metric(bramble, name):
    total = 0.0
    for line in http(bramble.url("prometheus") + "/metrics").text.splitlines():
        if line.startswith((name + " ", name + "{")):
            total += float(line.rsplit(" ", 1)[1])
    return total


def queries(bramble, stop, times):
    """What an overview page and a curious person ask, over and over."""
    asks = [
        ("prometheus", "/api/v1/query_range", "query=sum by (node)(rate(node_network_receive_bytes_total[5m]))&step=15"),
        ("prometheus", "/api/v1/query", "query=topk(5, node_memory_MemAvailable_bytes)"),
        ("prometheus", "/api/v1/query_range", "query=histogram_quantile(0.95, sum by (le)(rate(http_request_duration_seconds_bucket[5m])))&step=30"),
        ("loki", "/loki/api/v1/query_range", 'query={service="sshd"} |= "Failed"&limit=100'),
        ("loki", "/loki/api/v1/query_range", 'query=sum by (service)(count_over_time({env="prod"} |= "error"[1m]))&step=30'),
        ("tempo", "/api/search", "q={ duration > 300ms }&limit=20"),
        ("correlation", "/api/correlations", "has_error=true&limit=20"),
        ("correlation", "/api/stories", "circuit_id=circ-00042&limit=100"),
    ]
    n = 0
    while not stop.is_set():
        door, path, text = asks[n % len(asks)]
        n += 1
        params = [tuple(p.split("=", 1)) for p in text.split("&")]
        now = int(time.time())
        if path != "/api/v1/query":
            params += [("since", "10m")] if door == "correlation" else [("start", str(now - 600)), ("end", str(now))]
        began = time.monotonic()
        answer = http(bramble.url(door) + path, params=params)
        times.append((door, answer.status, (time.monotonic() - began) * 1000))
        stop.wait(1.0)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=RUNS)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--log")
    parser.add_argument("--binary", default=str(TARGET / "release" / "bramble"))
    parser.add_argument("--load", default=str(TARGET / "release" / "bramble-load"))
    a = parser.parse_args()
    run = RUNS[a.name]
    seconds = int(a.minutes * 60)
    lines = []

    def say(text):
        lines.append(text)
        print(text, flush=True)

    with Bramble(environment={"BRAMBLE_MEMORY_CAP": run["cap"], "BRAMBLE_JOURNAL_SENDER_WAIT": "1s"}, binary=pathlib.Path(a.binary)) as b:
        pid = b.process.pid
        command = [
            a.load, "--metrics", b.url("prometheus") + "/api/v1/write", "--logs", b.url("loki") + "/loki/api/v1/push",
            "--traces", b.url("otlp_http") + "/v1/traces", "--series", str(run["series"]), "--interval", str(run["interval"]),
            "--seconds", str(seconds), "--joined",
        ]
        load = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        stop, times, began, merged = threading.Event(), [], time.monotonic(), False
        asking = threading.Thread(target=queries, args=(b, stop, times))
        asking.start()
        say(f"## {a.name}: {run['series']} series every {run['interval']} s, 2,000 lines/s, 500 spans/s, cap {run['cap']}, {a.minutes:g} minutes")
        say("| minute | RSS MiB | peak MiB | CPU s | flushes | merges | journal extents | refused batches | correlations |")
        say("|---|---|---|---|---|---|---|---|---|")
        minute = 0
        while load.poll() is None:
            time.sleep(1)
            elapsed = time.monotonic() - began
            if not merged and elapsed > seconds * 2 / 3:
                merged = True
                http(b.url("prometheus") + "/internal/force_flush", body=b"", method="POST", timeout=300)
                answer = http(b.url("prometheus") + "/internal/force_merge", body=b"", method="POST", timeout=600)
                say(f"| {elapsed / 60:.1f} | force_flush and force_merge: {answer.status} | | | | | | | |")
            if elapsed >= minute * 60:
                minute += 1
                counts = [metric(b, m) for m in ("bramble_flush_total", "bramble_merge_total", "bramble_journal_extents", "bramble_ingest_refused_total", "correlation_events_total")]
                say(f"| {elapsed / 60:.1f} | {status(pid, 'VmRSS'):.1f} | {status(pid, 'VmHWM'):.1f} | {cpu_s(pid):.1f} | " + " | ".join(f"{c:.0f}" for c in counts) + " |")
        stop.set()
        asking.join()
        sent = json.loads(load.stdout.read())["sent"]
        items = sum(s["items"] for s in sent.values())
        peak, cpu = status(pid, "VmHWM"), cpu_s(pid)
        written = {c: metric(b, f'bramble_disk_written_bytes_total{{cause="{c}"}}'.split("{")[0]) for c in ("all",)}
        bad = [t for t in times if t[1] != 200]
        # All but those of the last window; none of them early.
        traces, correlated = sent["traces"]["items"] / 8, metric(b, "correlation_events_total")
        early, late = metric(b, "bramble_correlation_closed_early_total"), metric(b, "bramble_correlation_late_total")
        due = max(traces - 500 / 8 * (WINDOW_S + 5), 0)
        slowest = {d: sorted(t[2] for t in times if t[0] == d) for d in {t[0] for t in times}}
        say("")
        say(f"peak RSS {peak:.1f} MiB (bound {run['limit_mib']}), CPU {cpu / items * 1e6:.2f} s per million items, {items} items sent, {written['all'] / 2**20:.0f} MiB written;")
        say("senders: " + "; ".join(f"{k} {v['items']} items, {v['retries']} retries, {v['rejected_requests']} rejected, slowest {v['slowest_ms']} ms" for k, v in sent.items()))
        say(f"correlations: {correlated:.0f} of {traces:.0f} traces, {early:.0f} closed early, {late:.0f} items late;")
        say("queries: " + "; ".join(f"{d} n={len(v)} median {v[len(v) // 2]:.0f} ms, slowest {v[-1]:.0f} ms" for d, v in sorted(slowest.items())) + f"; {len(bad)} not answered with 200")
        say("")
    if a.log:
        with open(a.log, "a", encoding="utf-8") as log:
            log.write("\n".join(lines) + "\n")
    return 0 if peak <= run["limit_mib"] and not bad and correlated >= due and not early else 1


if __name__ == "__main__":
    sys.exit(main())
