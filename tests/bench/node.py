#!/usr/bin/env python3
"""What a node costs: a hub and a node on this machine, the release binary, and the load of a busy Pi on the node.

    tests/bench/node.py [--seconds 120] [--series 2000] [--lines 200] [--spans 50] [--away SECONDS] [--line-requests 1]

The load is `bramble-load` (cargo build --release -p bramble-tests-load): samples every 15 s by remote write, log lines (one
request a second, as Promtail and Alloy send them) and spans twice a second. Figures are of the node alone, from /proc, over
the load's time: CPU in percent of a core, resident memory (at the end, and its peak), bytes written to disk. With `--away`
the hub is stopped for so long in the middle: then the queue on disk is told too, what an hour of it takes, how long the hub
took to be brought up to date, and how long a line that is pushed meanwhile takes to be there, beside what it took before.
"""

import argparse
import http.client
import json
import os
import pathlib
import statistics
import subprocess
import sys
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "harness"))
from bramble import BINARY, QUIET, TARGET, Bramble, wait_for  # noqa: E402

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
MIB = 1 << 20
LOAD = ["series", "lines", "spans", "seconds", "line-requests"]


def field(pid, file, name):
    for line in pathlib.Path(f"/proc/{pid}/{file}").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1])
    raise KeyError(name)


def cpu_s(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


def token(hub):
    done = subprocess.run([str(BINARY), "token", "create"], env=hub.environment(), capture_output=True, text=True, check=True)
    return done.stdout.strip()


def hub_of(node):
    return node.get("main", "/api/status").json["hubs"][0]


def behind_bytes(node):
    """What waits on disk, as it is: the hub's state is told anew with each heartbeat only."""
    wanted = 'bramble_forward_queue_bytes{destination="hub",place="disk"} '
    lines = node.get("main", "/metrics").text.splitlines()
    return next(float(line[len(wanted) :]) for line in lines if line.startswith(wanted))


class Probe(threading.Thread):
    """Pushes a line to the node every 200 ms. The node answers when the hub has it, or the queue on disk."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.port, self.took, self.is_over = port, [], False

    def run(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        while not self.is_over:
            began = time.monotonic()
            body = {"streams": [{"stream": {"service": "probe"}, "values": [[str(time.time_ns()), "are you there?"]]}]}
            try:
                connection.request("POST", "/loki/api/v1/push", json.dumps(body), {"content-type": "application/json"})
                connection.getresponse().read()
            except (OSError, http.client.HTTPException):
                # The node is stopped while the last line is under way.
                if self.is_over:
                    return
                raise
            self.took.append((began, time.monotonic()))
            time.sleep(max(0.0, began + 0.2 - time.monotonic()))

    def milliseconds(self, since, until):
        """Median, 95th percentile and longest of the lines that were pushed in that time, and how many they were."""
        took = sorted((end - began) * 1000 for began, end in self.took if since <= began and end <= until)
        if not took:
            return None
        return [round(statistics.median(took)), round(took[int(len(took) * 0.95)]), round(took[-1]), len(took)]


def main():
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in [("seconds", 120), ("series", 2000), ("lines", 200), ("spans", 50), ("away", 0), ("line-requests", 1)]:
        words.add_argument(f"--{name}", type=int, default=default)
    options = words.parse_args()
    with Bramble(environment=QUIET) as hub:
        node_settings = {
            **QUIET,
            "BRAMBLE_CLUSTER_ROLE": "node",
            "BRAMBLE_NODE_NAME": "busy-pi",
            "BRAMBLE_NODE_HUBS": f"127.0.0.1:{hub.ports['otlp_grpc']}",
            "BRAMBLE_NODE_TOKEN": token(hub),
            # What a node collects by itself is part of its work.
            "BRAMBLE_HOST_ENABLED": "true",
            "BRAMBLE_HOST_INTERVAL": "15s",
            "BRAMBLE_OWN_ENABLED": "true",
        }
        with Bramble(environment=node_settings) as node:
            wait_for("the hub to be there", lambda: hub_of(node)["connected"])
            pid = node.process.pid
            before = cpu_s(pid), field(pid, "io", "write_bytes")
            began = time.monotonic()
            load = subprocess.Popen(
                [
                    str(TARGET / "release" / "bramble-load"),
                    f"--metrics={node.url('prometheus', '/api/v1/write')}",
                    f"--logs={node.url('loki', '/loki/api/v1/push')}",
                    f"--traces={node.url('otlp_http', '/v1/traces')}",
                    *(f"--{name}={getattr(options, name.replace('-', '_'))}" for name in LOAD),
                ],
                stdout=subprocess.DEVNULL,
            )
            figures = {}
            if options.away:
                probe = Probe(node.ports["loki"])
                probe.start()
                time.sleep(options.seconds / 4)
                gone, anonymous_kib = time.monotonic(), [field(pid, "status", "RssAnon")]
                hub.stop()
                time.sleep(options.away)
                away = hub_of(node)
                anonymous_kib.append(field(pid, "status", "RssAnon"))
                hub.start()
                back = time.monotonic()
                wait_for("the hub to be there", lambda: hub_of(node)["connected"])
                connected, behind = time.monotonic(), behind_bytes(node)
                wait_for("the queue to be empty", lambda: behind_bytes(node) == 0, 600)
                caught_up = time.monotonic()
                anonymous_kib.append(field(pid, "status", "RssAnon"))
                time.sleep(10)
                probe.is_over = True
                probe.join(5)
                figures = {
                    "queue_mib": round(away["queue_bytes"] / MIB, 2),
                    "queue_mib_per_hour": round(away["queue_bytes"] / MIB / options.away * 3600, 1),
                    "forecast_hours": round((away["forecast_seconds"] or 0) / 3600, 1),
                    "hub_started_and_found_seconds": round(connected - back, 1),
                    "caught_up_seconds": round(caught_up - connected, 1),
                    "anonymous_mib_before_away_caught_up": [round(kib / 1024, 1) for kib in anonymous_kib],
                    "behind_mib": round(behind / MIB, 2),
                    "live_line_ms_before": probe.milliseconds(0, gone),
                    "live_line_ms_to_queue": probe.milliseconds(gone + 10, back),
                    "live_line_ms_catching_up": probe.milliseconds(connected, caught_up),
                    "live_line_ms_after": probe.milliseconds(caught_up, caught_up + 10),
                }
            load.wait()
            took = time.monotonic() - began
            figures |= {
                "seconds": round(took, 1),
                "cpu_percent_of_a_core": round((cpu_s(pid) - before[0]) / took * 100, 2),
                "rss_mib": round(field(pid, "status", "VmRSS") / 1024, 1),
                "rss_anonymous_mib": round(field(pid, "status", "RssAnon") / 1024, 1),
                "rss_peak_mib": round(field(pid, "status", "VmHWM") / 1024, 1),
                "written_bytes_per_second": round((field(pid, "io", "write_bytes") - before[1]) / took),
                "load_failed": load.returncode != 0,
            }
    print(json.dumps(figures))
    return figures["load_failed"]


if __name__ == "__main__":
    sys.exit(main())
