"""Sending a few samples, by the simplest protocol there is for it: OTLP as JSON."""

import json


def gauge(bramble, name, labels, samples):
    """`samples` are (seconds, value); one series `name` with `labels`. Raises unless all were taken."""
    attributes = [{"key": k, "value": {"stringValue": v}} for k, v in labels.items()]
    points = [
        {"timeUnixNano": str(int(t * 1e9)), "asDouble": float(v), "attributes": attributes} for t, v in samples
    ]
    metric = {"name": name, "gauge": {"dataPoints": points}}
    body = {"resourceMetrics": [{"scopeMetrics": [{"metrics": [metric]}]}]}
    headers = {"Content-Type": "application/json"}
    answer = bramble.post("otlp_http", "/v1/metrics", json.dumps(body).encode(), headers)
    assert answer.status == 200 and "partialSuccess" not in answer.json, (answer.status, answer.text)
