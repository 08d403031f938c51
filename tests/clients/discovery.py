"""Discovery against servers that replay recorded answers of Docker and Kubernetes (tests/fixtures), up to the scrape."""

import http.server
import json
import pathlib
import socketserver
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "harness"))
from bramble import QUIET, Bramble, Checks, wait_for

FIXTURES = pathlib.Path(__file__).resolve().parents[1] / "fixtures"
check = Checks()
BEGAN = time.gmtime()

LISTS = {
    "/api/v1/pods": "pods.json",
    "/api/v1/services": "services.json",
    "/api/v1/endpoints": "endpoints.json",
    "/apis/discovery.k8s.io/v1/endpointslices": "endpointslices.json",
    "/apis/networking.k8s.io/v1/ingresses": "ingresses.json",
}
SCHEDULING = {
    "metadata": {"name": "web-1.1", "namespace": "shop", "uid": "e1", "resourceVersion": "9"},
    "involvedObject": {"kind": "Pod", "namespace": "shop", "name": "web-1"},
    "reason": "FailedScheduling",
    "message": "0/3 nodes are available: 3 Insufficient memory.",
    "type": "Warning",
    "count": 1,
}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, body, status=200, kind="application/json"):
        body = body if isinstance(body, bytes) else body.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass

    def address_string(self):
        return "replay"


class Target(Handler):
    def do_GET(self):
        self.answer("# TYPE found gauge\nfound 1\n", kind="text/plain; version=0.0.4")


class Docker(Handler):
    def do_GET(self):
        name = {"/containers/json": "containers.json", "/networks": "networks.json"}.get(self.path.split("?")[0])
        self.answer((FIXTURES / "docker" / name).read_bytes() if name else "{}", 200 if name else 404)


class Kubernetes(Handler):
    """Lists are the recorded ones; watches say nothing until the test ends, or until the token is no longer good."""

    token = "good"
    stop = threading.Event()
    expired = threading.Event()

    def do_GET(self):
        path, _, query = self.path.partition("?")
        if self.token and self.headers.get("Authorization") != f"Bearer {self.token}":
            status = {"kind": "Status", "status": "Failure", "message": "Unauthorized", "code": 401}
            return self.answer(json.dumps(status), 401)
        if "watch=true" in query:
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Connection", "close")
            self.end_headers()
            while not self.stop.is_set() and not self.expired.wait(0.2):
                pass
            self.close_connection = True
            return None
        if path == "/api/v1/events":
            event = SCHEDULING | {"lastTimestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", BEGAN)}
            return self.answer(json.dumps({"metadata": {"resourceVersion": "9"}, "items": [event]}))
        name = LISTS.get(path)
        return self.answer((FIXTURES / "kubernetes" / name).read_bytes() if name else "{}", 200 if name else 404)


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True


