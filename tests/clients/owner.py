"""No owner, the set-up over the network, and then real clients with tokens, without, and with wrong ones.

Other machines are addresses of this one: a private and a public one on the loopback interface, which only root may add. Without
root nothing is checked, and that is said.
"""

import base64
import contextlib
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "harness"))
from bramble import BINARY, QUIET, TARGET, Bramble, Checks, http, wait_for
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as Grpc
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as Http
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

LAN, FAR = "10.213.99.1", "198.51.100.77"
TOOLS = TARGET / "tools/prometheus/usr/bin"
SETTINGS = {**QUIET, "BRAMBLE_DOORS_LISTEN": "0.0.0.0", "BRAMBLE_SECURITY_REQUIRE_OWNER": "true"}
PASSWORD = "correct horse battery"
check = Checks()


def equal(got, wanted):
    assert got == wanted, f"got {str(got)[:300]}, wanted {str(wanted)[:300]}"


@contextlib.contextmanager
def addresses():
    """The two addresses, taken away afterwards."""
    try:
        for address in (LAN, FAR):
            subprocess.run(["ip", "address", "add", f"{address}/32", "dev", "lo"], check=True, capture_output=True)
        yield
    finally:
        for address in (LAN, FAR):
            subprocess.run(["ip", "address", "del", f"{address}/32", "dev", "lo"], check=False, capture_output=True)


class World:
    """A Bramble seen from several places."""

    def __init__(self, bramble):
        self.bramble = bramble
        self.cookie = None

    def ask(self, place, path, door="main", method="GET", body=None, cookie=None, token=None, **headers):
        port = self.bramble.ports[door]
        sent = {"Content-Type": "application/json", **headers}
        if cookie:
            sent |= {"Cookie": cookie, "Origin": f"http://{place}:{port}"}
        if token:
            sent["Authorization"] = f"Bearer {token}"
        data = None if body is None else json.dumps(body).encode()
        return http(f"http://{place}:{port}{path}", data, sent, method)

    def command(self, *words):
        """A command of the machine itself."""
        run = [str(BINARY), *words, "--data-dir", str(self.bramble.data_dir)]
        return subprocess.run(run, env=self.bramble.environment(), capture_output=True, text=True, timeout=60)

    def token(self, *scopes):
        made = self.ask(LAN, "/api/v1/tokens", method="POST", body={"name": "test", "scopes": scopes}, cookie=self.cookie)
        equal(made.status, 201)
        return made.json

    def write_line(self, place, **more):
        values = [[str(time.time_ns()), "a line"]]
        push = {"streams": [{"stream": {"job": "owner"}, "values": values}]}
        return self.ask(place, "/loki/api/v1/push", "loki", "POST", push, **more).status

    def metric(self, name, **labels):
        text = self.ask("127.0.0.1", "/metrics", token=self.local()).text
        total = 0
        for line in text.splitlines():
            if line.startswith(name) and all(f'{k}="{v}"' in line for k, v in labels.items()):
                total += float(line.rsplit(" ", 1)[1])
        return total

    def local(self):
        return (self.bramble.data_dir / "local-secret").read_text()


def spans():
    """Two finished spans."""
    memory = InMemorySpanExporter()
    provider = TracerProvider(resource=Resource({"service.name": "owner"}))
    provider.add_span_processor(SimpleSpanProcessor(memory))
    tracer = provider.get_tracer("test")
    for name in ("one", "two"):
        tracer.start_span(name).end()
    return memory.get_finished_spans()


def exported(world, place, protocol, token=None):
    """Whether the OpenTelemetry SDK's exporter says that it was taken."""
    if protocol == "grpc":
        headers = (("authorization", f"Bearer {token}"),) if token else None
        endpoint = f"http://{place}:{world.bramble.ports['otlp_grpc']}"
        exporter = Grpc(endpoint=endpoint, insecure=True, headers=headers, timeout=10)
    else:
        headers = {"Authorization": f"Bearer {token}"} if token else None
        endpoint = f"http://{place}:{world.bramble.ports['otlp_http']}/v1/traces"
        exporter = Http(endpoint=endpoint, headers=headers, timeout=10)
    try:
        return exporter.export(spans()) == SpanExportResult.SUCCESS
    finally:
        exporter.shutdown()


def syslog(world, place, text):
    """One message by TCP."""
    with socket.create_connection((place, world.bramble.ports["syslog"]), timeout=10) as connection:
        with contextlib.suppress(OSError):
            connection.sendall(f"<13>1 - host app - - - {text}\n".encode())
            connection.shutdown(socket.SHUT_WR)
            connection.recv(1)


