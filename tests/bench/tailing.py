#!/usr/bin/env python3
"""How fast files are tailed through a JSON pipeline: into the store of a hub, and from a node to a hub.

    tests/bench/tailing.py [--megabytes 200] [--only store|node] [--without-correlation]

A file of JSON lines (some 190 bytes: time, level, message, ids, numbers) is read from its beginning through a pipeline of
the stages json, timestamp, labels and structured_metadata, with redaction on, by the release binary. CPU seconds are the
process', from /proc, from its start until all lines are durable and visible, which `bramble_source_lines_total` says: it is
asked for once a second, and no query runs. A query counts them afterwards. Flushes that come due meanwhile are in the
figure; `in_blocks_mb_per_cpu_s` is that of flushing all the rest too, `disk_bytes_per_line` what blocks take then.
"""

import argparse
import json
import os
import pathlib
import random
import re
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "harness"))
from bramble import BINARY, QUIET, Bramble  # noqa: E402

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


def lines_delivered(server):
    """Lines of files that are durable: on a node, taken by its hub."""
    shown = server.get("main", "/metrics").text
    found = re.search(r'^bramble_source_lines_total\{source="files"\} (\d+)', shown, re.MULTILINE)
    return int(found.group(1)) if found else 0


def read_through(server, size, written):
    """CPU and wall seconds from the start of the process until all lines are delivered."""
    began, patience = time.monotonic(), time.monotonic() + 600
    while lines_delivered(server) < written:
        if time.monotonic() > patience:
            raise RuntimeError(f"{lines_delivered(server)} of {written} lines in 600 s")
        time.sleep(1)
    took, used = time.monotonic() - began, cpu_s(server.process.pid)
    return {"wall_s": round(took, 1), "cpu_s": round(used, 2), "mb_per_cpu_s": round(size / MB / used, 1)}


def counted(server):
    params = {"query": 'sum(count_over_time({job="bench"}[2h]))', "time": time.time_ns() + 3600 * 10**9}
    result = server.get("loki", "/loki/api/v1/query", params).json["data"]["result"]
    return int(float(result[0]["value"][1])) if result else 0


def flushed(server, size, written):
    """What everything costs once all lines are in blocks, and how large those are."""
    answer = server.post("prometheus", "/internal/force_flush", b"", timeout=600)
    assert answer.status // 100 == 2, answer.text
    used = cpu_s(server.process.pid)
    blocks = sum(file.stat().st_size for file in server.data_dir.rglob("*") if file.is_file() and "blocks" in file.parts)
    return {"in_blocks_mb_per_cpu_s": round(size / MB / used, 1), "disk_bytes_per_line": round(blocks / written, 2)}


def main():
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--megabytes", type=int, default=200)
    words.add_argument("--only", choices=["store", "node"])
    words.add_argument("--without-correlation", action="store_true", help="the hub reads no ids out of lines")
    options = words.parse_args()
    with tempfile.TemporaryDirectory(prefix="bramble-tailing-") as directory:
        file, config = pathlib.Path(directory) / "app.log", pathlib.Path(directory) / "bramble.toml"
        size, written = write_lines(file, options.megabytes)
        config.write_text(CONFIG.format(file=file))
        figures = {"megabytes": round(size / MB), "lines": written}

        limits = {**QUIET, "BRAMBLE_INGEST_MAX_AHEAD": "off"}
        if options.without_correlation:
            limits["BRAMBLE_CORRELATION_ENABLED"] = "false"
        if options.only != "node":
            with Bramble(environment=limits, arguments=["--config", str(config)]) as hub:
                figures["store"] = read_through(hub, size, written)
                figures["store"].update(flushed(hub, size, written))
                figures["store"]["counted"] = counted(hub)
        if options.only != "store":
            figures["node"] = through_a_node(limits, config, size, written)
    print(json.dumps(figures))


def through_a_node(limits, config, size, written):
    with Bramble(environment=limits) as hub:
        token = subprocess.run([str(BINARY), "token", "create"], env=hub.environment(), capture_output=True, text=True)
        node = {
            **QUIET,
            "BRAMBLE_CLUSTER_ROLE": "node",
            "BRAMBLE_NODE_HUBS": f"127.0.0.1:{hub.ports['otlp_grpc']}",
            "BRAMBLE_NODE_TOKEN": token.stdout.strip(),
        }
        with Bramble(environment=node, arguments=["--config", str(config)]) as sender:
            return {**read_through(sender, size, written), "counted": counted(hub)}


if __name__ == "__main__":
    sys.exit(main())
