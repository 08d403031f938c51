"""Bulk doors of metrics: federation, remote read, VictoriaMetrics' imports and exports; promtool and Prometheus ask."""

import gzip
import json
import math
import pathlib
import re
import struct
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "harness"))
from bramble import Bramble, Checks, QUIET, http, wait_for
from peer_prometheus import PROMETHEUS, PROMTOOL, prometheus
from protobuf import double, doubles, integer, labels, message, signed, snappy

OPEN_METRICS = "application/openmetrics-text;version=1.0.0"
PROTOBUF = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"
ROWS = 300
check = Checks()


def equal(got, wanted):
    assert got == wanted, f"got {str(got)[:600]}, wanted {str(wanted)[:600]}"


def ask(url, query, at):
    """Labels -> value of an instant query."""
    answer = http(f"{url}/api/v1/query", params={"query": query, "time": at})
    assert answer.status == 200, f"{query}: {answer.status} {answer.text[:300]}"
    return {json.dumps(r["metric"], sort_keys=True): r["value"][1] for r in answer.json["data"]["result"]}


def parsed(body):
    """Lines of an export by series."""
    lines = [json.loads(line) for line in body.decode().splitlines()]
    out = {}
    for line in lines:
        key = json.dumps(line["metric"], sort_keys=True)
        times, values = out.setdefault(key, ([], []))
        times.extend(line["timestamps"])
        values.extend(line["values"])
    return out


def imports(b, start_ms):
    """A series of every kind of number, months ago; the same in and out."""
    times = [start_ms + i * 15_000 for i in range(ROWS)]
    values = [None if i % 50 == 49 else "Infinity" if i % 50 == 48 else i * 0.25 for i in range(ROWS)]
    line = json.dumps({"metric": {"__name__": "imported", "a": 'b"\n'}, "values": values, "timestamps": times})
    wanted = {json.dumps({"__name__": "imported", "a": 'b"\n', "dc": "x"}): (times, values)}
    with check("import: JSON lines, gzip, an extra label, months ago"):
        body = gzip.compress(line.encode() + b"\n\n")
        headers = {"Content-Encoding": "gzip"}
        answer = b.post("victoria_metrics", "/api/v1/import?extra_label=dc=x", body, headers)
        equal((answer.status, answer.text), (204, ""))
    for path in ("/api/v1/export", "/prometheus/api/v1/export"):
        with check(f"export: {path} gives what was imported"):
            params = {"match[]": "imported", "start": start_ms / 1000, "end": time.time()}
            answer = b.get("victoria_metrics", path, params)
            equal((answer.status, parsed(answer.body)), (200, wanted))
    with check("export: lines of few rows, each series once, times in milliseconds"):
        params = [("match[]", "imported"), ("match[]", '{a!=""}'), ("max_rows_per_line", 7), ("start", start_ms)]
        answer = b.get("victoria_metrics", "/api/v1/export", params)
        equal(len(answer.body.splitlines()), math.ceil(ROWS / 7))
        equal(parsed(answer.body), wanted)
    with check("export goes in again"):
        params = {"match[]": "imported", "start": start_ms}
        exported = b.get("victoria_metrics", "/api/v1/export", params).body
        equal(b.post("victoria_metrics", "/prometheus/api/v1/import", exported).status, 204)
        equal(parsed(b.get("victoria_metrics", "/api/v1/export", params).body), wanted)
    with check("import: a bad line is named, the others are stored"):
        body = b'{"metric":{"__name__":"good"},"values":[1],"timestamps":[%d]}\n{"metric":1}\n' % start_ms
        answer = b.post("prometheus", "/api/v1/import", body)
        equal(answer.status, 400)
        assert "line 2" in answer.text and "everything else is stored" in answer.text, answer.text
        equal(list(ask(b.url("prometheus"), "good", start_ms / 1000).values()), ["1"])
    with check("import: Prometheus text and OpenMetrics"):
        text = f'# TYPE t_total counter\n# HELP t_total Text.\nt_total{{a="b"}} 5 {start_ms}\n'
        equal(b.post("prometheus", "/api/v1/import/prometheus", text.encode()).status, 204)
        seconds = start_ms / 1000
        text = f"# TYPE o counter\no_total 6 {seconds}\no_created {seconds - 60}\n# EOF\n"
        headers = {"Content-Type": OPEN_METRICS}
        equal(b.post("prometheus", "/api/v1/import/prometheus", text.encode(), headers).status, 204)
        equal(list(ask(b.url("prometheus"), "t_total + on() o_total", seconds).values()), ["11"])
        answer = b.post("prometheus", "/api/v1/import/prometheus", b"a{b=} 1\n")
        assert answer.status == 400 and "line 1, column 5" in answer.text, answer.text
    with check("export without a selector is 400"):
        equal(b.get("prometheus", "/api/v1/export").status, 400)