def before_there_is_an_owner(world):
    with check("others get the set-up and health, and nothing else"):
        for path in ("/-/healthy", "/-/ready", "/api/health", "/health", "/setup", "/api/v1/owner"):
            door = "prometheus" if path == "/health" else "main"
            equal((path, world.ask(LAN, path, door).status), (path, 200))
        for door, path in (("main", "/api/v1/status"), ("main", "/metrics"), ("loki", "/loki/api/v1/labels"),
                           ("prometheus", "/api/v1/labels"), ("tempo", "/api/search"), ("jaeger", "/api/services")):
            answer = world.ask(LAN, path, door)
            equal((path, answer.status), (path, 403))
            assert "no owner yet" in answer.text, answer.text
        equal(world.ask(LAN, "/api/v1/owner").json, {"set": False, "required": True, "signed_in": False})
        page = world.ask(LAN, "/", Accept="text/html")
        assert page.status == 200 and "<html" in page.text or "web UI" in page.text, page.text[:200]
    with check("others may not send, by no protocol"):
        equal(world.write_line(LAN), 403)
        equal([exported(world, LAN, protocol) for protocol in ("grpc", "http")], [False, False])
        syslog(world, LAN, "nobody hears this")
        wait_for("the count", lambda: world.metric("bramble_receive_rejected_total", reason="not_admitted") == 1)
    with check("this machine may do all"):
        equal(world.write_line("127.0.0.1"), 204)
        equal([exported(world, "127.0.0.1", protocol) for protocol in ("grpc", "http")], [True, True])
        equal(world.ask("127.0.0.1", "/api/v1/status").status, 200)
    with check("a proxy on this machine makes nobody local"):
        equal(world.ask("127.0.0.1", "/api/v1/status", **{"X-Forwarded-For": "127.0.0.1"}).status, 403)


def set_up(world):
    code = world.command("owner", "code").stdout.strip()
    asked = {"code": code, "name": "Ada", "password": PASSWORD, "ingest": "private"}
    with check("the code is six digits that only we read"):
        assert re.fullmatch(r"\d{6}", code), code
        equal((world.bramble.data_dir / "setup-code").stat().st_mode & 0o777, 0o600)
    with check("a wrong code, a short password and a page of another site do not set an owner"):
        wrong = "000000" if code != "000000" else "000001"
        equal(world.ask(LAN, "/api/v1/owner", method="POST", body=asked | {"code": wrong}).status, 403)
        equal(world.ask(LAN, "/api/v1/owner", method="POST", body=asked | {"password": "short"}).status, 400)
        equal(world.ask(LAN, "/api/v1/owner", method="POST", body=asked, Origin="http://evil.example").status, 403)
    with check("the code sets the owner, who is signed in"):
        answer = world.ask(LAN, "/api/v1/owner", method="POST", body=asked)
        equal(answer.status, 201)
        world.cookie = answer.headers["Set-Cookie"].split(";")[0]
        assert "HttpOnly" in answer.headers["Set-Cookie"] and "SameSite=Strict" in answer.headers["Set-Cookie"]
        equal(world.ask(LAN, "/api/v1/owner", cookie=world.cookie).json["name"], "Ada")
        equal(world.ask(LAN, "/api/v1/status", cookie=world.cookie).status, 200)
        assert not (world.bramble.data_dir / "setup-code").exists()
    with check("a second owner is not set"):
        equal(world.ask(LAN, "/api/v1/owner", method="POST", body=asked).status, 409)


def commands(world):
    with check("the command line of the machine works: token, owner, doctor"):
        made = world.command("token", "create")
        equal((made.returncode, made.stderr[:0]), (0, ""))
        assert "owner: Ada" in world.command("owner", "status").stdout
        told = world.command("doctor").stdout
        assert "it collects and sends without trouble" in told, told[-600:]
        equal(world.ask("127.0.0.1", "/api/nodes/tokens").status, 401)


