#!/usr/bin/env python3
"""What a node costs: a hub and a node on this machine, the release binary, and the load of a busy Pi on the node.

    tests/bench/node.py [--seconds 120] [--series 2000] [--lines 200] [--spans 50] [--away SECONDS]

The load is `bramble-load` (cargo build --release -p bramble-tests-load): samples every 15 s by remote write, log lines and
spans each second. Figures are of the node alone, from /proc, over the load's time: CPU in percent of a core, resident
memory (at the end, and its peak), bytes written to disk. With `--away` the hub is stopped for so long in the middle: then
the queue on disk is told too, what an hour of it takes, and how long the hub took to be brought up to date.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "harness"))
from bramble import BINARY, QUIET, TARGET, Bramble, wait_for  # noqa: E402

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
MIB = 1 << 20


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


def main():
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in [("seconds", 120), ("series", 2000), ("lines", 200), ("spans", 50), ("away", 0)]:
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
                    *(f"--{name}={getattr(options, name)}" for name in ["series", "lines", "spans", "seconds"]),
                ],
                stdout=subprocess.DEVNULL,
            )
            figures = {}
            if options.away:
                time.sleep(options.seconds / 4)
                hub.stop()
                time.sleep(options.away)
                away = hub_of(node)
                hub.start()
                back = time.monotonic()
                wait_for("the queue to be empty", lambda: hub_of(node)["queue_bytes"] == 0)
                figures = {
                    "queue_mib": round(away["queue_bytes"] / MIB, 2),
                    "queue_mib_per_hour": round(away["queue_bytes"] / MIB / options.away * 3600, 1),
                    "forecast_hours": round((away["forecast_seconds"] or 0) / 3600, 1),
                    "caught_up_seconds": round(time.monotonic() - back, 1),
                }
            load.wait()
            took = time.monotonic() - began
            figures |= {
                "seconds": round(took, 1),
                "cpu_percent_of_a_core": round((cpu_s(pid) - before[0]) / took * 100, 2),
                "rss_mib": round(field(pid, "status", "VmRSS") / 1024, 1),
                "rss_peak_mib": round(field(pid, "status", "VmHWM") / 1024, 1),
                "written_bytes_per_second": round((field(pid, "io", "write_bytes") - before[1]) / took),
                "load_failed": load.returncode != 0,
            }
    print(json.dumps(figures))
    return figures["load_failed"]


if __name__ == "__main__":
    sys.exit(main())
