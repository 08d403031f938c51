"""A target with what only protobuf can say: a native histogram, counters with exemplars. Each scrape has more."""

import pathlib
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "harness"))
from protobuf import double, integer, labels, message, signed, varint

PROTOBUF = "application/vnd.google.protobuf"
COUNTER, GAUGE, HISTOGRAM = 0, 1, 4


def family(name, kind, *metrics):
    body = message(1, name) + message(2, f"Help of {name}.") + integer(3, kind) + b"".join(metrics)
    return varint(len(body)) + body


def exposition(scrape):
    """What the `scrape`-th scrape sees, from 1."""
    exemplar = message(
        2, labels(1, {"trace_id": f"{scrape:032x}"}), double(2, 0.5), message(3, integer(1, int(time.time())))
    )
    counter = message(4, labels(1, {"path": "/"}), message(3, double(1, 3 * scrape), exemplar))
    # Schema 2, zero bucket, two spans of positive buckets and a negative one; each scrape adds one to each bucket.
    histogram = integer(1, 6 * scrape) + double(2, 12.5 * scrape)
    histogram += signed(5, 2) + double(6, 0.001) + integer(7, scrape)
    histogram += message(9, signed(1, -2), integer(2, 1)) + signed(10, scrape)
    histogram += message(12, signed(1, 0), integer(2, 2)) + message(12, signed(1, 5), integer(2, 2))
    histogram += message(13, varint(scrape * 2), varint(0), varint(0), varint(0))
    return (
        family("demo_requests_total", COUNTER, counter)
        + family("demo_level", GAUGE, message(4, message(2, double(1, -scrape))))
        + family("demo_size_bytes", HISTOGRAM, message(4, message(7, histogram)))
    )


class Exporter:
    """Serves on a free port of the loopback while it is entered."""

    def __enter__(self):
        exporter = self
        self.scrapes = 0

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                exporter.scrapes += 1
                taken = PROTOBUF in self.headers.get("Accept", "")
                self.send_response(200 if taken else 406)
                media = f"{PROTOBUF};proto=io.prometheus.client.MetricFamily;encoding=delimited"
                self.send_header("Content-Type", media)
                self.end_headers()
                self.wfile.write(exposition(exporter.scrapes) if taken else b"")

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