def clients(world):
    ingest, read = world.token("ingest"), world.token("read")
    with check("from private networks clients send as before, from elsewhere they do not"):
        equal([exported(world, LAN, p) for p in ("grpc", "http")], [True, True])
        equal([exported(world, FAR, p) for p in ("grpc", "http")], [False, False])
        equal([world.write_line(place) for place in ("127.0.0.1", LAN, FAR)], [204, 204, 401])
    with check("the OpenTelemetry SDK sends with a token from anywhere, not with one that only reads"):
        equal([exported(world, FAR, p, ingest["token"]) for p in ("grpc", "http")], [True, True])
        equal([exported(world, FAR, p, read["token"]) for p in ("grpc", "http")], [False, False])
    with check("Loki's senders: basic authentication with the token as password"):
        basic = base64.b64encode(f"agent:{ingest['token']}".encode()).decode()
        equal(world.write_line(FAR, Authorization=f"Basic {basic}"), 204)
        equal(world.write_line(FAR, Authorization="Basic YWdlbnQ6bm8="), 401)
    if (TOOLS / "promtool").exists():
        with check("Prometheus writes with the token, promtool asks with the other"):
            prometheus(world, ingest["token"], read["token"])
    else:
        print("note: no Prometheus here, its remote write is not checked")
    with check("who only reads does not delete; who only sends does not read"):
        deletion = "/loki/loki/api/v1/delete?query=%7Bjob%3D%22owner%22%7D&start=0"
        equal(world.ask(LAN, deletion, method="POST", body={}, token=read["token"]).status, 403)
        equal(world.ask(LAN, "/loki/loki/api/v1/labels", token=ingest["token"]).status, 403)
        equal(world.ask(LAN, "/loki/loki/api/v1/labels", token=read["token"]).status, 200)
    with check("another hub asks with a token, a node sends with its own credential"):
        other_machines(world)
    with check("where the owner says so every other machine needs a token"):
        equal(world.ask(LAN, "/api/v1/owner", method="PATCH", body={"ingest": "token"}, cookie=world.cookie).status, 200)
        equal([exported(world, LAN, p) for p in ("grpc", "http")], [False, False])
        equal([exported(world, LAN, p, ingest["token"]) for p in ("grpc", "http")], [True, True])
        equal([world.write_line(place) for place in ("127.0.0.1", LAN)], [204, 401])
        refused = world.metric("bramble_receive_rejected_total", reason="not_admitted")
        syslog(world, LAN, "nor this")
        wait_for("the count", lambda: world.metric("bramble_receive_rejected_total", reason="not_admitted") > refused)
    with check("refusals are counted by reason"):
        counted(world, "no_owner", "no_credential", "wrong_credential", "scope", "code", "other_site")
    with check("a token that is revoked is no longer good, also after a restart"):
        path = f"/api/v1/tokens/{ingest['id']}"
        equal(world.ask(LAN, path, method="DELETE", cookie=world.cookie).status, 200)
        equal(exported(world, FAR, "http", ingest["token"]), False)
        world.bramble.stop()
        world.bramble.start()
        equal(exported(world, FAR, "grpc", ingest["token"]), False)
        equal(world.ask(LAN, "/api/v1/status", cookie=world.cookie).status, 200)
        listed = world.ask(LAN, "/api/v1/tokens", cookie=world.cookie).json["tokens"]
        ids = [token["id"] for token in listed]
        assert read["id"] in ids and ingest["id"] not in ids, ids


def other_machines(world):
    """Another hub and a node, at an address from which a token is needed."""
    main = f"http://{FAR}:{world.bramble.ports['main']}"
    token = world.token("read")["token"]
    query = {"query": '{job="owner"}', "since": "1h"}
    for shown, found in ((token, True), ("", False)):
        peering = {**QUIET, "BRAMBLE_CLUSTER_PEERS": main, "BRAMBLE_CLUSTER_PEER_TOKEN": shown}
        peering |= {"BRAMBLE_CLUSTER_ANNOUNCE": "false"}
        with Bramble(environment=peering) as other:

            def ask():
                return other.get("loki", "/loki/api/v1/query_range", query).json["data"]["result"]

            if found:
                wait_for("lines of the other hub", ask)
            else:
                equal(ask(), [])
    enrolment = world.command("token", "create").stdout.strip()
    node = {**QUIET, "BRAMBLE_CLUSTER_ROLE": "node", "BRAMBLE_NODE_TOKEN": enrolment, "BRAMBLE_NODE_NAME": "shed"}
    node |= {"BRAMBLE_NODE_HUBS": f"{FAR}:{world.bramble.ports['otlp_grpc']}"}
    node |= {"BRAMBLE_DOORS_LISTEN": "0.0.0.0", "BRAMBLE_SECURITY_REQUIRE_OWNER": "true"}
    with Bramble(environment=node) as shed:

        def healths():
            return [node["health"] for node in world.ask(LAN, "/api/nodes", cookie=world.cookie).json["nodes"]]

        wait_for("the node", lambda: healths() == ["up"])
        there = World(shed)
        equal([there.write_line(place) for place in ("127.0.0.1", LAN, FAR)], [204, 204, 403])
        equal([there.ask(place, "/metrics").status for place in (LAN, FAR)], [200, 403])
        equal(there.ask(LAN, "/-/reload", method="POST", body={}).status, 403)


