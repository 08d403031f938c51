"""A Bramble of one's own, for black-box tests: the release binary on free ports and a fresh data directory.

Standard library only. `HOUSE_BIN` names another binary, `CARGO_TARGET_DIR` another target directory. Ends only the
process that it started.
"""

import contextlib
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
BINARY = pathlib.Path(os.environ.get("HOUSE_BIN", TARGET / "release" / "bramble"))

DOORS = [
    "main",
    "prometheus",
    "victoria_metrics",
    "loki",
    "tempo",
    "jaeger",
    "otlp_grpc",
    "otlp_grpc_old",
    "otlp_http",
    "otlp_http_old",
    "jaeger_thrift_compact",
    "jaeger_thrift_binary",
    "jaeger_thrift_http",
    "jaeger_grpc",
    "jaeger_sampling",
    "zipkin",
    "health",
    "correlation",
    "jaeger_health",
    "syslog",
]

# A busy machine is slow; nothing here judges speed.
PATIENCE_S = 60

# Old data is taken and kept: what recorded suites need.
OLD_DATA = {
    "BRAMBLE_INGEST_MAX_AGE": "off",
    "BRAMBLE_INGEST_MAX_AHEAD": "off",
    "BRAMBLE_STORAGE_HOT_DAYS": "36500",
    "BRAMBLE_STORAGE_WARM_DAYS": "36500",
    "BRAMBLE_STORAGE_COLD_DAYS": "36500",
}

# Nothing but what a test sends.
QUIET = {
    "BRAMBLE_HOST_ENABLED": "false",
    "BRAMBLE_OWN_ENABLED": "false",
    "BRAMBLE_JOURNALD_ENABLED": "off",
    "BRAMBLE_KMSG_ENABLED": "off",
}


def free_ports(count):
    """Ports of the loopback that nobody listens on; held together, so that they differ."""
    held = []
    for _ in range(count):
        s = socket.socket()
        s.bind(("127.0.0.1", 0))
        held.append(s)
    ports = [s.getsockname()[1] for s in held]
    for s in held:
        s.close()
    return ports


class Answer:
    """Status, headers and body of an answer; an HTTP error is an answer too."""

    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def text(self):
        return self.body.decode("utf-8", "replace")

    @property
    def json(self):
        return json.loads(self.body)


def http(url, body=None, headers=None, method=None, params=None, timeout=PATIENCE_S):
    """One request; `params` (dict or list of pairs) become the query string."""
    if params:
        url += "?" + urllib.parse.urlencode(params, doseq=True)
    request = urllib.request.Request(url, data=body, headers=headers or {}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=timeout) as response:
            return Answer(response.status, response.headers, response.read())
    except urllib.error.HTTPError as error:
        return Answer(error.code, error.headers, error.read())


def wait_for(what, probe, patience=PATIENCE_S):
    """Asks `probe` until it answers something true, and returns that. A refused connection is "not yet"."""
    end = time.monotonic() + patience
    last = None
    while time.monotonic() < end:
        try:
            last = probe()
            if last:
                return last
        except (OSError, ValueError, KeyError, IndexError) as error:
            last = error
        time.sleep(0.1)
    raise AssertionError(f"waited {patience} s for {what}; last: {last!r}")


