"""Senders and askers of logs that people have: what was sent is what is read back, with labels, metadata and levels."""

import gzip
import json
import logging
import logging.handlers
import pathlib
import queue
import subprocess
import sys
import threading
import time
import urllib.parse

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "harness"))
import rsyslog
from bramble import QUIET, Bramble, Checks, wait_for

HERE = pathlib.Path(__file__).resolve().parent
JSON = {"Content-Type": "application/json"}
LOGCLI = {"User-Agent": "loki-logcli/3.7.6", "X-Query-Tags": "Source=logcli", "Cache-Control": "no-cache"}
CATEGORIZE = {"X-Loki-Response-Encoding-Flags": "categorize-labels"}
check = Checks()


def equal(got, wanted):
    assert got == wanted, f"got {str(got)[:600]}, wanted {str(wanted)[:600]}"


def ask(bramble, path, params, headers=None):
    answer = bramble.get("loki", "/loki/api/v1/" + path, params, headers=headers or {})
    assert answer.status == 200, f"{path} {params}: {answer.status} {answer.text[:300]}"
    return answer.json


def entries(bramble, query, limit=5000, headers=CATEGORIZE):
    """(stream, line, structured metadata) of every entry, oldest first."""
    params = {"query": query, "start": time.time_ns() - 3600 * 10**9, "end": time.time_ns() + 10**9}
    params |= {"limit": limit, "direction": "forward"}
    result = ask(bramble, "query_range", params, headers)["data"]["result"]
    found = [(int(v[0]), s["stream"], v[1], v[2].get("structuredMetadata", {})) for s in result for v in s["values"]]
    return [entry[1:] for entry in sorted(found, key=lambda entry: entry[0])]


def lines(bramble, query):
    return [line for _, line, _ in entries(bramble, query)]


def push(bramble, stream, values, path="/loki/api/v1/push", headers=JSON):
    body = json.dumps({"streams": [{"stream": stream, "values": values}]}).encode()
    if headers.get("Content-Encoding") == "gzip":
        body = gzip.compress(body)
    return bramble.post("loki", path, body, headers)


def with_rsyslog(bramble):
    if not rsyslog.available():
        print("SKIPPED rsyslog: no package with omhttp")
        return
    with check("rsyslog forwards by omhttp, in gzipped batches"):
        with rsyslog.rsyslog(bramble.ports["loki"]) as send:
            send([rsyslog.message(n) for n in range(300)])
            odd = 'quotes " and \\ and ünïcode and a\ttab'
            send([rsyslog.message(1, "nas", "smartd", 3, "disk failure"), rsyslog.message(2, "nas", "odd", 7, odd)])
            wait_for("all of it", lambda: len(lines(bramble, '{job="syslog"}')) == 302, 30)
        equal(sorted(lines(bramble, '{app="dnsmasq"}')), sorted(f"message {n}" for n in range(300)))
        stream, line, metadata = entries(bramble, '{host="nas", app="smartd"}')[0]
        wanted = {"job": "syslog", "host": "nas", "app": "smartd", "severity": "err", "service_name": "smartd"}
        equal((stream, line, metadata), (wanted, "disk failure", {"detected_level": "error"}))
        equal(lines(bramble, '{app="odd"}'), [odd])


def with_fluent_bit_shape(bramble):
    with check("a push as Fluent Bit's loki output sends it"):
        headers = {**JSON, "Content-Encoding": "gzip", "User-Agent": "Fluent-Bit", "X-Scope-OrgID": "home"}
        now = time.time_ns()
        values = [
            [str(now + n), f'{{"log":"request {n}","status":200}}', {"trace_id": f"{n:032x}", "pod.name": f"web-{n}"}]
            for n in range(20)
        ]
        answer = push(bramble, {"job": "fluent-bit", "container": "web"}, values, headers=headers)
        equal((answer.status, answer.body), (204, b""))
        found = entries(bramble, '{job="fluent-bit"}')
        equal([line for _, line, _ in found], [v[1] for v in values])
        labels = {"job": "fluent-bit", "container": "web", "service_name": "web"}
        equal([stream for stream, _, _ in found], [labels] * 20)
        wanted = [{"trace_id": f"{n:032x}", "pod_name": f"web-{n}", "detected_level": "unknown"} for n in range(20)]
        equal([metadata for _, _, metadata in found], wanted)
        equal(lines(bramble, f'{{job="fluent-bit"}} | trace_id="{7:032x}"'), [values[7][1]])
        equal(lines(bramble, '{job="fluent-bit"} | json | status=200 | line_format "{{.log}}" |= "request 19"'), ["request 19"])


