"""A hub and nodes on machines of their own, for tests: enrolled, loaded, cut off, killed, and counted."""

import collections
import contextlib
import os
import pathlib
import random
import signal
import subprocess
import sys
import tempfile
import time
import shutil

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "harness")]

import bramble  # noqa: E402
from load import Load  # noqa: E402
from network import Network  # noqa: E402

# Doors that the test uses; the others would only cost start-up time.
OFF = ["victoria_metrics", "jaeger", "otlp_grpc_old", "otlp_http_old", "jaeger_thrift_compact", "jaeger_thrift_binary",
       "jaeger_thrift_http", "jaeger_grpc", "jaeger_sampling", "zipkin", "health", "correlation", "jaeger_health"]

COMMON = """
[host]
enabled = false
[own]
enabled = false
[journald]
enabled = "off"
[kmsg]
enabled = "off"
[journal]
sender_wait = "100ms"
[doors]
listen = "0.0.0.0"
{doors}
"""

HUB = """
[loki]
max_entries_limit_per_query = 10000000
[correlation]
enabled = false
"""

NODE = """
[cluster]
role = "node"
[node]
name = "{name}"
{hubs}
token_file = "{token_file}"
[[files]]
include = ["{folder}/app.log*"]
start = "beginning"
labels = {{ service = "files-{name}" }}
"""