def write_now(b, now_ms):
    """By remote write: two floats and a native histogram, each with this time; and a series that has ended."""
    series = [
        message(1, labels(1, {"__name__": "fed_level", "job": "a", "instance": "i"}), sample(1.5, now_ms)),
        message(1, labels(1, {"__name__": "fed_level", "job": "b"}), sample(-2, now_ms)),
        message(1, labels(1, {"__name__": "fed_ended", "job": "a"}), sample(float("nan"), now_ms, stale=True)),
        message(1, labels(1, {"__name__": "fed_size", "job": "a"}), histogram(now_ms)),
    ]
    headers = {"Content-Type": "application/x-protobuf", "Content-Encoding": "snappy"}
    answer = b.post("prometheus", "/api/v1/write", snappy(b"".join(series)), headers)
    assert answer.status == 204, f"{answer.status} {answer.text}"


def sample(value, ms, stale=False):
    bits = struct.unpack("<d", struct.pack("<Q", 0x7FF0000000000002))[0] if stale else value
    return message(2, double(1, bits), integer(2, ms))


def histogram(ms):
    body = double(2, 6) + double(3, 12.5) + signed(4, 2) + double(5, 0.001) + double(7, 1)
    body += message(11, signed(1, -1), integer(2, 2)) + doubles(13, [2, 3])
    return message(4, body, integer(15, ms))


FEDERATED = """# TYPE fed_level untyped
fed_level{{instance="i",job="a"}} 1.5 {ms}
fed_level{{job="b",instance=""}} -2 {ms}
"""


