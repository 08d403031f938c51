"""What a user does with the machine, over its network: set it up, send, ask back."""

import json
import re
import time
import urllib.parse

from machine import MAIN, OTLP, Failure

LOKI, PROMETHEUS = 3100, 9090
# Terminals are told to move and colour; the text remains.
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[()][A-Z0-9]|\r")
NAME, PASSWORD = "owner", "correct horse battery staple"


def send(machine, batch, numbers, timeout=20):
    """Log records of these numbers by OTLP/HTTP; true if they were acknowledged."""
    now = time.time_ns()
    records = [{"timeUnixNano": str(now + n), "body": {"stringValue": f"record {n} of {batch}"}} for n in numbers]
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": "boot-test"}}]}
    body = {"resourceLogs": [{"resource": resource, "scopeLogs": [{"logRecords": records}]}]}
    return machine.fetch("/v1/logs", OTLP, body, timeout=timeout)[0] == 200


def send_metric(machine, value):
    """One sample by OTLP/HTTP."""
    point = {"asDouble": value, "timeUnixNano": str(time.time_ns())}
    metrics = [{"name": "boot_test_value", "gauge": {"dataPoints": [point]}}]
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": "boot-test"}}]}
    body = {"resourceMetrics": [{"resource": resource, "scopeMetrics": [{"metrics": metrics}]}]}
    return machine.fetch("/v1/metrics", OTLP, body)[0] == 200


class Session:
    """Who is asking: nobody, until there is an owner and a token."""

    def __init__(self, machine):
        self.machine, self.headers = machine, {}

    def get(self, port, path, **params):
        """A query's JSON; None if there is none."""
        path += "?" + urllib.parse.urlencode(params) if params else ""
        status, body, _ = self.machine.fetch(path, port, headers=self.headers, timeout=60)
        return json.loads(body) if status == 200 else None

    def records(self, batch):
        """Numbers of the records that are stored, sorted; as often as they are."""
        begin, found = int((time.time() - 86400) * 1e9), []
        while True:
            query = f'{{service_name="boot-test"}} |= "of {batch}"'
            answer = self.get(
                LOKI, "/loki/api/v1/query_range", query=query, limit=5000, direction="forward", start=begin,
                end=int((time.time() + 86400) * 1e9),
            )  # fmt: skip
            if answer is None:
                raise Failure("the query for the records was not answered")
            values = sorted((int(at), text) for stream in answer["data"]["result"] for at, text in stream["values"])
            found += [int(text.split()[1]) for _, text in values]
            if len(values) < 5000:
                return sorted(found)
            begin = values[-1][0] + 1

    def metric(self, query):
        """The value of an instant query's only series, or None."""
        answer = self.get(PROMETHEUS, "/api/v1/query", query=query)
        result = answer["data"]["result"] if answer else []
        return float(result[0]["value"][1]) if result else None

    def set_up(self, code):
        """Becomes the owner with the code, and makes a token for what follows."""
        told = {"code": code, "name": NAME, "password": PASSWORD, "ingest": "private"}
        status, body, headers = self.machine.fetch("/api/v1/owner", data=told, timeout=120)
        if status != 201:
            raise Failure(f"the owner was not set: {status} {body[:300]}")
        cookie = next(v for k, v in headers.items() if k.lower() == "set-cookie").split(";")[0]
        origin = {"Cookie": cookie, "Origin": self.machine.url("")}
        wanted = {"name": "boot test", "scopes": ["read", "admin"]}
        status, body, _ = self.machine.fetch("/api/v1/tokens", data=wanted, headers=origin)
        if status != 201:
            raise Failure(f"no token was made: {status} {body[:300]}")
        self.headers = {"Authorization": f"Bearer {json.loads(body)['token']}"}


def code_on_console(machine):
    """The six digits that the serial console shows under "enter this code"."""
    text = ESCAPES.sub("", machine.serial())
    found = re.findall(r"enter this code:\s+((?:\d ){5}\d)", text)
    return found[-1].replace(" ", "") if found else None


def is_guarded(machine):
    """Whether the machine wants an owner first."""
    status, body, _ = machine.fetch("/api/v1/owner")
    return status == 200 and json.loads(body)["required"] and not json.loads(body)["set"]


def page(machine):
    """The page of the UI and its script, as a browser would fetch them: their lengths."""
    status, body, _ = machine.fetch("/", headers={"Accept": "text/html"})
    script = re.search(rb'src="(/assets/index-[^"]+\.js)"', body)
    if status != 200 or b'id="app"' not in body or not script:
        raise Failure(f"/ is no page: {status} {body[:200]}")
    status, code, _ = machine.fetch(script[1].decode())
    if status != 200 or len(code) < 10_000:
        raise Failure(f"the page's script is not there: {status}, {len(code)} bytes")
    return len(body), len(code)


DOORS = {MAIN, OTLP, LOKI, PROMETHEUS}