class Process:
    """A Bramble on a machine, with its data directory, which outlives it."""

    def __init__(self, machine, folder, settings):
        self.machine, self.folder = machine, pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.config = self.folder / "bramble.toml"
        self.config.write_text(settings)
        self.log = self.folder / "bramble.log"
        self.process = None

    def start(self):
        environment = {k: v for k, v in os.environ.items() if not k.startswith("BRAMBLE_")}
        words = [str(bramble.BINARY), "serve", "--config", str(self.config), "--data-dir", str(self.folder / "data")]
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                self.machine.command(*words),
                env={**environment, "NO_COLOR": "1"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def is_running(self):
        return self.process is not None and self.process.poll() is None

    def power_cut(self):
        """SIGKILL to all of the process group, as the power goes."""
        if self.process:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def wait_ready(self):
        def ready():
            if not self.is_running():
                raise RuntimeError(f"{self.machine.name} ended:\n{self.log.read_text(errors='replace')[-3000:]}")
            return bramble.http(f"http://{self.machine.near}:3000/-/ready", timeout=5).status == 200

        bramble.wait_for(f"{self.machine.name} to be ready", ready)

    def run(self, *words):
        """A command of the binary on that machine; what it prints."""
        done = subprocess.run(
            self.machine.command(str(bramble.BINARY), words[0], "--config", str(self.config), *words[1:]),
            capture_output=True, text=True, timeout=60,
        )
        if done.returncode != 0:
            raise AssertionError(f"bramble {' '.join(words)}: {done.stderr}")
        return done.stdout.strip()


class Cluster:
    """`with Cluster(nodes=3) as cluster:` one hub and nodes that are enrolled and up. Those in `find` look for it by mDNS."""

    def __init__(self, nodes=3, rate=20, find=()):
        self.count, self.rate, self.find = nodes, rate, find
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="bramble-cluster-"))
        self.nodes, self.loads = [], []

    def __enter__(self):
        self.network = Network().__enter__()
        try:
            doors = "\n".join(f'{door} = "off"' for door in OFF)
            common = COMMON.format(doors=doors)
            self.hub = Process(self.network.machine("hub"), self.folder / "hub", common + HUB)
            self.hub.start()
            self.hub.wait_ready()
            for number in range(1, self.count + 1):
                self.add_node(f"n{number}", common)
            bramble.wait_for("all nodes to be up", self.all_up)
        except BaseException:
            self.__exit__(*sys.exc_info())
            raise
        return self

    def add_node(self, name, common):
        machine = self.network.machine(name)
        folder = self.folder / name
        folder.mkdir()
        (folder / "token").write_text(self.hub.run("token", "create"))
        hubs = "" if name in self.find else f'hubs = ["{self.hub.machine.address}:4317"]'
        files = folder / "logs"
        settings = NODE.format(name=name, hubs=hubs, token_file=folder / "token", folder=files)
        node = Process(machine, folder, common + settings)
        self.nodes.append(node)
        self.loads.append(Load(name, machine.near, str(files), self.rate))
        node.start()
        node.wait_ready()

    def hub_url(self, port, path):
        return f"http://{self.hub.machine.near}:{port}{path}"

    def seen(self):
        """Nodes as the hub tells of them, by name."""
        answer = bramble.http(self.hub_url(3000, "/api/nodes"), timeout=10)
        return {node["name"]: node for node in answer.json["nodes"]}

    def all_up(self):
        seen = self.seen()
        return len(seen) == self.count and all(node["health"] == "up" for node in seen.values())

    def __exit__(self, kind, *_):
        for load in self.loads:
            load.stopping.set()
            load.giving_up.set()
        for process in [*self.nodes, getattr(self, "hub", None)]:
            if process:
                process.power_cut()
                if kind:
                    print(f"--- last of {process.machine.name}\n{process.log.read_text(errors='replace')[-2500:]}")
        self.network.__exit__()
        if not os.environ.get("CLUSTER_KEEP"):
            shutil.rmtree(self.folder, ignore_errors=True)

    # What happens to them.

    def trouble(self, seconds, seed):
        """Cuts links, kills the hub and nodes at random for so long; everything works again at the end. How often what."""
        chance = random.Random(seed)
        kinds = ["link", "silent link", "hub", "node", "hub and node", "hub's link"]
        end, told, done = time.monotonic() + seconds, [], collections.Counter()
        while time.monotonic() < end:
            # Each kind once before any comes again.
            if not told:
                told = chance.sample(kinds, len(kinds))
            kind, node = told.pop(), chance.choice(self.nodes)
            done[kind] += 1
            pause = min(chance.uniform(1.5, 6.0), max(1.0, end - time.monotonic()))
            match kind:
                case "link" | "silent link":
                    node.machine.cut(silently=kind == "silent link")
                    time.sleep(pause)
                    node.machine.mend()
                case "hub's link":
                    self.hub.machine.cut(silently=chance.random() < 0.5)
                    time.sleep(pause)
                    self.hub.machine.mend()
                case "hub":
                    self.hub.power_cut()
                    time.sleep(pause)
                    self.hub.start()
                case "node":
                    node.power_cut()
                    time.sleep(pause / 2)
                    node.start()
                case "hub and node":
                    self.hub.power_cut()
                    time.sleep(pause / 2)
                    node.power_cut()
                    time.sleep(pause / 2)
                    node.start()
                    self.hub.start()
            time.sleep(chance.uniform(0.5, 3.0))
        for process in [self.hub, *self.nodes]:
            process.wait_ready()
        return done

    # What the hub has.

    def lines(self, service, start_ns):
        """Every line of a service, with how often it is there."""
        params = {"query": f'{{service="{service}"}}', "start": start_ns, "end": time.time_ns() + 60_000_000_000,
                  "limit": 10_000_000, "direction": "forward"}
        answer = bramble.http(self.hub_url(3100, "/loki/api/v1/query_range"), params=params)
        if answer.status != 200:
            raise AssertionError(f"{service}: {answer.status} {answer.text[:200]}")
        values = [value for stream in answer.json["data"]["result"] for value in stream["values"]]
        return collections.Counter(value[1] for value in values)

    def samples(self, name, seconds):
        """Samples of a node's metric: timestamp in ms to value, and how often a timestamp is there twice."""
        params = {"query": f'cluster_load{{from="{name}"}}[{seconds}s]'}
        answer = bramble.http(self.hub_url(9090, "/api/v1/query"), params=params).json
        found, twice = {}, 0
        for series in answer["data"]["result"]:
            for at, value in series["values"]:
                at_ms = round(at * 1000)
                twice += at_ms in found
                found[at_ms] = float(value)
        return found, twice

    def span_ids(self, trace):
        """Ids of a trace's spans, in hexadecimal digits; empty when the hub has no such trace."""
        answer = bramble.http(self.hub_url(3200, f"/api/traces/{trace}"), headers={"Accept": "application/json"})
        if answer.status == 404:
            return []
        import base64

        ids = []
        for batch in answer.json.get("batches", answer.json.get("resourceSpans", [])):
            for scope in batch.get("scopeSpans", batch.get("instrumentationLibrarySpans", [])):
                for span in scope["spans"]:
                    text = span["spanId"]
                    ids.append(text if len(text) == 16 else base64.b64decode(text).hex())
        return ids
