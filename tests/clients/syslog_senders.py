"""The syslog door: Debian's rsyslog sends by every way that it has, and others by hand; what was sent is what is read back."""

import logging.handlers
import pathlib
import socket
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "harness"))
import rsyslog
from bramble import QUIET, Bramble, Checks, wait_for

check = Checks()
WAYS = ["udp-old", "udp-new", "tcp-old", "tcp-new"]
# Both commits of the journal that nobody waits for, and a machine that is busy.
PATIENCE_S = 60


def entries(bramble, query):
    """(stream, nanoseconds, line, structured metadata) of every entry, oldest first."""
    params = {"query": query, "start": time.time_ns() - 3600 * 10**9, "end": time.time_ns() + 10**9}
    params |= {"limit": 5000, "direction": "forward"}
    headers = {"X-Loki-Response-Encoding-Flags": "categorize-labels"}
    answer = bramble.get("loki", "/loki/api/v1/query_range", params, headers=headers)
    assert answer.status == 200, answer.text[:300]
    result = answer.json["data"]["result"]
    found = [(s["stream"], int(v[0]), v[1], v[2].get("structuredMetadata", {})) for s in result for v in s["values"]]
    return sorted(found, key=lambda entry: entry[1])


def lines(bramble, query):
    return [line for _, _, line, _ in entries(bramble, query)]


def with_rsyslog(bramble):
    if not rsyslog.available():
        print("SKIPPED rsyslog: no package")
        return
    with check("rsyslog sends by UDP and TCP, in both formats and framings"), rsyslog.rsyslog(
        bramble.ports["syslog"], rsyslog.FORWARD
    ) as send:
        count = 200
        for way in WAYS:
            send([rsyslog.message(n, "router", way, n % 8, f"message {n} by {way}") for n in range(count)])
        for way in WAYS:
            query = f'{{job="syslog", service="{way}"}}'
            wait_for(way, lambda: len(lines(bramble, query)) == count, PATIENCE_S)
            wanted = sorted(f"message {n} by {way}" for n in range(count))
            assert sorted(lines(bramble, query)) == wanted, f"{way}: {lines(bramble, query)[:3]}"
    for way in WAYS:
        with check(f"labels, time and metadata of {way}"):
            found = entries(bramble, f'{{service="{way}", level="error"}}')
            assert len(found) == count // 8, len(found)
            stream, ns, line, metadata = found[0]
            assert line == f"message 3 by {way}", line
            wanted = {"facility": "daemon", "host": "router", "job": "syslog", "level": "error", "service": way}
            assert {k: stream[k] for k in wanted} == wanted, stream
            assert metadata["severity"] == "err" and metadata["procid"] == "3", metadata
            # The old format knows seconds, in the zone of this machine.
            assert abs(ns / 1e9 - time.time()) < 120, (ns, time.time())
            assert way.endswith("new") == (ns % 10**9 != 0), ns
    with check("lines with breaks survive octet counting"):
        with rsyslog.rsyslog(bramble.ports["syslog"], rsyslog.FORWARD) as send:
            send([rsyslog.message(9999, "router", "tcp-new", 6, "first\nsecond")])
            query = '{service="tcp-new"} | procid="9999"'
            wait_for("it", lambda: lines(bramble, query) == ["first\nsecond"], PATIENCE_S)


def by_hand(bramble):
    port = bramble.ports["syslog"]
    with check("Python's SysLogHandler, and a line that is no syslog"):
        for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
            handler = logging.handlers.SysLogHandler(("127.0.0.1", port), facility="local3", socktype=kind)
            logger = logging.Logger("x")
            logger.addHandler(handler)
            logger.error("from python by %s", kind.name)
            handler.close()
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(b"plain text, no header\n")
        query = '{job="syslog", host="127.0.0.1"}'
        wait_for("three lines", lambda: len(lines(bramble, query)) == 3, PATIENCE_S)
        wanted = ["from python by SOCK_DGRAM", "from python by SOCK_STREAM", "plain text, no header"]
        assert sorted(lines(bramble, query)) == wanted, lines(bramble, query)
        found = {line: stream for stream, _, line, _ in entries(bramble, query)}
        assert found[wanted[0]]["facility"] == "local3" and found[wanted[2]]["facility"] == "user", found
    with check("what is irregular is counted and visible"):
        page = bramble.get("main", "/metrics").text
        assert 'bramble_receive_irregular_total{protocol="syslog_tcp",reason="not_syslog"} 1' in page, [
            line for line in page.splitlines() if "irregular" in line
        ]


def kept_over_a_stop(bramble):
    with check("what was read before a stop is there after it"):
        with socket.create_connection(("127.0.0.1", bramble.ports["syslog"])) as connection:
            for n in range(500):
                connection.sendall(f"<13>1 - host stopper - - - line {n}\n".encode())
        time.sleep(1)
        bramble.stop()
        bramble.start()
        found = wait_for("all", lambda: len(lines(bramble, '{service="stopper"}')) == 500, PATIENCE_S)
        assert found


def main():
    with Bramble(environment=QUIET) as bramble:
        by_hand(bramble)
        with_rsyslog(bramble)
        kept_over_a_stop(bramble)
    return check.done()


if __name__ == "__main__":
    sys.exit(main())