def with_python_handlers(bramble):
    with check("python-logging-loki, both versions of the protocol"):
        import logging_loki

        for version, path in (("0", "/api/prom/push"), ("1", "/loki/api/v1/push")):
            lines_out = queue.Queue(-1)
            handler = logging_loki.LokiHandler(
                url=bramble.url("loki", path), tags={"application": "my-app"}, version=version
            )
            logger = logging.getLogger(f"handler-{version}")
            logger.addHandler(logging.handlers.QueueHandler(lines_out))
            listener = logging.handlers.QueueListener(lines_out, handler)
            listener.start()
            logger.error("Something happened", extra={"tags": {"service": "my-service"}})
            logger.warning("and more")
            listener.stop()
            query = f'{{application="my-app", logger="handler-{version}"}}'
            equal(sorted(lines(bramble, query)), ["Something happened", "and more"])
            stream = entries(bramble, query + ' |= "Something"')[0]
            equal((stream[0]["service"], stream[0]["severity"]), ("my-service", "error"))
            equal((stream[0]["service_name"], stream[2]["detected_level"]), ("my-service", "error"))
    with check("loki-logger-handler, compressed, with metadata"):
        from loki_logger_handler.loki_logger_handler import LokiLoggerHandler

        handler = LokiLoggerHandler(
            url=bramble.url("loki", "/loki/api/v1/push"),
            labels={"application": "second"},
            label_keys={},
            timeout=10,
            enable_structured_loki_metadata=True,
            loki_metadata={"version": "1.2"},
            loki_metadata_keys=["request"],
        )
        logger = logging.getLogger("second")
        logger.setLevel(logging.DEBUG)
        logger.addHandler(handler)
        logger.info("hello from the handler", extra={"request": "r-77"})
        wait_for("the line", lambda: entries(bramble, '{application="second"}'), 30)
        stream, line, metadata = entries(bramble, '{application="second"}')[0]
        assert "hello from the handler" in line, line
        equal((metadata.get("version"), metadata.get("request")), ("1.2", "r-77"))
        equal(metadata.get("detected_level"), "info")


def with_sdk(bramble):
    ways = [("grpc", "otlp_grpc", ""), ("http", "otlp_http", "/v1/logs"), ("http", "loki", "/otlp/v1/logs")]
    for number, (protocol, door, path) in enumerate(ways):
        with check(f"the OpenTelemetry SDK's logging handler by {protocol} to {door}"):
            service = f"handler-{number}"
            command = [sys.executable, str(HERE / "sdk_logs.py"), protocol, bramble.url(door, path), service, "30"]
            result = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
            assert result.returncode == 0, result.stderr[-800:]
            traces = result.stdout.split()
            found = entries(bramble, f'{{service_name="{service}"}}')
            texts = [f"order {i} taken" for i in range(30)]
            wanted = [*texts, "details", "stock is low", "order failed", "out of paper"]
            equal([line for _, line, _ in found], wanted)
            stream = found[0][0]
            for label in ("env", "deployment_environment"):
                equal(stream.get(label), "test")
            equal((stream.get("namespace"), stream.get("k8s_namespace_name")), ("shop", "shop"))
            equal(stream.get("service"), service)
            metadata = [metadata for _, _, metadata in found]
            equal([m["trace_id"] for m in metadata[:30]], traces)
            equal([m["tenant_id"] for m in metadata[:4]], ["t0", "t1", "t2", "t0"])
            equal((metadata[0]["rack"], metadata[0]["scope_name"]), ("r7", "shop.orders"))
            levels = [m["detected_level"] for m in metadata[29:]]
            equal(levels, ["info", "debug", "warn", "error", "fatal"])
            equal(metadata[32]["exception_type"], "ValueError")
            equal(lines(bramble, f'{{service_name="{service}"}} | trace_id="{traces[5]}"'), ["order 5 taken"])


