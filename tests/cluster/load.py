"""What a busy Pi sends to the Bramble on it, with books on what was acknowledged.

Every item has a name of its own. A push that is not acknowledged is sent again as it was, as exporters do, so each item of the
books must be on the hub once in the end. Lines of files have no time of their own: read twice they would be seen twice.
"""

import http.client
import json
import os
import threading
import time

PUSH_TIMEOUT_S = 30


class Books:
    """What one generator has done; read when its threads have ended."""

    def __init__(self):
        self.logs, self.spans, self.samples, self.lines = {}, [], {}, []
        self.refused, self.resent = 0, 0


class Load:
    """Pushes logs, spans and metrics by OTLP/HTTP to `address`:4318, and writes lines into files in `folder`."""

    def __init__(self, name, address, folder, rate):
        self.name, self.address, self.folder, self.rate = name, address, folder, rate
        self.books = Books()
        self.stopping = threading.Event()
        self.giving_up = threading.Event()
        work = [self.push_logs, self.push_spans, self.push_metrics, self.write_files]
        self.threads = [threading.Thread(target=each, daemon=True) for each in work]
        os.makedirs(folder, exist_ok=True)

    def start(self):
        for thread in self.threads:
            thread.start()

    def stop(self, patience_s):
        """Makes no new items; gives what is under way until `patience_s` to be acknowledged."""
        self.stopping.set()
        end = time.monotonic() + patience_s
        for thread in self.threads:
            thread.join(max(0, end - time.monotonic()))
        self.giving_up.set()
        for thread in self.threads:
            thread.join(PUSH_TIMEOUT_S + 5)

    def post(self, path, body):
        """Sends until it is acknowledged; whether it was."""
        data = json.dumps(body).encode()
        first = True
        while not self.giving_up.is_set():
            if not first:
                self.books.resent += 1
                time.sleep(0.25)
            first = False
            connection = http.client.HTTPConnection(self.address, 4318, timeout=PUSH_TIMEOUT_S)
            try:
                connection.request("POST", path, data, {"Content-Type": "application/json"})
                answer = connection.getresponse()
                text = answer.read()
                if answer.status == 200:
                    partial = (json.loads(text or b"{}").get("partialSuccess") or {}).items()
                    refused = [value for key, value in partial if key.startswith("rejected")]
                    if any(int(value) for value in refused):
                        self.books.refused += sum(int(value) for value in refused)
                    return True
                if answer.status not in (429, 502, 503, 504):
                    raise AssertionError(f"{path}: {answer.status} {text[:200]}")
            except (OSError, http.client.HTTPException):
                pass
            finally:
                connection.close()
        return False

    def resource(self):
        return {"attributes": [{"key": "service.name", "value": {"stringValue": f"load-{self.name}"}}]}

    def rounds(self):
        """Numbers, four a second."""
        number, due = 0, time.monotonic()
        while not self.stopping.is_set():
            yield number
            number += 1
            due += 0.25
            time.sleep(max(0, due - time.monotonic()))

    def push_logs(self):
        per_round = max(1, self.rate // 4)
        for number in self.rounds():
            now = time.time_ns()
            names = [f"{self.name} pushed {number * per_round + i}" for i in range(per_round)]
            records = [
                {"timeUnixNano": str(now + i), "severityText": "INFO", "body": {"stringValue": name}}
                for i, name in enumerate(names)
            ]
            body = {"resourceLogs": [{"resource": self.resource(), "scopeLogs": [{"logRecords": records}]}]}
            if self.post("/v1/logs", body):
                self.books.logs.update((name, now + i) for i, name in enumerate(names))

    def push_spans(self):
        for number in self.rounds():
            now = time.time_ns()
            trace = f"{int.from_bytes(self.name.encode()[:6], 'big'):016x}{number + 1:016x}"
            ids = [f"{i + 1:016x}" for i in range(3)]
            spans = [
                {
                    "traceId": trace,
                    "spanId": span,
                    "parentSpanId": ids[0] if i else "",
                    "name": f"step {i}",
                    "kind": 2,
                    "startTimeUnixNano": str(now - 5_000_000),
                    "endTimeUnixNano": str(now),
                }
                for i, span in enumerate(ids)
            ]
            body = {"resourceSpans": [{"resource": self.resource(), "scopeSpans": [{"spans": spans}]}]}
            if self.post("/v1/traces", body):
                self.books.spans.append((trace, ids))

    def push_metrics(self):
        for number in self.rounds():
            now_ms = time.time_ns() // 1_000_000
            point = {"timeUnixNano": str(now_ms * 1_000_000), "asDouble": float(number)}
            point["attributes"] = [{"key": "from", "value": {"stringValue": self.name}}]
            metric = {"name": "cluster_load", "gauge": {"dataPoints": [point]}}
            body = {"resourceMetrics": [{"resource": self.resource(), "scopeMetrics": [{"metrics": [metric]}]}]}
            if self.post("/v1/metrics", body):
                self.books.samples[now_ms] = float(number)

    def write_files(self):
        """Lines in a file that is renamed away now and then, as logrotate does."""
        path = os.path.join(self.folder, "app.log")
        per_round, in_file, rotations = max(1, self.rate // 4), 0, 0
        out = open(path, "a", buffering=1)
        for number in self.rounds():
            for i in range(per_round):
                name = f"{self.name} written {number * per_round + i}"
                out.write(name + "\n")
                self.books.lines.append(name)
            in_file += per_round
            if in_file >= 200:
                out.close()
                rotations += 1
                os.rename(path, f"{path}.{rotations}")
                out, in_file = open(path, "a", buffering=1), 0
        out.close()