class UnixServer(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


def serve(server):
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


CONFIG = """global: {{scrape_interval: 1s, scrape_timeout: 1s}}
scrape_configs:
  - job_name: docker
    docker_sd_configs: [{{host: 'unix://{socket}', refresh_interval: 1s}}]
    relabel_configs:
      - {{source_labels: [__address__], target_label: instance}}
      - {{target_label: __address__, replacement: '{target}'}}
  - job_name: pods
    kubernetes_sd_configs: [{{role: pod, api_server: 'http://{api}', authorization: {{credentials_file: '{token}'}}}}]
    relabel_configs:
      - {{source_labels: [__meta_kubernetes_pod_name], target_label: pod}}
      - {{source_labels: [__address__], target_label: instance}}
      - {{target_label: __address__, replacement: '{target}'}}
  - job_name: slices
    kubernetes_sd_configs:
      - {{role: endpointslice, api_server: 'http://{api}', authorization: {{credentials_file: '{token}'}}}}
    relabel_configs:
      - {{source_labels: [__meta_kubernetes_service_annotation_prometheus_io_scrape], regex: 'true', action: keep}}
      - {{source_labels: [__meta_kubernetes_endpointslice_port_name], regex: metrics, action: keep}}
      - {{source_labels: [__address__], target_label: instance}}
      - {{target_label: __address__, replacement: '{target}'}}
  - job_name: dead
    docker_sd_configs: [{{host: 'unix://{socket}.dead', refresh_interval: 1s}}]
"""


def main():
    with tempfile.TemporaryDirectory() as directory:
        directory = pathlib.Path(directory)
        socket, token = directory / "docker.sock", directory / "token"
        token.write_text("good\n")
        target, api = serve(Server(("127.0.0.1", 0), Target)), serve(Server(("127.0.0.1", 0), Kubernetes))
        serve(UnixServer(str(socket), Docker))
        address = lambda server: "127.0.0.1:%d" % server.server_address[1]
        config = directory / "prometheus.yml"
        config.write_text(CONFIG.format(socket=socket, token=token, target=address(target), api=address(api)))
        with Bramble(environment=QUIET | {"BRAMBLE_SCRAPE_CONFIG": str(config)}) as bramble:
            targets(bramble)
            expiry(bramble, token)
            Kubernetes.stop.set()
        events(directory, address(api))
    return check.done()


def pool(bramble, name):
    active = bramble.get("prometheus", "/api/v1/targets", {"state": "active"}).json["data"]["activeTargets"]
    return sorted(one["labels"]["instance"] for one in active if one["scrapePool"] == name)


def metrics(bramble):
    return bramble.get("main", "/metrics").text


def targets(bramble):
    with check("containers of a Docker socket are Prometheus' targets"):
        wait_for("targets", lambda: len(pool(bramble, "docker")) == 8)
        assert pool(bramble, "docker")[0] == "172.19.0.2:9100"
    with check("pods and endpoint slices are targets, chosen by their service's annotations"):
        wait_for("targets", lambda: pool(bramble, "pods") == ["172.17.0.2:1234"])
        wait_for("targets", lambda: pool(bramble, "slices") == ["10.244.0.3:9153"])
    with check("what was found is scraped, with the labels of discovery"):
        found = lambda: bramble.get("prometheus", "/api/v1/query", {"query": "found"}).json["data"]["result"]
        wait_for("samples of all targets", lambda: len(found()) >= 10)
        assert [one["metric"]["pod"] for one in found() if one["metric"]["job"] == "pods"] == ["etcd-m01"]
    with check("a dead Docker socket is seen"):
        line = 'bramble_discovery_failing{job="dead",mechanism="docker"} 1'
        wait_for("the metric", lambda: line in metrics(bramble))


def expiry(bramble, token):
    failing = 'bramble_discovery_failing{job="pods",mechanism="kubernetes"} %d'
    with check("an expired token is seen, and targets stay"):
        Kubernetes.token = "new"
        Kubernetes.expired.set()
        wait_for("the metric", lambda: failing % 1 in metrics(bramble))
        assert pool(bramble, "pods") == ["172.17.0.2:1234"]
    with check("a replaced token is read again"):
        Kubernetes.expired.clear()
        token.write_text("new\n")
        wait_for("the metric", lambda: failing % 0 in metrics(bramble))
        assert pool(bramble, "pods") == ["172.17.0.2:1234"]


def events(directory, api):
    """Each event once, over lost connections and a crash."""
    Kubernetes.token = None
    Kubernetes.stop.clear()
    environment = QUIET | {"BRAMBLE_KUBERNETES_EVENTS": "true", "BRAMBLE_KUBERNETES_API_SERVER": f"http://{api}"}
    query = {"query": '{job="kubernetes-events"}', "limit": 100}
    lines = lambda bramble: [
        line
        for stream in bramble.get("loki", "/loki/api/v1/query_range", query).json["data"]["result"]
        for _, line in stream["values"]
    ]
    with Bramble(environment=environment) as bramble:
        with check("a cluster's events are log lines"):
            wait_for("the line", lambda: any("reason=FailedScheduling" in line for line in lines(bramble)))
        with check("after a crash no event is told again"):
            bramble.kill()
            bramble.start()
            wait_for("the list", lambda: "bramble_kubernetes_events_known 1" in metrics(bramble))
            wait_for("the line", lambda: lines(bramble))
            assert len(lines(bramble)) == 1, lines(bramble)
    Kubernetes.stop.set()


if __name__ == "__main__":
    sys.exit(main())
