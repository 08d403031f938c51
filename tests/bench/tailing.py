#!/usr/bin/env python3
"""How fast files are tailed through a JSON pipeline: into the store of a hub, and from a node to a hub.

    tests/bench/tailing.py [--megabytes 200]

A file of JSON lines (some 200 bytes: time, level, service, message, ids, numbers) is read from its beginning through a
pipeline of the stages json, labels, timestamp and structured_metadata, with redaction on, by the release binary. CPU
seconds are the process', from /proc, from the first look at the file until all of it was read and delivered.
"""

import argparse
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "harness"))
from bramble import BINARY, QUIET, Bramble, wait_for  # noqa: E402

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
MB = 10**6

CONFIG = """
[[files]]
include = ["{file}"]
labels = {{ job = "bench" }}
start = "beginning"
pipeline = "json"

[[pipeline]]
name = "json"
signals = ["logs"]
steps = [
  {{ stages = [
    {{ json = {{ expressions = {{ level = "level", ts = "ts", trace = "trace_id", status = "status" }} }} }},
    {{ timestamp = {{ source = "ts", format = "RFC3339Nano" }} }},
    {{ labels = {{ level = "" }} }},
    {{ structured_metadata = {{ trace = "", status = "" }} }},
  ] }},
]
"""


def cpu_s(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


def write_lines(path, megabytes):
    choose, began_ns = random.Random(1), time.time_ns() - 1800 * 10**9
    lines, size, written = [], 0, 0
    with open(path, "w") as file:
        while size < megabytes * MB:
            at = began_ns + written * 10**6
            stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at // 10**9)) + f".{at % 10**9:09d}Z"
            line = json.dumps({
                "ts": stamp, "level": choose.choice(["info", "info", "info", "warn", "error"]),
                "msg": f"GET /api/v1/items/{choose.randrange(10**6)} done in {choose.randrange(900)} ms",
                "trace_id": f"{choose.getrandbits(128):032x}", "status": choose.choice([200, 200, 200, 404, 500]),
                "bytes": choose.randrange(10**5),
            })
            lines.append(line)
            size, written = size + len(line) + 1, written + 1
            if len(lines) == 10_000:
                file.write("\n".join(lines) + "\n")
                lines = []
        file.write("\n".join(lines) + "\n" if lines else "")
    return size, written


def read_through(process, size, read):
    """CPU and wall seconds until the file was read and delivered."""
    began, cpu = time.monotonic(), cpu_s(process.process.pid)
    wait_for("the file to be read", read)
    took, used = time.monotonic() - began, cpu_s(process.process.pid) - cpu
    return {"wall_mb_per_s": round(size / MB / took, 1), "mb_per_cpu_s": round(size / MB / used, 1), "cpu_s": round(used, 2)}


def main():
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--megabytes", type=int, default=200)
    options = words.parse_args()
    with tempfile.TemporaryDirectory(prefix="bramble-tailing-") as directory:
        file, config = pathlib.Path(directory) / "app.log", pathlib.Path(directory) / "bramble.toml"
        size, written = write_lines(file, options.megabytes)
        config.write_text(CONFIG.format(file=file))
        figures = {"megabytes": round(size / MB), "lines": written}

        def delivered(server):
            params = {"query": 'sum(count_over_time({job="bench"}[2h]))', "time": time.time_ns() + 3600 * 10**9}
            answer = server.get("loki", "/loki/api/v1/query", params)
            result = answer.json["data"]["result"] if answer.status == 200 else []
            return bool(result) and int(float(result[0]["value"][1])) >= written

        limits = {**QUIET, "BRAMBLE_INGEST_MAX_AHEAD": "off", "BRAMBLE_CORRELATION_ENABLED": "false"}
        with Bramble(environment=limits, arguments=["--config", str(config)]) as hub:
            figures["store"] = read_through(hub, size, lambda: delivered(hub))
        with Bramble(environment=limits) as hub:
            token = subprocess.run([str(BINARY), "token", "create"], env=hub.environment(), capture_output=True, text=True)
            node = {
                **QUIET,
                "BRAMBLE_CLUSTER_ROLE": "node",
                "BRAMBLE_NODE_HUBS": f"127.0.0.1:{hub.ports['otlp_grpc']}",
                "BRAMBLE_NODE_TOKEN": token.stdout.strip(),
            }
            with Bramble(environment=node, arguments=["--config", str(config)]) as sender:
                figures["node"] = read_through(sender, size, lambda: delivered(hub))
    print(json.dumps(figures))


if __name__ == "__main__":
    sys.exit(main())
