"""Live tails by a WebSocket client that people have: from a push to its frame, through every door, and at the limits."""

import json
import pathlib
import statistics
import sys
import threading
import time
from urllib.parse import urlencode

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "harness"))
from bramble import QUIET, Bramble, Checks
from websockets.exceptions import ConnectionClosedError, InvalidStatus
from websockets.sync.client import connect

check = Checks()
V1 = "/loki/api/v1/tail"
# The default wait of a sender's commit, not the harness' short one.
SETTINGS = {**QUIET, "BRAMBLE_JOURNAL_SENDER_WAIT": "1s", "BRAMBLE_LOKI_MAX_CONCURRENT_TAIL_REQUESTS": "4"}
PUSHES = 40


def push(bramble, entries, stream=None, at=None):
    values = [[str((at or time.time_ns()) + i), line] for i, line in enumerate(entries)]
    body = json.dumps({"streams": [{"stream": stream or {"service": "shop"}, "values": values}]}).encode()
    answer = bramble.post("loki", "/loki/api/v1/push", body, {"Content-Type": "application/json"})
    assert answer.status == 204, f"{answer.status} {answer.text}"


def tail(bramble, query='{service="shop"}', door="loki", path=V1, headers=None, **params):
    url = bramble.url(door, path).replace("http://", "ws://")
    options = {"additional_headers": headers, "ping_interval": None, "legacy": True}
    return connect(f"{url}?{urlencode({'query': query, **params})}", **options)


def frame(socket, patience=30):
    return json.loads(socket.recv(timeout=patience))


def lines(frame):
    return [value[1] for stream in frame["streams"] or [] for value in stream["values"]]


def collect(socket, count):
    got = []
    while len(got) < count:
        got += lines(frame(socket))
    return got


def delays(bramble):
    """Seconds from the beginning of a push to its frame."""
    took = []
    with tail(bramble, limit=1) as socket:
        collect(socket, 1)
        for n in range(PUSHES):
            began = time.monotonic()
            push(bramble, [f"delay {n}"])
            assert lines(frame(socket)) == [f"delay {n}"]
            took.append(time.monotonic() - began)
    return sorted(took)


def closed(socket):
    """Code and reason with which the server closes."""
    try:
        while True:
            socket.recv(timeout=30)
    except ConnectionClosedError as error:
        return error.rcvd.code, error.rcvd.reason


def main():
    with Bramble(SETTINGS) as bramble:
        with check("history, then what is pushed, by every path and door"):
            push(bramble, ["first", "second", "third"])
            known = ["first", "second", "third"]
            for door, path in (("loki", V1), ("main", "/loki" + V1)):
                with tail(bramble, door=door, path=path, limit=2) as socket:
                    assert collect(socket, 2) == known[-2:]
                    push(bramble, [f"for {door}"])
                    assert lines(frame(socket)) == [f"for {door}"]
                    known.append(f"for {door}")
            with tail(bramble, path="/api/prom/tail", limit=1) as socket:
                [stream] = frame(socket)["streams"]
                assert 'service="shop"' in stream["labels"] and stream["entries"][0]["line"] == "for main", stream
        with check("a push is in its frame within a second"):
            took = delays(bramble)
            print(f"      delay ms: median {statistics.median(took) * 1e3:.1f}, longest {took[-1] * 1e3:.1f}")
            assert took[-1] < 1, took
        with check("labels by origin where asked for"):
            headers = {"X-Loki-Response-Encoding-Flags": "categorize-labels"}
            with tail(bramble, '{service="shop"} | logfmt', headers=headers, start=time.time_ns()) as socket:
                time.sleep(0.3)
                push(bramble, ["user=ann took=3ms"])
                got = frame(socket)
                [[_, _, origins]] = got["streams"][0]["values"]
                assert origins["parsed"] == {"user": "ann", "took": "3ms"}, got
                assert got["encodingFlags"] == ["categorize-labels"] and got["dropped_entries"] is None, got
        with check("nothing is missed or doubled while others push"):
            done = threading.Event()

            def pusher():
                for n in range(150):
                    push(bramble, [f"seam {n} {i}" for i in range(20)], {"service": "seam"})
                done.set()

            thread = threading.Thread(target=pusher)
            thread.start()
            time.sleep(0.2)
            with tail(bramble, '{service="seam"}', limit=5000) as socket:
                got = collect(socket, 3000)
            thread.join()
            assert done.is_set() and sorted(got) == sorted(f"seam {n} {i}" for n in range(150) for i in range(20))
        with check("entries that come late stand in order when they may"):
            with tail(bramble, '{service="late"}', delay_for=1) as socket:
                time.sleep(0.3)
                now = time.time_ns()
                for seconds, line in ((3, "c"), (1, "a"), (2, "b")):
                    push(bramble, [line], {"service": "late"}, now + seconds * 10**6)
                assert collect(socket, 3) == ["a", "b", "c"]
        with check("bad requests are refused before the upgrade"):
            for params, status in (
                ({"query": '{service="shop"} |='}, 400),
                ({"query": 'rate({service="shop"}[1m])'}, 400),
                ({"delay_for": 6}, 400),
                ({"limit": 6000}, 400),
            ):
                try:
                    tail(bramble, **params).close()
                    raise AssertionError(params)
                except InvalidStatus as refused:
                    assert refused.response.status_code == status, refused
                    assert refused.response.body, params
            assert bramble.get("loki", V1, {"query": '{service="shop"}'}).status == 400, "no WebSocket at all"
        with check("a tail too many is told so, and a place comes free"):
            held = [tail(bramble) for _ in range(4)]
            time.sleep(0.5)
            code, reason = closed(tail(bramble))
            wanted = "max concurrent tail requests limit exceeded, count > limit (5 > 4)"
            assert code == 1011 and reason.endswith(wanted), (code, reason)
            for socket in held:
                socket.close()
            time.sleep(0.5)
            with tail(bramble, limit=1) as socket:
                collect(socket, 1)
        with check("a reader that stops reading loses some, is told which, and costs no memory"):
            with tail(bramble, '{service="flood"}', limit=1) as socket:
                time.sleep(0.3)
                sent = 0
                # The client's library stops reading from the socket when its own buffer of frames is full.
                while sent < 60_000:
                    push(bramble, [f"{sent + i} " + "x" * 1000 for i in range(1000)], {"service": "flood"})
                    sent += 1000
                got = dropped = 0
                while got + dropped < sent:
                    try:
                        one = frame(socket, 3)
                    except TimeoutError:
                        break
                    got += len(lines(one))
                    dropped += len(one["dropped_entries"] or [])
                assert 0 < got < sent and dropped > 0, (got, dropped, sent)
            said = bramble.get("prometheus", "/metrics").text
            total = next(int(line.split()[1]) for line in said.splitlines() if line.startswith("bramble_tap_dropped_total "))
            assert got + total == sent, (got, total, sent)
    return check.done()


if __name__ == "__main__":
    sys.exit(main())