class Bramble:
    """`with Bramble() as b:` serves; `b.kill()` is a crash, `b.stop()` a SIGTERM, `b.start()` starts it again."""

    def __init__(self, environment=None, data_dir=None, binary=BINARY, arguments=()):
        self.binary = binary
        # More of the command line, such as --config FILE.
        self.arguments = list(arguments)
        self.ports = dict(zip(DOORS, free_ports(len(DOORS))))
        self.settings = {f"BRAMBLE_DOORS_{d.upper()}": str(p) for d, p in self.ports.items()}
        # Half a second less waiting per acknowledged push.
        self.settings["BRAMBLE_JOURNAL_SENDER_WAIT"] = "100ms"
        self.settings.update(environment or {})
        self.own_dir = None if data_dir else tempfile.mkdtemp(prefix="bramble-test-")
        self.data_dir = pathlib.Path(data_dir or self.own_dir) / ("data" if not data_dir else "")
        self.log_path = pathlib.Path(tempfile.mkstemp(prefix="bramble-test-", suffix=".log")[1])
        self.process = None
        self.ready_s = None

    def environment(self):
        """The caller's environment without its own BRAMBLE_ settings, which would leak into the test."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith("BRAMBLE_")}
        return {**kept, **self.settings, "NO_COLOR": "1"}

    def url(self, door, path=""):
        return f"http://127.0.0.1:{self.ports[door]}{path}"

    def get(self, door, path, params=None, **more):
        return http(self.url(door, path), params=params, **more)

    def post(self, door, path, body, headers=None, **more):
        return http(self.url(door, path), body=body, headers=headers, method="POST", **more)

    def start(self, wait=True):
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                [str(self.binary), "serve", "--data-dir", str(self.data_dir), *self.arguments],
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        began = time.monotonic()
        if wait:
            self.wait_ready()
            self.ready_s = time.monotonic() - began
        return self

    def wait_ready(self):
        def ready():
            if self.process.poll() is not None:
                raise RuntimeError(f"bramble ended with {self.process.returncode}:\n{self.log()}")
            return self.get("prometheus", "/-/ready", timeout=5).status == 200

        wait_for("readiness", ready)

    def log(self):
        return self.log_path.read_text(errors="replace")

    def kill(self):
        """As a power cut, to the process: SIGKILL."""
        self.process.kill()
        self.process.wait()

    def stop(self):
        """SIGTERM; returns the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE_S)

    def __enter__(self):
        return self.start()

    def __exit__(self, kind, *_):
        with contextlib.suppress(Exception):
            if self.process and self.process.poll() is None:
                self.kill()
        if kind:
            print(f"--- last of bramble's log\n{self.log()[-3000:]}")
        if self.own_dir:
            shutil.rmtree(self.own_dir, ignore_errors=True)
        self.log_path.unlink(missing_ok=True)

    def feed_a_little(self):
        """Some logs and a trace, so that pages that show them have something to show."""
        now = time.time_ns()
        values = [[str(now - i * 1_000_000), f'level=info msg="request served" path=/ ms={i}'] for i in range(50)]
        push = {"streams": [{"stream": {"service": "shop", "env": "test"}, "values": values}]}
        self.post("loki", "/loki/api/v1/push", json.dumps(push).encode(), {"Content-Type": "application/json"})
        spans = [
            {
                "traceId": f"{trace + 1:032x}",
                "spanId": f"{trace * 16 + i + 1:016x}",
                "parentSpanId": f"{trace * 16 + 1:016x}" if i else "",
                "name": f"step {i}",
                "kind": 2,
                "startTimeUnixNano": str(now - 50_000_000 + i * 1_000_000),
                "endTimeUnixNano": str(now - i * 1_000_000),
            }
            for trace in range(5)
            for i in range(4)
        ]
        resource = {"attributes": [{"key": "service.name", "value": {"stringValue": "shop"}}]}
        body = {"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": spans}]}]}
        self.post("otlp_http", "/v1/traces", json.dumps(body).encode(), {"Content-Type": "application/json"})


class Checks:
    """Counts; `with checks("what"):` is one check, whose exception is its failure."""

    def __init__(self):
        self.passed = self.failed = 0

    @contextlib.contextmanager
    def __call__(self, what):
        try:
            yield
            self.passed += 1
            print(f"ok    {what}", flush=True)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is this check's failure
            self.failed += 1
            print(f"FAIL  {what}: {type(error).__name__}: {error}", flush=True)

    def done(self):
        print(f"{self.passed} passed, {self.failed} failed")
        return 1 if self.failed else 0
