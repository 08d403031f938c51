#!/usr/bin/env python3
"""Memory and CPU of scraping the same 50 targets: Bramble beside Prometheus, its agent mode and VictoriaMetrics.

    tests/bench/scrape.py [--seconds 300] [--targets 50] [--series 1000] [--interval 15] [--only NAME]...

One after the other, each alone: Bramble (`$CARGO_TARGET_DIR/release/bramble` or HOUSE_BIN) as a hub that scrapes and stores;
`prometheus` that does the same; `prometheus --agent`, which scrapes and sends on by remote write (to a server here that
reads and forgets); `vmagent` likewise, and `victoria-metrics -promscrape.config`. Peers are looked for in --peers
(default: peers/ beside the repository), then in PATH; what is not there is left out and named.

Targets are pages like node_exporter's, whose counters grow with every scrape, served by a process of its own. The first
third of the time is not judged. Printed: resident memory at the end and at most, CPU as a share of one core, bytes written,
samples per second as the servers saw them. Ends only processes that it started.
"""

import argparse
import http.server
import json
import multiprocessing
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "harness"))
from bramble import ROOT, Bramble, free_ports

TICKS = os.sysconf("SC_CLK_TCK")
MODES = ["idle", "iowait", "irq", "nice", "softirq", "steal", "system", "user"]


def page(series, seed, scrape):
    """Text of a page: CPUs, disks, interfaces and file systems with counters, then gauges up to `series`."""
    lines, count = [], 0

    def family(name, kind, labels, value):
        nonlocal count
        lines.append(f"# HELP {name} What node_exporter says of {name}.\n# TYPE {name} {kind}")
        for at, label in enumerate(labels):
            lines.append(f"{name}{label} {value(at)}")
            count += 1

    cpus = [f'{{cpu="{cpu}",mode="{mode}"}}' for cpu in range(4) for mode in MODES]
    family("node_cpu_seconds_total", "counter", cpus, lambda at: round(1000.5 + seed + scrape * (at % 7 + 1) * 0.13, 2))
    disks = [f'{{device="mmcblk0p{n}"}}' for n in range(4)]
    for name in ("reads_completed", "read_bytes", "writes_completed", "written_bytes", "io_time_seconds"):
        family(f"node_disk_{name}_total", "counter", disks, lambda at: 10_000 + seed + scrape * (at + 3))
    devices = [f'{{device="{device}"}}' for device in ("lo", "eth0", "wlan0", "docker0", "veth12ab")]
    for name in ("bytes", "packets", "errs", "drop", "multicast"):
        for way in ("receive", "transmit"):
            family(f"node_network_{way}_{name}_total", "counter", devices, lambda at: seed + scrape * 131 * (at + 1))
    mounts = [f'{{device="/dev/mmcblk0p{n}",fstype="ext4",mountpoint="/mnt/{n}"}}' for n in range(4)]
    for name in ("size_bytes", "free_bytes", "avail_bytes", "files", "files_free"):
        family(f"node_filesystem_{name}", "gauge", mounts, lambda at: 1 << (30 + at))
    number = 0
    while count < series:
        # Most of a node's series are gauges and counters that stand still.
        number += 1
        family(f"node_memory_or_vmstat_field_{number}", "gauge", [""], lambda _: seed + (scrape * number if number % 5 == 0 else number))
    return ("\n".join(lines) + "\n").encode()


def serve_targets(port, targets, series, served):
    pages = [[page(series, target, scrape) for scrape in range(4)] for target in range(targets)]
    counts = [0] * targets

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            target = int(self.path.strip("/").split("/")[0])
            body = pages[target][counts[target] % 4]
            counts[target] += 1
            with served.get_lock():
                served.value += series
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self):
            left = int(self.headers.get("Content-Length", 0))
            while left > 0:
                left -= len(self.rfile.read(min(left, 1 << 16))) or left
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    server.serve_forever()


def configuration(port, targets, interval, remote_write):
    jobs = [
        {
            "job_name": f"node-{target}",
            "metrics_path": f"/{target}/metrics",
            "static_configs": [{"targets": [f"127.0.0.1:{port}"], "labels": {"rack": f"r{target % 4}"}}],
        }
        for target in range(targets)
    ]
    config = {"global": {"scrape_interval": f"{interval}s", "scrape_timeout": f"{min(interval, 10)}s"}, "scrape_configs": jobs}
    if remote_write:
        config["remote_write"] = [{"url": f"http://127.0.0.1:{port}/api/v1/write"}]
    # JSON is YAML.
    return json.dumps(config)


