"""A node made by hand against a hub: enrolment, deliveries and what is left of them after power cuts, byte by byte over gRPC."""

import concurrent.futures
import pathlib
import subprocess
import sys
import time

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parents[1] / "harness")]

import grpc  # noqa: E402
import protobuf as pb  # noqa: E402
from bramble import QUIET, Bramble, Checks, http, wait_for  # noqa: E402

SERVICE = "/bramble.node.v1.Node"
# Codes of signals, as on disk.
METRICS, LOGS = 1, 2


def fields(data):
    """A message's fields, each with its values in order."""
    found, at = {}, 0

    def varint():
        nonlocal at
        number = shift = 0
        while True:
            byte = data[at]
            at += 1
            number |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return number

    while at < len(data):
        key = varint()
        match key & 7:
            case 0:
                value = varint()
            case 1:
                value, at = data[at : at + 8], at + 8
            case 2:
                size = varint()
                value, at = data[at : at + size], at + size
        found.setdefault(key >> 3, []).append(value)
    return found


class Node:
    """What a node says, and what it has been told."""

    def __init__(self, hub, name):
        self.hub, self.name, self.id = hub, name, name * 4
        self.credential = b""

    def call(self, method, message, timeout=60):
        options = [("grpc.max_receive_message_length", 64 << 20), ("grpc.max_send_message_length", 64 << 20)]
        with grpc.insecure_channel(f"127.0.0.1:{self.hub.ports['otlp_grpc']}", options=options) as channel:
            return fields(channel.unary_unary(f"{SERVICE}/{method}")(message, timeout=timeout))

    def hello(self, token="", sources=()):
        status = pb.integer(1, 1000) + pb.integer(2, 1 << 30) + pb.integer(6, 100) + pb.integer(8, 1) + pb.double(9, 51.5)
        message = pb.message(1, self.id) + pb.message(2, self.name) + pb.message(3, "0.test") + pb.message(4, token)
        message += pb.message(5, self.credential) + pb.integer(6, int(time.time() * 1000)) + pb.message(8, status)
        message += b"".join(pb.message(9, source) for source in sources)
        answer = self.call("Hello", message)
        self.credential = answer.get(4, [self.credential])[0]
        delivered = {}
        for each in map(fields, answer.get(7, [])):
            positions = {p[1][0].decode(): p[2][0].decode() for p in map(fields, each.get(3, []))}
            delivered[each[1][0].decode()] = (each.get(2, [0])[0], positions)
        return delivered

    def delivery(self, source, sequence, lines, positions=(), at_ns=None):
        at_ns = at_ns or time.time_ns()
        entries = b"".join(
            pb.message(2, pb.message(1, pb.integer(1, at_ns // 10**9) + pb.integer(2, at_ns % 10**9 + i)), pb.message(2, line))
            for i, line in enumerate(lines)
        )
        label = pb.message(4, pb.message(1, "from"), pb.message(2, self.name))
        payload = pb.message(1, label, entries)
        message = pb.message(1, self.id) + pb.message(2, self.credential) + pb.message(3, source)
        message += pb.integer(4, sequence) + pb.integer(6, LOGS)
        message += b"".join(pb.message(7, pb.message(1, k) + pb.message(2, v)) for k, v in positions)
        return message + pb.message(8, payload)

    def deliver(self, *what, **more):
        answer = self.call("Deliver", self.delivery(*what, **more))
        return answer.get(1, [0])[0], answer.get(2, [0])[0]

    def lines(self):
        params = {"query": f'{{from="{self.name}"}}', "limit": 5000, "start": time.time_ns() - 7200 * 10**9}
        answer = self.hub.get("loki", "/loki/api/v1/query_range", params=params).json
        return sorted(value[1] for stream in answer["data"]["result"] for value in stream["values"])


def refused(work):
    try:
        work()
    except grpc.RpcError as error:
        return error.code().name
    return "OK"


def token(hub, *words):
    done = subprocess.run(
        [str(hub.binary), "token", *words],
        env=hub.environment(), capture_output=True, text=True, timeout=60,
    )
    return done.returncode, done.stdout.strip(), done.stderr.strip()


def main():
    checks = Checks()
    with Bramble(QUIET) as hub:
        node = Node(hub, "attic")
        with checks("nobody comes in without a token"):
            assert refused(node.hello) == "UNAUTHENTICATED"
            assert refused(lambda: node.hello("aaaa.bbbb")) == "UNAUTHENTICATED"
        with checks("a token enrols one node"):
            made = token(hub, "create")
            assert made[0] == 0 and "good for one node" in made[2], made
            assert node.hello(made[1]) == {} and len(node.credential) == 64
            assert refused(lambda: Node(hub, "other").hello(made[1])) == "UNAUTHENTICATED"
            node.hello()
            assert token(hub, "list") == (0, "", "")
        with checks("an entry of a delivery is on the hub when it is answered"):
            assert node.deliver("files", 1, ["one", "two"], [("inode 5", "17"), ("inode 6", "3")]) == (2, 0)
            wait_for("two lines", lambda: node.lines() == ["one", "two"])
        with checks("what was answered survives a power cut, with its positions"):
            assert node.deliver("files", 2, ["three"], [("inode 5", "23"), ("inode 6", "")]) == (1, 0)
            hub.kill()
            hub.start()
            assert node.hello() == {"files": (2, {"inode 5": "23"})}, node.hello()
            assert node.hello(sources=["files", "new"])["new"] == (0, {})
        with checks("a resend is known by its sequence, whatever it holds"):
            node.deliver("files", 2, ["three again"], [("inode 5", "99")])
            assert node.lines() == ["one", "three", "two"], node.lines()
            assert node.hello() == {"files": (2, {"inode 5": "23"})}
        with checks("one source has one delivery at a time, also when its node gives up"):
            def give_up():
                for timeout in (0.001, 0.005, 0.02, 60):
                    try:
                        return node.call("Deliver", node.delivery("files", 3, ["four"], at_ns=at_ns), timeout=timeout)
                    except grpc.RpcError as error:
                        assert error.code() == grpc.StatusCode.DEADLINE_EXCEEDED, error

            at_ns = time.time_ns()
            with concurrent.futures.ThreadPoolExecutor(4) as pool:
                list(pool.map(lambda _: give_up(), range(8)))
            assert node.lines().count("four") == 1, node.lines()
        with checks("late samples pass the window for samples out of order"):
            def sample(seconds_ago, late, sequence):
                at_ms = int((time.time() - seconds_ago) * 1000)
                series = pb.packed(1, [1, 2]) + pb.message(2, pb.double(1, 1.0) + pb.integer(2, at_ms))
                symbols = b"".join(pb.message(4, text) for text in ["", "__name__", "late_or_not"])
                message = pb.message(1, node.id) + pb.message(2, node.credential) + pb.message(3, "scrape")
                message += pb.integer(4, sequence) + pb.integer(5, late) + pb.integer(6, METRICS)
                answer = node.call("Deliver", message + pb.message(8, symbols + pb.message(5, series)))
                return answer.get(1, [0])[0], answer.get(2, [0])[0]

            assert sample(0, False, 1) == (1, 0)
            assert sample(36 * 3600, True, 2) == (1, 0)
        with checks("bad deliveries are refused for good, and nothing of them is kept"):
            whole = node.delivery("files", 4, ["five"])
            assert refused(lambda: node.call("Deliver", whole[:-3])) == "INVALID_ARGUMENT"
            assert refused(lambda: node.call("Deliver", b"\xff" * 40)) == "INVALID_ARGUMENT"
            assert refused(lambda: node.deliver("files", 0, ["five"])) == "INVALID_ARGUMENT"
            assert refused(lambda: node.deliver("a b", 4, ["five"])) == "INVALID_ARGUMENT"
            assert refused(lambda: node.call("Deliver", pb.message(1, "x"))) in ("INVALID_ARGUMENT", "UNAUTHENTICATED")
            assert "five" not in node.lines()
        with checks("the hub tells how its nodes are"):
            answer = hub.get("main", "/api/nodes").json
            one = answer["nodes"][0]
            assert (one["name"], one["health"], one["temperature_celsius"]) == ("attic", "up", 51.5), one
            assert one["queue"]["bytes"] == 1000 and abs(one["queue"]["lasts_seconds"] - ((1 << 30) - 1000) / 100) < 1
            text = hub.get("main", "/metrics").text
            assert f'bramble_node_up{{node="attic",node_id="{node.id}"}} 1' in text
        with checks("a removed node is out"):
            assert http(hub.url("main", f"/api/nodes/{node.id}"), method="DELETE").status == 200
            assert refused(node.hello) == "UNAUTHENTICATED"
            assert refused(lambda: node.deliver("files", 5, ["six"])) == "UNAUTHENTICATED"
            assert "six" not in node.lines()
        with checks("enrolled again, it goes on where it was"):
            known = node.hello(token(hub, "create", "--hours", "1")[1])
            assert known["files"] == (3, {"inode 5": "23"}), known
    return checks.done()


if __name__ == "__main__":
    sys.exit(main())
