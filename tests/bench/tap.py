#!/usr/bin/env python3
"""What joining costs: the same load with and without the correlator, against the release binary, in turns.

    tests/bench/tap.py [--seconds 600] [--rounds 3] [--only both|logs|traces] [--write]

The load is `bramble-load --hurry --joined`: requests of 8 spans over 4 services (500 spans a second of timestamps), and 2,000
log lines a second, 40 % of them JSON that carries the ids of one of these requests (13 lines each). Timestamps are those of
`--seconds` until now, sent as fast as they are taken. Counted from the start of the load until everything is in blocks and
every window was published: CPU seconds and bytes written from /proc, peak of resident memory. `with` and `without`
(`correlation.enabled`) take turns, so that whatever else the machine does hits both; figures are medians.
"""

import argparse
import json
import pathlib
import platform
import os
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "harness"))
from bramble import QUIET, TARGET, Bramble  # noqa: E402

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
MIB = 1 << 20
# So that the last windows close while the load's own end is not long ago.
WINDOW_S = 10
LOADS = {"both": ("logs", "traces"), "logs": ("logs",), "traces": ("traces",)}


def field(pid, file, name):
    for line in pathlib.Path(f"/proc/{pid}/{file}").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1])
    raise KeyError(name)


def cpu_s(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


def metric(bramble, name):
    """Sum over all series of a name; 0 when there are none."""
    said = bramble.get("prometheus", "/metrics").text.splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in said if line.startswith((name + " ", name + "{")))


def run(workload, enabled, options):
    """One run against a fresh server; a dictionary of figures."""
    settings = {
        **QUIET,
        "BRAMBLE_LOG_LEVEL": "warn",
        "BRAMBLE_CORRELATION_ENABLED": str(enabled).lower(),
        "BRAMBLE_CORRELATION_WINDOW": f"{WINDOW_S}s",
        "BRAMBLE_CORRELATION_GRACE": f"{WINDOW_S}s",
    }
    with Bramble(settings, binary=pathlib.Path(options.binary)) as bramble:
        pid = bramble.process.pid
        urls = {"logs": bramble.url("loki", "/loki/api/v1/push"), "traces": bramble.url("otlp_http", "/v1/traces")}
        command = [options.load, "--hurry", "--joined", "--seconds", str(options.seconds), "--lines", "2000", "--spans", "500"]
        for signal in LOADS[workload]:
            command += [f"--{signal}", urls[signal]]
        cpu, written = cpu_s(pid), field(pid, "io", "write_bytes")
        report = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])
        of_ingest = cpu_s(pid) - cpu
        # Both wait, so that both idle for as long; then whatever is in memory becomes blocks.
        time.sleep(WINDOW_S + 3)
        for what in ("force_flush", "force_merge"):
            answer = bramble.post("prometheus", f"/internal/{what}", b"", timeout=600)
            assert answer.status // 100 == 2, f"{what}: {answer.status} {answer.text}"
        cpu, written = cpu_s(pid) - cpu, field(pid, "io", "write_bytes") - written
        sent = report["sent"]
        assert not any(s["rejected_requests"] for s in sent.values()), sent
        row = {"workload": workload, "with": enabled, "items": sum(s["items"] for s in sent.values())}
        row |= {"ingest_cpu_s": of_ingest, "cpu_s": cpu, "written_mib": written / MIB, "wall_s": report["wall_s"]}
        row |= {"peak_mib": field(pid, "status", "VmHWM") / 1024, "rss_mib": field(pid, "status", "VmRSS") / 1024}
        row["correlations"] = metric(bramble, "correlation_events_total") if enabled else 0
        row["early"] = metric(bramble, "bramble_correlation_closed_early_total") if enabled else 0
        assert not enabled or row["correlations"] > 0, "nothing was correlated: this measures nothing"
        bramble.stop()
    print(json.dumps(row), file=sys.stderr, flush=True)
    return row


FIGURES = {
    "ingest_cpu_s": ("CPU s until the last answer", 2),
    "cpu_s": ("CPU s, published and merged", 2),
    "written_mib": ("MiB written", 1),
    "peak_mib": ("peak RSS MiB", 1),
    "rss_mib": ("RSS MiB at the end", 1),
}


def table(rows):
    text = "| load | figure | without | with | ratio | with, lowest – highest |\n| --- | --- | --- | --- | --- | --- |\n"
    for workload in dict.fromkeys(row["workload"] for row in rows):
        of = {on: [row for row in rows if row["workload"] == workload and row["with"] == on] for on in (False, True)}
        name = f"{workload}, {of[True][0]['items']:,} items, {of[True][0]['correlations']:,.0f} correlations"
        for key, (what, digits) in FIGURES.items():
            without, joined = (statistics.median(row[key] for row in of[on]) for on in (False, True))
            values = sorted(row[key] for row in of[True])
            text += f"| {name} | {what} | {without:.{digits}f} | {joined:.{digits}f} | {joined / max(without, 1e-9):.2f} "
            text += f"| {values[0]:.{digits}f} – {values[-1]:.{digits}f} |\n"
            name = ""
    return text


def replace(name, what):
    """Writes a generated part of docs/benchmarks.md."""
    path = ROOT / "docs/benchmarks.md"
    head, rest = path.read_text().split(begin := f"<!-- generated: {name} -->\n", 1)
    path.write_text(head + begin + what + "<!-- end -->" + rest.split("<!-- end -->", 1)[1])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=LOADS)
    parser.add_argument("--write", action="store_true", help="write the table into docs/benchmarks.md")
    parser.add_argument("--binary", default=str(TARGET / "release" / "bramble"))
    parser.add_argument("--load", help="another generator; it is built when none is given")
    options = parser.parse_args()
    if not options.load:
        # One that was built before may not know --joined.
        subprocess.run(["cargo", "build", "--release", "--locked", "--quiet", "-p", "bramble-tests-load"], cwd=ROOT, check=True)
        options.load = str(TARGET / "release" / "bramble-load")
    before, rows = os.getloadavg()[0], []
    for workload in [options.only] if options.only else LOADS:
        for number in range(options.rounds):
            # Whoever comes first changes from round to round.
            for enabled in (False, True) if number % 2 == 0 else (True, False):
                rows.append(run(workload, enabled, options))
    day, machine = time.strftime("%Y-%m-%d", time.gmtime()), f"{platform.machine()}, {os.cpu_count()} cores"
    said = f"{day}, {machine}; {options.seconds} s of timestamps, {options.rounds} rounds, medians; load average {before:.1f} "
    said += f"before, {os.getloadavg()[0]:.1f} after.\n\n{table(rows)}"
    print(said)
    if options.write:
        replace("tap", said)
    return 0


sys.exit(main())
