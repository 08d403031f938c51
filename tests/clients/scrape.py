"""A stock Prometheus' configuration file as it is, targets that misbehave, and reloading with a file that is broken."""

import gzip
import http.server
import pathlib
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "harness"))
from bramble import QUIET, Bramble, Checks, http as ask, wait_for

check = Checks()

# The file that Debian's package installs, with its comments, two addresses and the intervals replaced.
STOCK = """# Sample config for Prometheus.

global:
  scrape_interval:     1s # Set the scrape interval to every 15 seconds. Default is every 1 minute.
  evaluation_interval: 15s # Evaluate rules every 15 seconds. The default is every 1 minute.
  scrape_timeout: 1s

  # Attach these labels to any time series or alerts when communicating with
  # external systems (federation, remote storage, Alertmanager).
  external_labels:
      monitor: 'example'

# Alertmanager configuration
alerting:
  alertmanagers:
  - static_configs:
    - targets: ['localhost:9093']

# Load rules once and periodically evaluate them according to the global 'evaluation_interval'.
rule_files:
  # - "first_rules.yml"
  # - "second_rules.yml"

# A scrape configuration containing exactly one endpoint to scrape:
# Here it's Prometheus itself.
scrape_configs:
  # The job name is added as a label `job=<job_name>` to any timeseries scraped from this config.
  - job_name: 'prometheus'

    # Override the global default and scrape targets from this job every 5 seconds.
    scrape_interval: 1s
    scrape_timeout: 1s

    # metrics_path defaults to '/metrics'
    # scheme defaults to 'http'.

    static_configs:
      - targets: ['{target}']

  - job_name: node
    # If prometheus-node-exporter is installed, grab stats about the local
    # machine by default.
    static_configs:
      - targets: ['{target}']
"""

HOSTILE = """  - job_name: {job}
    metrics_path: /{job}
    static_configs: [{{targets: ['{target}']}}]
"""

PAGE = b"# HELP shop_orders_total Orders.\n# TYPE shop_orders_total counter\nshop_orders_total{kind=\"a\"} 3\n"


