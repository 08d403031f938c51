"""A promtail.yaml as it is: lines get the labels that Promtail's documentation says, and nothing is read twice.

The pipelines are those of Promtail's documentation (grafana/loki, docs/sources/send-data/promtail: pipelines.md,
stages/cri.md, stages/multiline.md, configuration.md).
"""

import json
import pathlib
import socket
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "harness"))
from bramble import QUIET, Bramble, Checks, free_ports, wait_for

check = Checks()
SETTINGS = {**QUIET, "BRAMBLE_JOURNAL_BACKGROUND_WAIT": "1s", "BRAMBLE_JOURNALD_ENABLED": "off"}

CONFIG = r"""
server:
  http_listen_port: 9080
  grpc_listen_port: 0

positions:
  filename: ROOT/positions.yaml

clients:
  - url: http://localhost:3100/loki/api/v1/push
    external_labels: {site: attic}

scrape_configs:
- job_name: system
  static_configs:
  - targets:
      - localhost
    labels:
      job: varlogs
      host: yourhost
      __path__: ROOT/var/*.log
      __path_exclude__: ROOT/var/secret.log
- job_name: app
  pipeline_stages:
  - json:
      expressions: {output: log, stream: stream, timestamp: time}
  - json:
      source: output
      expressions: {level: level, user: user}
  - labels:
      stream:
      level:
  - structured_metadata:
      user:
  - timestamp:
      source: timestamp
      format: RFC3339Nano
  - output:
      source: output
  - drop:
      source: level
      value: debug
  - eventlogmessage: {}
  static_configs:
  - labels: {job: app, __path__: ROOT/app/*.log}
- job_name: stack
  pipeline_stages:
  - multiline:
      firstline: '^\[\d{4}-\d{2}-\d{2}'
      max_wait_time: 1s
  - regex:
      expression: '^\[(?P<time>[^\]]+)\] (?P<level>\w+)'
  - labels: {level: }
  static_configs:
  - labels: {job: stack, __path__: ROOT/stack.log}
- job_name: pods
  pipeline_stages:
  - cri: {}
  file_sd_configs:
  - files: [ROOT/targets/*.json]
    refresh_interval: 1s
  relabel_configs:
  - {source_labels: [__meta_pod, app], separator: /, target_label: job}
  - {source_labels: [node], target_label: __host__}
  - {regex: node, action: labeldrop}
- job_name: syslog
  syslog:
    listen_address: 127.0.0.1:SYSLOG
    labels: {job: syslog}
  relabel_configs:
  - {source_labels: [__syslog_message_hostname], target_label: host}
  - {source_labels: [__syslog_message_severity], target_label: severity}
- job_name: push
  loki_push_api:
    server: {http_listen_port: 3500}
"""


def streams(bramble, selector):
    """Each line that a selector finds, with its labels as Loki's API shows them, less what Loki adds by itself."""
    end = time.time_ns() + 10**10
    params = {"query": selector, "start": end - 3600 * 10**9, "end": end, "limit": 1000, "direction": "forward"}
    answer = bramble.get("loki", "/loki/api/v1/query_range", params)
    assert answer.status == 200, answer.text[:300]
    found = []
    for stream in answer.json["data"]["result"]:
        labels = {k: v for k, v in stream["stream"].items() if k not in ("service_name", "detected_level")}
        found += [(labels, value[1], int(value[0])) for value in stream["values"]]
    return sorted(found, key=lambda one: one[2])


def lines(bramble, selector, count):
    wait_for(f"{count} lines of {selector}", lambda: len(streams(bramble, selector)) >= count)
    return streams(bramble, selector)


def append(path, text):
    with open(path, "a") as f:
        f.write(text)


