"""The configuration is read again while Bramble runs: pipelines, redaction, files and promtail.yaml change, what is broken changes nothing."""

import json
import pathlib
import signal
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "harness"))
from bramble import QUIET, Bramble, Checks, free_ports, wait_for

check = Checks()
SETTINGS = {**QUIET, "BRAMBLE_JOURNAL_BACKGROUND_WAIT": "1s"}

# Settings that the script changes; the rest of the environment is the harness's.
FIRST = """
[prometheus]
enable_lifecycle = true

[redaction]
enabled = false

[[files]]
include = ["ROOT/a.log"]
start = "beginning"
"""

SECOND = """
[prometheus]
enable_lifecycle = true

[redaction]
enabled = true

[query]
concurrency = 7

[[files]]
include = ["ROOT/a.log"]
start = "beginning"
pipeline = "levels"

[[files]]
include = ["ROOT/b.log"]
start = "beginning"
labels = { app = "second" }

[[pipeline]]
name = "levels"
signals = ["logs"]
steps = [{ stages = [{ json = { expressions = { level = "level" } } }, { labels = { level = "" } }] }]

[[pipeline]]
name = "noise"
signals = ["logs"]
steps = [{ drop = { line = "noise" } }]
"""

GATHER = """
[[pipeline]]
name = "gather"
signals = ["logs"]
steps = [{ batch = { send_batch_size = 10, timeout = "1s" } }]
"""

PROMTAIL = """scrape_configs:
- job_name: app
  static_configs:
  - labels: {job: JOB, __path__: ROOT/p.log}
"""


def lines(bramble, selector):
    """Lines and their labels."""
    end = time.time_ns() + 10**9
    params = {"query": selector, "start": end - 3600 * 10**9, "end": end, "limit": 5000}
    result = bramble.get("loki", "/loki/api/v1/query_range", params).json["data"]["result"]
    return sorted((value[1], stream["stream"].get("level", "")) for stream in result for value in stream["values"])


def push(bramble, app, *texts):
    values = [[str(time.time_ns() + n), text] for n, text in enumerate(texts)]
    body = json.dumps({"streams": [{"stream": {"app": app}, "values": values}]}).encode()
    answer = bramble.post("loki", "/loki/api/v1/push", body, {"Content-Type": "application/json"})
    assert answer.status == 204, answer.text


def append(path, *texts):
    with open(path, "a") as f:
        f.writelines(text + "\n" for text in texts)


def told(bramble, name):
    """The sum of a metric's series."""
    found = [line for line in bramble.get("main", "/metrics").text.splitlines() if line.startswith(name)]
    return sum(float(line.rsplit(" ", 1)[1]) for line in found)


class Setup:
    def __init__(self, root, bramble):
        self.root, self.bramble, self.file = root, bramble, root / "bramble.toml"

    def write(self, text):
        self.file.write_text(text.replace("ROOT", str(self.root)))

    def reload(self):
        return self.bramble.post("prometheus", "/-/reload", b"")

    def is_good(self):
        return self.bramble.get("prometheus", "/api/v1/status/runtimeinfo").json["data"]["reloadConfigSuccess"]

    def hang_up(self):
        """SIGHUP; waits until the configuration was read."""
        before = self.bramble.log().count("configuration read again")
        self.bramble.process.send_signal(signal.SIGHUP)
        wait_for("the reload", lambda: self.bramble.log().count("configuration read again") > before)


def files_and_pipelines(setup):
    bramble, a = setup.bramble, setup.root / "a.log"
    append(a, '{"level":"info","n":1} password=hunter2')
    wait_for("the first line", lambda: len(lines(bramble, '{filename=~".+/a.log"}')) == 1)
    append(setup.root / "b.log", "b 1")
    setup.write(SECOND)
    answer = setup.reload()
    assert answer.status == 200 and setup.is_good(), answer.text
    append(a, '{"level":"warn","n":2,"password":"hunter2"}')
    wait_for("b.log", lambda: lines(bramble, '{app="second"}') == [("b 1", "")])
    wait_for("the second line", lambda: len(lines(bramble, '{filename=~".+/a.log"}')) == 2)
    found = lines(bramble, '{filename=~".+/a.log"}')
    wanted = [
        ('{"level":"info","n":1} password=hunter2', ""),
        ('{"level":"warn","n":2,"password":"<redacted:password>"}', "warn"),
    ]
    assert found == wanted, found
    assert told(bramble, 'bramble_pipeline_stage_lines_total{direction="in",pipeline="levels",place="0"') == 1


def pushed(setup):
    push(setup.bramble, "pushed", "noise", "password=hunter2", "plain")
    found = lines(setup.bramble, '{app="pushed"}')
    assert [line for line, _ in found] == ["password=<redacted:password>", "plain"], found


def named(setup):
    log = setup.bramble.log()
    assert 'changed; takes effect with the next start setting="query.concurrency"' in log, log[-2000:]
    assert 'setting="redaction' not in log and 'setting="collect' not in log