def with_logcli(bramble):
    now = time.time_ns()
    values = [[str(now - (50 - n) * 1_000_000), f"level=info n={n}"] for n in range(50)]
    equal(push(bramble, {"job": "logcli", "app": "cli"}, values).status, 204)
    times = {"start": now - 3600 * 10**9, "end": now + 10**9}
    with check("logcli query, paging backward"):
        pages, end = [], times["end"]
        while True:
            params = {"query": '{job="logcli"}', "limit": 20, "direction": "BACKWARD", **times, "end": end}
            page = [v for s in ask(bramble, "query_range", params, LOGCLI)["data"]["result"] for v in s["values"]]
            if not page:
                break
            pages += page
            end = min(int(v[0]) for v in page)
        equal([v[1] for v in pages], [v[1] for v in reversed(values)])
    with check("logcli instant-query"):
        params = {"query": 'sum(count_over_time({job="logcli"}[1h]))', "limit": 30, "time": now + 10**9}
        data = ask(bramble, "query", {**params, "direction": "BACKWARD"}, LOGCLI)["data"]
        equal((data["resultType"], data["result"][0]["value"][1]), ("vector", "50"))
    with check("logcli query --step of a metric"):
        params = {"query": 'sum by (app) (rate({job="logcli"}[1m]))', "limit": 30, "direction": "FORWARD", "step": "15.000000"}
        result = ask(bramble, "query_range", {**params, **times}, LOGCLI)["data"]["result"]
        equal(result[0]["metric"], {"app": "cli"})
    with check("logcli labels, series, stats, volume"):
        assert {"job", "app", "service_name"} <= set(ask(bramble, "labels", times, LOGCLI)["data"])
        equal(ask(bramble, "label/app/values", {**times, "query": '{job="logcli"}'}, LOGCLI)["data"], ["cli"])
        series = ask(bramble, "series", {"match": '{job="logcli"}', **times}, LOGCLI)["data"]
        equal(series, [{"job": "logcli", "app": "cli", "service_name": "cli"}])
        stats = ask(bramble, "index/stats", {"query": '{job="logcli"}', **times}, LOGCLI)
        equal((stats["streams"], stats["entries"]), (1, 50))
        volume = ask(bramble, "index/volume", {"query": '{job="logcli"}', "limit": 30, **times}, LOGCLI)
        assert int(volume["data"]["result"][0]["value"][1]) > 0, volume
    with check("logcli detected-fields"):
        params = {"query": '{job="logcli"}', "limit": 100, "line_limit": 1000, "step": "15.0", **times}
        fields = ask(bramble, "detected_fields", params, LOGCLI)["fields"]
        assert "n" in [field["label"] for field in fields], fields
    with check("logcli query --tail follows within a second"):
        tail(bramble, now)