def federation(b, now_ms):
    def federate(match, accept=""):
        return b.get("prometheus", "/federate", {"match[]": match}, headers={"Accept": accept})

    with check("federation: text, sorted, untyped, an empty instance; nothing of what ended"):
        answer = federate('{__name__=~"fed_.*"}')
        equal(answer.text, FEDERATED.format(ms=now_ms))
        assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4"), answer.headers["Content-Type"]
    with check("federation: OpenMetrics for those who prefer it"):
        answer = federate('fed_level{job="a"}', f"{OPEN_METRICS},text/plain;q=0.5")
        seconds = f"{now_ms // 1000}.{now_ms % 1000:03}" if now_ms % 1000 else str(now_ms // 1000)
        wanted = f'# TYPE fed_level unknown\nfed_level{{instance="i",job="a"}} 1.5 {seconds}\n# EOF\n'
        equal(answer.text, wanted)
    with check("federation: native histograms in protobuf"):
        answer = federate("fed_size", f"{PROTOBUF},text/plain;q=0.5")
        assert b"fed_size" in answer.body and answer.headers["Content-Type"].startswith("application/vnd.google")
        equal(federate("fed_size").body, b"")
    with check("federation: a selector that does not parse is 400, none is an empty page"):
        equal(federate("-not-a-valid").status, 400)
        answer = b.get("prometheus", "/federate")
        equal((answer.status, answer.body), (200, b""))


def read_request(name, start_ms, end_ms, wishes):
    matcher = message(3, integer(1, 0), message(2, "__name__"), message(3, name))
    query = message(1, integer(1, start_ms), integer(2, end_ms), matcher)
    return snappy(query + b"".join(integer(2, wish) for wish in wishes))


class Bits:
    """A Gorilla chunk, read bit by bit."""

    def __init__(self, data):
        self.bits, self.at = "".join(f"{byte:08b}" for byte in data), 0

    def take(self, count):
        self.at += count
        return int(self.bits[self.at - count : self.at] or "0", 2)

    def uvarint(self):
        value = shift = 0
        while True:
            byte = self.take(8)
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    def ones(self, limit):
        count = 0
        while count < limit and self.take(1):
            count += 1
        return count

    def change(self):
        ones = self.ones(4)
        width = (0, 14, 17, 20, 64)[ones]
        value = self.take(width) if width else 0
        return value - (1 << width) if width and value > 1 << (width - 1) else value

    def samples(self):
        count, times, values = self.take(16), [], []
        delta = leading = trailing = 0
        for i in range(count):
            if i == 0:
                raw = self.uvarint()
                t, v = raw >> 1 ^ -(raw & 1), self.take(64)
            else:
                delta = self.uvarint() if i == 1 else delta + self.change()
                t += delta
                if self.take(1):
                    if self.take(1):
                        leading = self.take(5)
                        trailing = 64 - leading - (self.take(6) or 64)
                    v ^= self.take(64 - leading - trailing) << trailing
            times.append(t)
            values.append(struct.unpack("<d", struct.pack("<Q", v))[0])
        return times, values


def fields(data):
    """(number, value) of a message's fields."""
    at, out = 0, []

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(data):
        tag = varint()
        if tag & 7 == 0:
            out.append((tag >> 3, varint()))
        elif tag & 7 == 1:
            out.append((tag >> 3, data[at : at + 8]))
            at += 8
        else:
            length = varint()
            out.append((tag >> 3, data[at : at + length]))
            at += length
    return out


def frames(body):
    """Messages of a streamed answer; checksums are Prometheus' to check."""
    at = 0
    while at < len(body):
        length = shift = 0
        while True:
            byte = body[at]
            at += 1
            length |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        at += 4
        yield body[at : at + length]
        at += length


def remote_read(b, start_ms, now_ms):
    headers = {"Content-Type": "application/x-protobuf", "Content-Encoding": "snappy"}

    def read(name, wishes, start=start_ms, end=now_ms):
        return b.post("prometheus", "/api/v1/read", read_request(name, start, end, wishes), headers)

    with check("remote read: streamed chunks hold every sample"):
        answer = read("imported", [1, 0])
        kind = "application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse"
        equal((answer.status, answer.headers["Content-Type"]), (200, kind))
        times, values, counts = [], [], []
        for frame in frames(answer.body):
            for series in (value for number, value in fields(frame) if number == 1):
                for chunk in (dict(fields(value)) for number, value in fields(series) if number == 2):
                    equal(chunk[3], 1)
                    t, v = Bits(chunk[4]).samples()
                    equal((t[0], t[-1]), (chunk[1], chunk[2]))
                    times, values, counts = times + t, values + v, [*counts, len(t)]
        equal((len(times), max(counts)), (ROWS, 120))
        equal(times, [start_ms + i * 15_000 for i in range(ROWS)])
        equal([v for v in values if v == v and v != math.inf][:3], [0, 0.25, 0.5])
    with check("remote read: a native histogram is streamed as such"):
        answer = read("fed_size", [1], now_ms - 1000, now_ms)
        frame = next(frames(answer.body))
        series = next(value for number, value in fields(frame) if number == 1)
        chunk = dict(fields(next(value for number, value in fields(series) if number == 2)))
        equal((chunk[1], chunk[2], chunk[3]), (now_ms, now_ms, 3))
    with check("remote read: samples"):
        answer = read("imported", [])
        head = (answer.headers["Content-Type"], answer.headers["Content-Encoding"])
        equal((answer.status, head), (200, ("application/x-protobuf", "snappy")))
    with check("remote read: what is wrong is 400"):
        equal(read("imported", [9]).status, 400)
        equal(b.post("prometheus", "/api/v1/read", b"nonsense", headers).status, 400)
        equal(b.post("prometheus", "/api/v1/read", snappy(message(1, integer(1, 1))), headers).status, 400)


def promtool(*arguments, text=None):
    command = [str(PROMTOOL), *arguments]
    return subprocess.run(command, input=text, capture_output=True, text=True, timeout=60, check=False)


def version():
    result = subprocess.run([str(PROMETHEUS), "--version"], capture_output=True, text=True, check=True)
    return tuple(int(n) for n in re.search(r"version (\d+)\.(\d+)", result.stdout + result.stderr).groups())


def with_promtool(b, now_ms):
    url = b.url("prometheus")
    at = f"{now_ms / 1000:.3f}"
    with check("promtool query instant"):
        result = promtool("query", "instant", f"--time={at}", url, 'fed_level{job="a"}')
        assert result.returncode == 0 and "1.5" in result.stdout, result
    with check("promtool query range"):
        span = [f"--start={now_ms / 1000 - 60:.3f}", f"--end={at}", "--step=15s"]
        result = promtool("query", "range", *span, url, "sum(fed_level)")
        assert result.returncode == 0 and "-0.5" in result.stdout, result
    with check("promtool query series and labels"):
        result = promtool("query", "series", "--match=fed_level", url)
        assert result.returncode == 0 and result.stdout.count("fed_level") == 2, result
        result = promtool("query", "labels", url, "job")
        assert result.returncode == 0 and result.stdout.split() == ["a", "b"], result
    with check("promtool check healthy and ready"):
        known = "healthy" in promtool("check", "--help").stdout
        for what in ("healthy", "ready") if known else ():
            equal(promtool("check", what, f"--url={url}").returncode, 0)
    with check("promtool check metrics: our own page"):
        result = promtool("check", "metrics", text=b.get("main", "/metrics").text)
        equal((result.returncode, result.stderr), (0, ""))
    with check("promtool check metrics: a federated page has nothing but no help"):
        result = promtool("check", "metrics", text=b.get("prometheus", "/federate", {"match[]": "fed_level"}).text)
        equal(result.stderr.strip(), "fed_level no help text")
    if "push" not in promtool("--help").stdout + promtool("--help").stderr:
        print("SKIPPED promtool push metrics: this promtool does not know it")
        return
    with check("promtool push metrics"):
        text = "# HELP pushed_total Pushed.\n# TYPE pushed_total counter\npushed_total 7\n"
        result = promtool("push", "metrics", f"{url}/api/v1/write", text=text)
        equal(result.returncode, 0)
        equal(list(ask(url, "pushed_total", time.time()).values()), ["7"])


FEDERATED_QUERIES = ["fed_level", "histogram_count(fed_size)", "histogram_sum(fed_size)"]
FEDERATED_QUERIES += ["histogram_quantile(0.5, fed_size)", "fed_ended"]


def with_federating_prometheus(b, now_ms):
    scrape = {"job_name": "federate", "metrics_path": "/federate", "scrape_interval": "1s", "honor_labels": True}
    scrape |= {"params": {"match[]": ['{__name__=~"fed_.*"}']}}
    scrape |= {"static_configs": [{"targets": [b.url("prometheus").removeprefix("http://")]}]}
    with check("Prometheus federates, histograms too"), prometheus({"scrape_configs": [scrape]}) as theirs:
        wait_for("a scrape", lambda: list(ask(theirs, "up", time.time()).values()) == ["1"])
        wait_for("the level", lambda: ask(theirs, "fed_level", now_ms / 1000))
        for query in FEDERATED_QUERIES:
            equal(ask(theirs, query, now_ms / 1000), ask(b.url("prometheus"), query, now_ms / 1000))


def with_reading_prometheus(b, start_ms, now_ms):
    end = (start_ms + (ROWS - 1) * 15_000) / 1000
    config = {"remote_read": [{"url": b.url("prometheus", "/api/v1/read"), "read_recent": True}]}
    queries = [("count_over_time(imported[2h])", end), ("imported offset 1m", end), ("sum(fed_level)", now_ms / 1000)]
    queries += [("max_over_time(imported[10m])", end - 300), ("imported", end + 1)]
    # Older ones do not read histograms from afar.
    if version() >= (3, 0):
        queries += [("histogram_sum(fed_size)", now_ms / 1000), ("histogram_quantile(0.5, fed_size)", now_ms / 1000)]
    with check("Prometheus reads from afar"), prometheus(config) as theirs:
        for query, at in queries:
            wanted = ask(b.url("prometheus"), query, at)
            assert wanted or query == "imported", query
            equal(ask(theirs, query, at), wanted)


def main():
    now_ms = int(time.time()) * 1000 - 2000
    # Whole fifteen seconds, ten days ago: beyond any window for samples out of order, within full resolution.
    start_ms = (now_ms // 15_000) * 15_000 - 10 * 86_400_000
    with Bramble(environment=QUIET) as b:
        imports(b, start_ms)
        write_now(b, now_ms)
        federation(b, now_ms)
        remote_read(b, start_ms, now_ms)
        if not PROMETHEUS.exists():
            print("SKIPPED Prometheus and promtool: no binary")
            return check.done()
        with_promtool(b, now_ms)
        with_federating_prometheus(b, now_ms)
        with_reading_prometheus(b, start_ms, now_ms)
    return check.done()


sys.exit(main())