def broken(setup):
    for text, wanted in [
        (SECOND + "[[pipeline]\n", "bramble.toml:"),
        (SECOND + "[memory]\ncapp = 1\n", f"bramble.toml:{len(SECOND.splitlines()) + 2}: unknown key memory.capp"),
        (SECOND.replace('line = "noise"', 'line = "("'), 'pipeline "noise", steps[0].drop.line'),
        (SECOND.replace('"levels"\nsignals', '"other"\nsignals'), 'files[0]: there is no [[pipeline]] named "levels"'),
        (SECOND.replace("b.log", "b[.log"), "files[1]"),
        (SECOND.replace("enabled = true", 'enabled = true\nalso = ["nothing"]'), "redaction"),
        (SECOND + '[promtail]\nconfig = "ROOT/none.yaml"\n', "none.yaml"),
    ]:
        setup.write(text)
        answer = setup.reload()
        assert answer.status == 500 and wanted in answer.text, f"{wanted}: {answer.status} {answer.text}"
        assert not setup.is_good()
    push(setup.bramble, "still", "noise", "password=hunter2")
    found = lines(setup.bramble, '{app="still"}')
    assert [line for line, _ in found] == ["password=<redacted:password>"], found


def gathered(setup):
    setup.write(SECOND + GATHER)
    setup.hang_up()
    began, before = time.monotonic(), told(setup.bramble, "bramble_journal_commits_total")
    senders = [threading.Thread(target=push, args=(setup.bramble, "many", f"line {n}")) for n in range(3)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    took = time.monotonic() - began
    assert 0.9 < took < 5, f"senders waited {took} s"
    assert len(lines(setup.bramble, '{app="many"}')) == 3
    assert told(setup.bramble, 'bramble_pipeline_batches_total{reason="timeout",signal="logs"}') == 1
    began = time.monotonic()
    push(setup.bramble, "many", *[f"more {n}" for n in range(10)])
    assert time.monotonic() - began < 0.9, "enough goes on at once"
    setup.write(SECOND)
    setup.hang_up()


def promtail(setup):
    bramble, yaml, p = setup.bramble, setup.root / "promtail.yaml", setup.root / "p.log"
    write = lambda job: yaml.write_text(PROMTAIL.replace("ROOT", str(setup.root)).replace("JOB", job))
    append(p, "p 1")
    write("one")
    setup.write(SECOND + '[promtail]\nconfig = "ROOT/promtail.yaml"\n')
    assert setup.reload().status == 200
    wait_for("the job", lambda: lines(bramble, '{job="one"}') == [("p 1", "")])
    write("two")
    assert setup.reload().status == 200
    append(p, "p 2")
    wait_for("the other label", lambda: lines(bramble, '{job="two"}') == [("p 2", "")])
    assert lines(bramble, '{job="one"}') == [("p 1", "")], "nothing is read twice"
    yaml.write_text(yaml.read_text() + "  pipeline_stages:\n  - regex: {expression: '('}\n")
    answer = setup.reload()
    assert answer.status == 500 and "promtail.yaml:6" in answer.text, answer.text
    append(p, "p 3")
    wait_for("lines as before", lambda: len(lines(bramble, '{job="two"}')) == 2)
    setup.write(SECOND)
    assert setup.reload().status == 200
    append(p, "p 4")
    append(setup.root / "b.log", "b 2")
    wait_for("b.log", lambda: len(lines(bramble, '{app="second"}')) == 2)
    assert len(lines(bramble, '{job=~"one|two"}')) == 3, "a job that is gone reads no more"


def node(root):
    hub = free_ports(1)[0]
    file = root / "node.toml"
    first = f'role = "node"\n[node]\nhubs = ["127.0.0.1:{hub}"]\ntoken = "none"\n[prometheus]\nenable_lifecycle = true\n'
    file.write_text(first)
    with Bramble(environment=SETTINGS, arguments=["--config", str(file)]) as bramble:
        setup = Setup(root, bramble)
        file.write_text(first + '[[pipeline]]\nname = "x"\nsteps = [{ drop = { line = "(" } }]\n')
        answer = setup.reload()
        assert answer.status == 500 and "steps[0].drop.line" in answer.text, answer.text
        file.write_text(first + '[[pipeline]]\nname = "noise"\nsignals = ["logs"]\nsteps = [{ drop = { line = "noise" } }]\n')
        setup.hang_up()
        push(bramble, "pushed", "noise")
        assert told(bramble, 'bramble_pipeline_dropped_total{pipeline="noise"') == 1
        assert setup.reload().status == 200


def main():
    with tempfile.TemporaryDirectory(prefix="bramble-reload-") as directory:
        root = pathlib.Path(directory)
        bramble = Bramble(environment=SETTINGS, arguments=["--config", str(root / "bramble.toml")])
        setup = Setup(root, bramble)
        setup.write(FIRST)
        with bramble:
            for what, does in [
                ("files, stages and redaction change, and nothing is read twice", files_and_pipelines),
                ("what is pushed goes through the new pipelines", pushed),
                ("what needs a restart is named", named),
                ("what is broken is told with its place, and what was in force stays so", broken),
                ("SIGHUP too; requests are gathered, and answered when they are durable", gathered),
                ("promtail.yaml is read again, and nothing is read twice", promtail),
            ]:
                with check(what):
                    does(setup)
        with check("a node reads its configuration again"):
            node(root)
    return check.done()


sys.exit(main())