def tail(bramble, now):
    import websocket

    url = bramble.url("loki", "/loki/api/v1/tail").replace("http", "ws", 1)
    query = "query=%7Bjob%3D%22logcli%22%7D%7C%3D%22tailed%22&limit=30&delay_for=0&start=" + str(now)
    connection = websocket.create_connection(f"{url}?{query}", timeout=20, header=["User-Agent: loki-logcli/3.7.6"])
    got, seen = [], threading.Event()

    def read():
        while len(got) < 3:
            for stream in json.loads(connection.recv()).get("streams") or []:
                got.extend((time.time_ns(), stream["stream"], value[1]) for value in stream["values"])
        seen.set()

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    sent = []
    for n in range(3):
        time.sleep(0.3)
        equal(push(bramble, {"job": "logcli", "app": "cli"}, [[str(time.time_ns()), f"tailed {n}"]]).status, 204)
        sent.append(time.time_ns())
    assert seen.wait(20), f"only {got}"
    connection.close()
    equal([line for _, _, line in got], ["tailed 0", "tailed 1", "tailed 2"])
    equal(got[0][1].get("app"), "cli")
    slowest = max(at - done for (at, _, _), done in zip(got, sent))
    print(f"      slowest line {slowest / 1e6:.0f} ms after its push was answered")


def floating(bramble, when):
    """A label with a value per request: one stream, and still asked for like any label."""
    with check(f"{when}: a stream per trace is one stream"):
        times = {"start": time.time_ns() - 3600 * 10**9, "end": time.time_ns() + 10**9}
        stats = ask(bramble, "index/stats", {"query": '{job="traced"}', **times})
        equal((stats["streams"], stats["entries"]), (1, 200))
        equal(lines(bramble, f'{{job="traced", trace_id="{17:032x}"}}'), ["request 17"])
        stream, line, metadata = entries(bramble, f'{{job="traced"}} |= "request 18"')[0]
        wanted = {"job": "traced", "trace_id": f"{18:032x}", "service_name": "traced"}
        equal((stream, line, metadata), (wanted, "request 18", {"detected_level": "unknown"}))
        equal(len(lines(bramble, '{job="traced", trace_id=~".+"}')), 200)
        equal(lines(bramble, '{job="traced", trace_id=""}'), [])
        params = {"query": '{job="traced"}', **times}
        assert "trace_id" in ask(bramble, "labels", params)["data"]
    with check(f"{when}: a label that turned out to have many values"):
        stats = ask(bramble, "index/stats", {"query": '{job="grown"}', **times})
        assert 30 <= stats["streams"] <= 80, stats
        equal(stats["entries"], 300)
        equal(lines(bramble, '{job="grown", visitor="v299"}'), ["visit 299"])
        equal(lines(bramble, '{job="grown", visitor="v3"}'), ["visit 3"])


def send_floating(bramble):
    now = time.time_ns()
    traced = [
        {"stream": {"job": "traced", "trace_id": f"{n:032x}"}, "values": [[str(now + n), f"request {n}"]]}
        for n in range(200)
    ]
    equal(bramble.post("loki", "/loki/api/v1/push", json.dumps({"streams": traced}).encode(), JSON).status, 204)
    for n in range(300):
        answer = push(bramble, {"job": "grown", "visitor": f"v{n}"}, [[str(now + n), f"visit {n}"]])
        equal(answer.status, 204)


def duplicates(bramble, when):
    with check(f"{when}: what was sent twice is there once, unless its metadata differs"):
        found = [(line, metadata.get("k")) for _, line, metadata in entries(bramble, '{job="twice"}')]
        equal(sorted(found, key=str), [("a", "1"), ("a", "2"), ("a", None), ("b", None)])


def send_duplicates(bramble):
    now = str(time.time_ns())
    values = [[now, "a"], [now, "b"], [now, "a", {"k": "1"}], [now, "a", {"k": "2"}], [now, "a"]]
    for _ in range(2):
        equal(push(bramble, {"job": "twice"}, values).status, 204)


