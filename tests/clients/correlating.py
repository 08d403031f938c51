"""What tests of correlations share: posting logs as the engine's clients do, asking for correlations."""

import json
import os
import time
from datetime import datetime, timezone

from bramble import wait_for

JSON = {"Content-Type": "application/json"}


def equal(got, wanted):
    assert got == wanted, f"got {str(got)[:600]}, wanted {str(wanted)[:600]}"


def rfc3339(time_ns):
    """With all nine digits, which Python's own does not have."""
    seconds, ns = divmod(time_ns, 10**9)
    return f"{datetime.fromtimestamp(seconds, timezone.utc):%Y-%m-%dT%H:%M:%S}.{ns:09}Z"


def nanoseconds(text):
    """The way back."""
    seconds, _, fraction = text.removesuffix("Z").partition(".")
    whole = int(datetime.fromisoformat(seconds + "+00:00").timestamp())
    return whole * 10**9 + int(fraction.ljust(9, "0") or 0)


def new_trace():
    return os.urandom(16).hex()


def post_logs(bramble, service, messages, host="orthanc", at=None, severity="INFO", **ids):
    """Logs of a service by `POST /api/logs`, a millisecond apart, each with the same ids."""
    at = at or time.time_ns()
    records = [
        {"timestamp": rfc3339(at + n * 10**6), "severity": severity, "message": message, "labels": {"n": str(n)}, **ids}
        for n, message in enumerate(messages)
    ]
    body = {"resource": {"service": service, "host": host, "env": "test"}, "records": records}
    answer = bramble.post("correlation", "/api/logs", json.dumps(body).encode(), JSON)
    assert answer.status // 100 == 2, f"{answer.status} {answer.text}"
    return answer


def post_spans(bramble, service, spans, door="otlp_http", path="/v1/traces"):
    """Spans as (trace id, span id, parent span id or "", name, start ns, end ns)."""
    made = [
        {
            "traceId": trace_id,
            "spanId": span_id,
            "parentSpanId": parent,
            "name": name,
            "kind": 2,
            "startTimeUnixNano": str(start),
            "endTimeUnixNano": str(end),
        }
        for trace_id, span_id, parent, name, start, end in spans
    ]
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": service}}]}
    body = {"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": made}]}]}
    answer = bramble.post(door, path, json.dumps(body).encode(), JSON)
    assert answer.status == 200, f"{answer.status} {answer.text}"


def correlations(bramble, door="correlation", **filters):
    answer = bramble.get(door, "/api/correlations", filters)
    assert answer.status == 200, f"{answer.status} {answer.text}"
    found = answer.json
    equal(found["count"], len(found["correlations"]))
    return found["correlations"]


def the_correlation(bramble, when=lambda correlation: True, **filters):
    """Waits for the only correlation that fits; more than one is a failure at once."""

    def one():
        found = correlations(bramble, **filters)
        if len(found) > 1:
            raise RuntimeError(f"{len(found)} correlations of {filters}: {[(c['id'], c['revision']) for c in found]}")
        return found[0] if found and when(found[0]) else None

    try:
        return wait_for(f"the correlation of {filters}", one)
    except AssertionError as error:
        raise AssertionError(f"{error}; there are {correlations(bramble, **filters)}") from None


def items(correlation):
    """(logs, spans)"""
    return correlation["counts"]["logs"], correlation["counts"]["spans"]


def loki(bramble, query, **params):
    """(labels, line) of all entries that a LogQL query finds in the last hour."""
    answer = bramble.get("loki", "/loki/api/v1/query_range", {"query": query, "since": "1h", "limit": 5000, **params})
    assert answer.status == 200, f"{query}: {answer.status} {answer.text}"
    streams = answer.json["data"]["result"]
    return [(stream["stream"], value[1]) for stream in streams for value in stream["values"]]