def look(pid):
    """Resident bytes, CPU seconds and bytes written of a process."""
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    rss = int(status.split("VmRSS:")[1].split()[0]) * 1024
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    io = dict(line.split(": ") for line in pathlib.Path(f"/proc/{pid}/io").read_text().splitlines())
    return rss, (int(fields[11]) + int(fields[12])) / TICKS, int(io["write_bytes"])


def measure(name, pid, seconds, served):
    """Judges the last two thirds of the time."""
    time.sleep(seconds / 3)
    _, cpu, written = look(pid)
    samples, began, peak = served.value, time.monotonic(), 0
    while time.monotonic() - began < seconds * 2 / 3:
        time.sleep(1)
        peak = max(peak, look(pid)[0])
    rss, cpu_end, written_end = look(pid)
    took = time.monotonic() - began
    result = {
        "name": name,
        "rss_mib": round(rss / 2**20, 1),
        "rss_max_mib": round(peak / 2**20, 1),
        "cpu_percent": round((cpu_end - cpu) / took * 100, 2),
        "written_bytes_per_second": round((written_end - written) / took),
        "samples_per_second": round((served.value - samples) / took),
    }
    print(json.dumps(result), flush=True)


def run_peer(name, command, directory, seconds, served):
    with open(directory / f"{name}.log", "wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=directory)
    try:
        measure(name, process.pid, seconds, served)
    except OSError:
        print(f"{name} ended early: {(directory / f'{name}.log').read_text(errors='replace')[-800:]}")
    finally:
        process.terminate()
        process.wait()


def peers(binary, directory):
    """name -> command, for those that are there."""
    ports = free_ports(4)
    config, sending = directory / "prometheus.yml", directory / "agent.yml"
    wanted = {
        "prometheus": ("prometheus", [f"--config.file={config}", f"--storage.tsdb.path={directory}/p", f"--web.listen-address=127.0.0.1:{ports[0]}"]),
        "prometheus-agent": ("prometheus", ["--agent", f"--config.file={sending}", f"--storage.agent.path={directory}/a", f"--web.listen-address=127.0.0.1:{ports[1]}"]),
        "vmagent": ("vmagent", [f"-promscrape.config={config}", f"-remoteWrite.url={json.loads(sending.read_text())['remote_write'][0]['url']}", f"-remoteWrite.tmpDataPath={directory}/v", f"-httpListenAddr=127.0.0.1:{ports[2]}"]),
        "victoria-metrics": ("victoria-metrics", [f"-promscrape.config={config}", f"-storageDataPath={directory}/vm", f"-httpListenAddr=127.0.0.1:{ports[3]}"]),
    }
    for name, (program, arguments) in wanted.items():
        path = binary(program)
        if path is None:
            print(f"{name}: no {program} here, left out")
        else:
            yield name, [str(path), *arguments]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=300)
    parser.add_argument("--targets", type=int, default=50)
    parser.add_argument("--series", type=int, default=1000)
    parser.add_argument("--interval", type=int, default=15)
    parser.add_argument("--only", action="append")
    parser.add_argument("--peers", type=pathlib.Path, default=ROOT.parent / "peers")
    arguments = parser.parse_args()
    chosen = lambda name: not arguments.only or name in arguments.only
    port = free_ports(1)[0]
    served = multiprocessing.Value("Q", 0)
    source = multiprocessing.Process(target=serve_targets, args=(port, arguments.targets, arguments.series, served), daemon=True)
    source.start()
    directory = pathlib.Path(tempfile.mkdtemp(prefix="bramble-scrape-bench-"))
    try:
        (directory / "prometheus.yml").write_text(configuration(port, arguments.targets, arguments.interval, False))
        (directory / "agent.yml").write_text(configuration(port, arguments.targets, arguments.interval, True))
        if chosen("bramble"):
            settings = {"BRAMBLE_SCRAPE_CONFIG": str(directory / "prometheus.yml"), "BRAMBLE_HOST_ENABLED": "false"}
            with Bramble(environment=settings) as bramble:
                measure("bramble", bramble.process.pid, arguments.seconds, served)

        def binary(program):
            own = arguments.peers / program
            return own if own.is_file() else shutil.which(program)

        for name, command in peers(binary, directory):
            if chosen(name):
                run_peer(name, command, directory, arguments.seconds, served)
    finally:
        source.terminate()
        shutil.rmtree(directory, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