def promoted(bramble):
    with check("fields that are promoted are stream labels, by push and by OTLP"):
        now = time.time_ns()
        values = [[str(now + n), f"call {n}", {"tenant_id": f"t{n % 2}", "other": "x"}] for n in range(4)]
        equal(push(bramble, {"job": "promoted"}, values).status, 204)
        attributes = [{"key": "endpoint", "value": {"stringValue": "/pay"}}]
        resource = [{"key": "service.name", "value": {"stringValue": "promoted"}}]
        resource += [{"key": "tenant_id", "value": {"stringValue": "t9"}}]
        record = {"timeUnixNano": str(now), "body": {"stringValue": "paid"}, "attributes": attributes}
        logs = {"resource": {"attributes": resource}, "scopeLogs": [{"logRecords": [record]}]}
        answer = bramble.post("otlp_http", "/v1/logs", json.dumps({"resourceLogs": [logs]}).encode(), JSON)
        equal((answer.status, answer.json), (200, {}))
        times = {"start": now - 10**9, "end": now + 10**9}
        series = ask(bramble, "series", {"match[]": '{job="promoted"}', **times})["data"]
        equal(sorted(s["tenant_id"] for s in series), ["t0", "t1"])
        stream, line, metadata = entries(bramble, '{tenant_id="t1"}')[0]
        equal((stream["job"], line, metadata.get("other")), ("promoted", "call 1", "x"))
        stream, line, metadata = entries(bramble, '{tenant_id="t9", endpoint="/pay"}')[0]
        equal((stream["service_name"], line, "endpoint" in metadata), ("promoted", "paid", False))


def aliases(bramble):
    with check("the same under VictoriaLogs' paths"):
        now = time.time_ns()
        answer = push(bramble, {"job": "alias"}, [[str(now), "by push"]], "/insert/loki/api/v1/push")
        equal(answer.status, 204)
        record = {"timeUnixNano": str(now), "body": {"stringValue": "by otlp"}}
        body = json.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]}).encode()
        equal(bramble.post("loki", "/insert/opentelemetry/v1/logs", body, JSON).status, 200)
        equal(lines(bramble, '{job="alias"}'), ["by push"])
        equal(lines(bramble, '{service_name="unknown_service"} |= "by otlp"'), ["by otlp"])
        line = json.dumps({"date": now // 10**9, "log": {"level": "warn", "message": "by line"}, "stream": "vl"})
        params = {"_msg_field": "log.message", "_time_field": "date", "_stream_fields": "stream"}
        path = "/insert/jsonline?" + urllib.parse.urlencode(params)
        packed = {"Content-Encoding": "gzip", "Content-Type": "application/stream+json"}
        equal(bramble.post("loki", path, gzip.compress(line.encode()), packed).status, 200)
        stream, text, metadata = entries(bramble, '{stream="vl"}')[0]
        equal((text, metadata.get("log_level")), ("by line", "warn"))
        bulk = '{"create":{}}\n' + json.dumps({"_msg": "by bulk", "host": "h1"}) + "\n"
        headers = {"VL-Stream-Fields": "host", "Content-Type": "application/x-ndjson"}
        answer = bramble.post("loki", "/insert/elasticsearch/_bulk", bulk.encode(), headers)
        equal((answer.status, answer.json["errors"], lines(bramble, '{host="h1"}')), (200, False, ["by bulk"]))


def main():
    settings = {**QUIET, "BRAMBLE_LOGS_FLOATING_VALUES": "50"}
    with Bramble(environment=settings) as bramble:
        with_rsyslog(bramble)
        with_fluent_bit_shape(bramble)
        with_python_handlers(bramble)
        with_sdk(bramble)
        with_logcli(bramble)
        aliases(bramble)
        send_floating(bramble)
        send_duplicates(bramble)
        floating(bramble, "at once")
        duplicates(bramble, "at once")
        bramble.kill()
        bramble.start()
        floating(bramble, "after kill -9")
        duplicates(bramble, "after kill -9")
        with check("flush and merge on demand"):
            equal(bramble.post("prometheus", "/internal/force_flush", b"").status // 100, 2)
            equal(bramble.post("prometheus", "/internal/force_merge", b"").status // 100, 2)
        bramble.stop()
        bramble.start()
        floating(bramble, "from blocks")
        duplicates(bramble, "from blocks")
    with Bramble(environment={**QUIET, "BRAMBLE_LOGS_PROMOTE": "tenant_id,endpoint"}) as bramble:
        promoted(bramble)
    return check.done()


sys.exit(main())