def prometheus(world, ingest, read):
    """A Prometheus that scrapes itself and writes to an address from which a token is needed; promtool asks for it."""
    directory = pathlib.Path(tempfile.mkdtemp(prefix="bramble-owner-"))
    write = f"http://{FAR}:{world.bramble.ports['prometheus']}/api/v1/write"
    (directory / "prometheus.yml").write_text(
        "global: {scrape_interval: 1s}\n"
        "scrape_configs: [{job_name: itself, static_configs: [{targets: ['127.0.0.1:19797']}]}]\n"
        f"remote_write: [{{url: '{write}', authorization: {{credentials: '{ingest}'}}}}]\n"
    )
    (directory / "http.yml").write_text(f"authorization: {{credentials: '{read}'}}\n")
    server = f"http://{FAR}:{world.bramble.ports['prometheus']}"
    command = [str(TOOLS / "prometheus"), f"--config.file={directory}/prometheus.yml",
               f"--storage.tsdb.path={directory}/data", "--web.listen-address=127.0.0.1:19797"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        def asked(*config):
            ask = [str(TOOLS / "promtool"), "query", "instant", *config, server, 'up{job="itself"}']
            return subprocess.run(ask, capture_output=True, text=True, timeout=30)

        wait_for("samples", lambda: "=> 1" in asked(f"--http.config.file={directory}/http.yml").stdout)
        told = asked()
        assert told.returncode != 0 and "token is needed" in told.stdout + told.stderr, told.stdout + told.stderr
    finally:
        process.terminate()
        process.wait(20)
        shutil.rmtree(directory, ignore_errors=True)


def counted(world, *reasons):
    """That each of them was a reason."""
    for reason in reasons:
        assert world.metric("bramble_auth_refusals_total", reason=reason) > 0, reason


def passwords_and_reset(world):
    with check("wrong passwords are slowed down, the right one of another address is not"):
        wrong = {"name": "Ada", "password": "not this one"}
        answers = [world.ask(FAR, "/api/v1/session", method="POST", body=wrong).status for _ in range(6)]
        equal(answers, [403] * 5 + [429])
        right = world.ask(LAN, "/api/v1/session", method="POST", body=wrong | {"password": PASSWORD})
        equal(right.status, 200)
        second = right.headers["Set-Cookie"].split(";")[0]
        equal(world.ask(LAN, "/api/v1/session", method="DELETE", cookie=second).status, 200)
        equal(world.ask(LAN, "/api/v1/status", cookie=second).status, 401)
    with check("wrong tries are counted"):
        counted(world, "password", "throttled")
    with check("the machine forgets its owner; sessions and tokens go with it"):
        told = world.command("owner", "reset", "--yes")
        assert told.returncode == 0 and re.search(r"^\d{6}$", told.stdout, re.M), told
        equal(world.ask(LAN, "/api/v1/status", cookie=world.cookie).status, 403)
        equal(world.ask(LAN, "/api/v1/owner").json["set"], False)


def nothing_required():
    """As everywhere but on the image: without an owner all is open."""
    open_to_all = {**QUIET, "BRAMBLE_DOORS_LISTEN": "0.0.0.0"}
    with Bramble(environment=open_to_all) as bramble, check("where none is required and there is none, all is open"):
        world = World(bramble)
        equal(world.write_line(FAR), 204)
        equal(world.ask(FAR, "/api/v1/status").status, 200)
        equal(exported(world, FAR, "grpc", "whatever"), True)


def main():
    if os.geteuid() != 0 or not shutil.which("ip"):
        print("note: only root may add addresses, with `ip`: nothing is checked")
        return check.done()
    with addresses():
        with Bramble(environment=SETTINGS) as bramble:
            world = World(bramble)
            before_there_is_an_owner(world)
            set_up(world)
            if world.cookie:
                commands(world)
                clients(world)
                passwords_and_reset(world)
        nothing_required()
    return check.done()


sys.exit(main())