def rfc3339(ns):
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(ns // 10**9)) + f".{ns % 10**9:09d}Z"


def static_files(b, root):
    with check("labels of listed files; what Promtail had read is not read again"):
        found = lines(b, '{job="varlogs"}', 3)
        filename = str(root / "var/a.log")
        wanted = {"job": "varlogs", "host": "yourhost", "site": "attic"}
        assert [line for _, line, _ in found if "a.log" in line] == ["a.log third", "a.log fourth"], found
        assert {"filename": filename, **wanted} in [labels for labels, _, _ in found], found
        assert len(found) == 3 and not any("secret" in line for _, line, _ in found), found


def stages(b, root, at):
    with check("json stages, labels, metadata, timestamp and output"):
        (labels, line, ns), = lines(b, '{job="app"}', 1)
        wanted = {"job": "app", "filename": str(root / "app/x.log"), "site": "attic", "stream": "stderr",
                  "level": "warn", "user": "marco"}
        assert labels == wanted, labels
        assert json.loads(line)["msg"] == "hot" and ns == at, (line, ns, at)
    with check("multiline"):
        found = lines(b, '{job="stack"}', 2)
        texts = {labels["level"]: line for labels, line, _ in found}
        assert texts["ERROR"].count("\n") == 2 and texts["ERROR"].endswith("at there"), texts
        assert texts["INFO"].endswith("fine"), texts


def discovered(b, root, at):
    pod = root / "pods" / "shop_web-1_u-1" / "nginx"
    pod.mkdir(parents=True)
    (pod / "0.log").write_text(f"{rfc3339(at)} stdout P part \n{rfc3339(at + 1)} stdout F whole\n")
    targets = root / "targets" / "pods.json"
    labels = {"__meta_pod": "web-1", "app": "nginx", "__path__": f"{pod}/*.log", "node": socket.gethostname()}
    elsewhere = {**labels, "node": "elsewhere", "__path__": f"{root}/var/secret.log"}
    targets.write_text(json.dumps([{"targets": ["localhost"], "labels": labels},
                                   {"targets": ["localhost"], "labels": elsewhere}]))
    with check("targets of a file, relabelled; lines of a container runtime"):
        (found, line, ns), = lines(b, '{job="web-1/nginx"}', 1)
        wanted = {"job": "web-1/nginx", "app": "nginx", "stream": "stdout", "site": "attic",
                  "filename": f"{pod}/0.log"}
        assert (found, line) == (wanted, "part whole") and abs(ns - at) < 10, (found, line, ns)
    with check("a target that goes is no longer read"):
        targets.write_text("[]")
        time.sleep(4)
        append(pod / "0.log", f"{rfc3339(at + 2)} stdout F after\n")
        time.sleep(3)
        assert len(streams(b, '{job="web-1/nginx"}')) == 1


def syslog(b, port):
    with check("syslog, relabelled"):
        with socket.create_connection(("127.0.0.1", port)) as s:
            s.sendall(b"<11>1 2026-01-01T00:00:00Z orthanc app 1 - - it burns\n")
        (labels, line, ns), = lines(b, '{job="syslog"}', 1)
        assert labels == {"job": "syslog", "host": "orthanc", "severity": "error", "site": "attic"}, labels
        assert line == "it burns" and abs(ns - time.time_ns()) < 120 * 10**9, (line, ns)


def named(b):
    with check("what is not supported is named with its line"):
        log = b.log()
        for part in ["eventlogmessage", "loki_push_api is not supported"]:
            assert part in log, part


def main():
    with tempfile.TemporaryDirectory(prefix="bramble-promtail-") as directory:
        root = pathlib.Path(directory)
        (port,) = free_ports(1)
        for name in ["var", "app", "targets"]:
            (root / name).mkdir()
        config = root / "promtail.yaml"
        config.write_text(CONFIG.replace("ROOT", str(root)).replace("SYSLOG", str(port)))
        (root / "var/a.log").write_text("a.log first\na.log second\na.log third\na.log fourth\n")
        (root / "var/b.log").write_text("b.log only\n")
        (root / "var/secret.log").write_text("secret\n")
        (root / "positions.yaml").write_text(f'positions:\n  {root}/var/a.log: "25"\n')
        at = time.time_ns() - 60 * 10**9
        inner = [{"level": level, "user": "marco", "msg": "hot"} for level in ["warn", "debug"]]
        docker = [{"log": json.dumps(i), "stream": "stderr", "time": rfc3339(at)} for i in inner]
        (root / "app/x.log").write_text("".join(json.dumps(d) + "\n" for d in docker))
        (root / "stack.log").write_text("[2026-01-01 00:00:00] ERROR boom\n  at here\n  at there\n[2026-01-01 00:00:01] INFO fine\n")
        settings = {**SETTINGS, "BRAMBLE_PROMTAIL_CONFIG": str(config)}
        with Bramble(environment=settings) as b:
            static_files(b, root)
            stages(b, root, at)
            discovered(b, root, at)
            syslog(b, port)
            named(b)
            with check("killed and started again: read on, nothing twice"):
                b.kill()
                append(root / "var/b.log", "b.log while away\n")
                b.start()
                found = [line for _, line, _ in lines(b, '{job="varlogs"}', 4)]
                assert len(found) == 4 and found.count("b.log while away") == 1, found
        with check("a file that is wrong is told with its line"):
            config.write_text("scrape_configs:\n- job_name: a\n  static_config: []\n")
            b = Bramble(environment=settings, data_dir=root)
            b.start(wait=False)
            b.process.wait(30)
            assert b.process.returncode != 0 and "promtail.yaml:3: " in b.log(), b.log()[-500:]
    return check.done()


sys.exit(main())