class Target(http.server.BaseHTTPRequestHandler):
    """Pages by path."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        getattr(self, self.path.strip("/").replace("-", "_"), self.missing)()

    def page(self, body, content_type="text/plain; version=0.0.4", encoding=None):
        self.send_response(200)
        self.send_header("Content-Type", content_type)
        if encoding:
            self.send_header("Content-Encoding", encoding)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def metrics(self):
        accept = self.headers.get("Accept", "")
        assert "application/openmetrics-text" in accept and self.headers.get("X-Prometheus-Scrape-Timeout-Seconds")
        self.page(PAGE)

    def zipped(self):
        assert self.headers.get("Accept-Encoding") == "gzip"
        self.page(gzip.compress(PAGE), encoding="gzip")

    def bomb(self):
        self.page(gzip.compress(b"# nothing here\n" * 8_000_000), encoding="gzip")

    def html(self):
        self.page(b"<html>", "text/html")

    def broken(self):
        self.page(b"this is { not a metric\n")

    def endless(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Connection", "close")
        self.end_headers()
        try:
            while True:
                self.wfile.write(b"# and so on\n" * 1000)
        except OSError:
            self.close_connection = True

    def silent(self):
        time.sleep(3)
        self.close_connection = True

    def huge(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Connection", "close")
        self.end_headers()
        try:
            for start in range(0, 1_000_000, 1000):
                lines = (f'huge{{series="{i:07}",and="something to make it longer"}} {i}\n' for i in range(start, start + 1000))
                self.wfile.write("".join(lines).encode())
        except OSError:
            self.close_connection = True

    def missing(self):
        self.send_error(404)

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        # Who is asked goes away in the middle of a page: that is what is tested.
        pass


def targets(bramble, **params):
    return bramble.get("prometheus", "/api/v1/targets", params).json["data"]


def of_job(bramble, job):
    found = [target for target in targets(bramble)["activeTargets"] if target["scrapePool"] == job]
    return found[0] if found else None


def value(bramble, query):
    result = bramble.get("prometheus", "/api/v1/query", {"query": query}).json["data"]["result"]
    return result[0]["value"][1] if result else None


def stock(bramble):
    for job in ("prometheus", "node"):
        wait_for(f"{job} up", lambda: of_job(bramble, job)["health"] == "up")
        wait_for(f"up of {job}", lambda: value(bramble, f'up{{job="{job}"}}') == "1")
    wait_for("a sample", lambda: value(bramble, 'shop_orders_total{job="node",kind="a"}') == "3")
    assert value(bramble, 'scrape_samples_scraped{job="node"}') == "1"
    assert bramble.get("prometheus", "/api/v1/scrape_pools").json["data"]["scrapePools"] == ["node", "prometheus"]
    federated = bramble.get("prometheus", "/federate", {"match[]": "shop_orders_total"}).text
    assert 'monitor="example"' in federated, federated
    shown = bramble.get("prometheus", "/api/v1/status/config").json["data"]["yaml"]
    assert "job_name: node" in shown, shown


def resident_bytes(bramble):
    status = pathlib.Path(f"/proc/{bramble.process.pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) * 1024


def hostile(bramble, before):
    expected = {
        "endless": ["the page is longer than", "context deadline exceeded"],
        "bomb": ["the page is longer than", "memory budget", "context deadline exceeded"],
        "huge": ["the page is longer than", "memory budget", "context deadline exceeded", "sample limit exceeded"],
        "html": ['received unsupported Content-Type "text/html"'],
        "broken": ["line 1, column"],
        "silent": ["context deadline exceeded"],
        "nothing-here": ["server returned HTTP status 404 Not Found"],
    }
    for job, texts in expected.items():
        wait_for(f"{job} down", lambda: of_job(bramble, job)["health"] == "down")
        error = of_job(bramble, job)["lastError"]
        assert any(text in error for text in texts), f"{job}: {error}"
        wait_for(f"up of {job}", lambda: value(bramble, f'up{{job="{job}"}}') == "0")
    wait_for("zipped up", lambda: of_job(bramble, "zipped")["health"] == "up")
    assert of_job(bramble, "node")["health"] == "up", "the others go on"
    grown = resident_bytes(bramble) - before
    assert grown < 100 << 20, f"{grown} bytes more"


def main():
    server = Server(("127.0.0.1", 0), Target)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    target = f"127.0.0.1:{server.server_port}"
    with tempfile.TemporaryDirectory(prefix="bramble-scrape-") as directory:
        file = pathlib.Path(directory, "prometheus.yml")
        file.write_text(STOCK.replace("{target}", target))
        settings = {**QUIET, "BRAMBLE_SCRAPE_CONFIG": str(file), "BRAMBLE_PROMETHEUS_ENABLE_LIFECYCLE": "true"}
        with Bramble(environment=settings) as bramble:
            reload = lambda: ask(bramble.url("prometheus") + "/-/reload", b"", method="POST")
            with check("a stock file is scraped as it is"):
                stock(bramble)
            with check("a broken file leaves the old configuration in force"):
                good = file.read_text()
                file.write_text(good + "  - job_name: node\n")
                answer = reload()
                line = len(good.splitlines()) + 1
                wanted = f"prometheus.yml:{line}: found multiple scrape configs with job name"
                assert answer.status == 500 and wanted in answer.text, answer.text
                assert of_job(bramble, "node")["health"] == "up"
                file.write_text(good)
                assert reload().status == 200
            with check("targets that misbehave are told of, and bounded"):
                jobs = ["zipped", "endless", "bomb", "huge", "html", "broken", "silent", "nothing-here"]
                before = resident_bytes(bramble)
                file.write_text(good + "".join(HOSTILE.format(job=job, target=target) for job in jobs))
                assert reload().status == 200
                hostile(bramble, before)
            with check("series of a job that is gone end"):
                file.write_text(good)
                assert reload().status == 200
                wait_for("the end", lambda: value(bramble, 'up{job="html"}') is None)
                assert value(bramble, 'up{job="node"}') == "1"
    server.shutdown()
    return check.done()


sys.exit(main())
