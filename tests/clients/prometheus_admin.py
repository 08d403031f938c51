"""Prometheus' admin and lifecycle API: off by default; deletions that survive a restart, snapshots that open."""

import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "harness"))
from bramble import OLD_DATA, QUIET, Bramble, Checks, wait_for
from send import gauge

check = Checks()
ENABLED = {
    **QUIET,
    **OLD_DATA,
    "BRAMBLE_PROMETHEUS_ENABLE_ADMIN_API": "true",
    "BRAMBLE_PROMETHEUS_ENABLE_LIFECYCLE": "true",
}
ADMIN = "/api/v1/admin/tsdb"
T0 = int(time.time()) // 60 * 60 - 3600


def samples(bramble, name, at=None):
    """Values of `name` by label `x`, over ten hours around `at`."""
    params = {"query": f"{name}[10h]", "time": at or T0 + 3600}
    result = bramble.get("prometheus", "/api/v1/query", params).json["data"]["result"]
    return {series["metric"]["x"]: [int(float(v)) for _, v in series["values"]] for series in result}


def names(bramble):
    params = {"start": T0 - 60, "end": T0 + 3600}
    return bramble.get("prometheus", "/api/v1/label/__name__/values", params).json["data"]


def delete(bramble, **params):
    answer = bramble.post("prometheus", f"{ADMIN}/delete_series", b"", params={k.rstrip("_"): v for k, v in params.items()})
    assert answer.status == 204, (answer.status, answer.text)


def disabled():
    with Bramble(environment=QUIET) as b:
        for call in ("delete_series?match[]=up", "clean_tombstones", "snapshot"):
            with check(f"{call} is off by default"):
                answer = b.post("prometheus", f"{ADMIN}/{call}", b"")
                assert answer.json["errorType"] == "unavailable" and "disabled" in answer.json["error"], answer.text
        with check("lifecycle calls are off by default"):
            for call in ("reload", "quit"):
                answer = b.post("prometheus", f"/-/{call}", b"")
                assert answer.status == 403 and "not enabled" in answer.text, (answer.status, answer.text)
                assert b.get("prometheus", f"/-/{call}").status == 405


def deleting():
    with Bramble(environment=ENABLED) as b:
        for x in ("a", "b"):
            gauge(b, "gone", {"x": x}, [(T0 + i, i) for i in range(10)])
            gauge(b, "kept", {"x": x}, [(T0 + i, i) for i in range(10)])
        with check("a part of one series goes, also from the head"):
            delete(b, **{"match[]": 'gone{x="a"}', "start": T0 + 3, "end": T0 + 5})
            assert samples(b, "gone") == {"a": [0, 1, 2, 6, 7, 8, 9], "b": list(range(10))}, samples(b, "gone")
        with check("whole series go, with their names"):
            delete(b, **{"match[]": ['gone{x="b"}', 'kept{x="b"}']})
            assert samples(b, "gone").keys() == {"a"} and samples(b, "kept") == {"a": list(range(10))}
            assert samples(b, "gone") == {"a": [0, 1, 2, 6, 7, 8, 9]}
        with check("samples that come later are not deleted"):
            gauge(b, "gone", {"x": "b"}, [(T0 + 4, 44)])
            assert samples(b, "gone")["b"] == [44], samples(b, "gone")
        expected = {name: samples(b, name) for name in ("gone", "kept")}
        with check("deletions survive a crash"):
            b.kill()
            b.start()
            assert {name: samples(b, name) for name in expected} == expected
        with check("and a merge"):
            for _ in range(2):
                assert b.post("prometheus", "/internal/force_flush", b"").status == 200
                assert b.post("prometheus", "/internal/force_merge", b"").status == 200
                assert {name: samples(b, name) for name in expected} == expected
        with check("cleaning leaves the same, and forgets the deletions"):
            assert b.post("prometheus", f"{ADMIN}/clean_tombstones", b"").status == 204
            assert {name: samples(b, name) for name in expected} == expected
            b.stop()
            b.start()
            assert {name: samples(b, name) for name in expected} == expected
        with check("a name of which everything is deleted is no value any more"):
            delete(b, **{"match[]": "gone"})
            assert names(b) == ["kept"], names(b)
            assert b.post("prometheus", f"{ADMIN}/clean_tombstones", b"").status == 204
            assert names(b) == ["kept"], names(b)
        with check("bad requests are said to be so"):
            for params in ({}, {"match[]": "{"}, {"match[]": "{}"}, {"match[]": "x", "start": "y"}):
                answer = b.post("prometheus", f"{ADMIN}/delete_series", b"", params=params)
                assert answer.status == 400 and answer.json["errorType"] == "bad_data", answer.text
        return expected


def snapshots():
    with Bramble(environment=ENABLED) as b:
        gauge(b, "kept", {"x": "a"}, [(T0 + i, i) for i in range(10)])
        delete(b, **{"match[]": "kept", "start": T0, "end": T0 + 1})
        gauge(b, "kept", {"x": "late"}, [(T0 + 1, 1)])
        with check("a snapshot without the head has what is in blocks"):
            name = b.post("prometheus", f"{ADMIN}/snapshot", b"", params={"skip_head": "true"}).json["data"]["name"]
            with Bramble(environment=ENABLED, data_dir=b.data_dir / "snapshots" / name) as copy:
                assert samples(copy, "kept") == {"a": list(range(2, 10))}, samples(copy, "kept")
        with check("a snapshot with the head has everything, and goes on by itself"):
            name = b.post("prometheus", f"{ADMIN}/snapshot", b"").json["data"]["name"]
            with Bramble(environment=ENABLED, data_dir=b.data_dir / "snapshots" / name) as copy:
                assert samples(copy, "kept") == {"a": list(range(2, 10)), "late": [1]}, samples(copy, "kept")
                gauge(copy, "kept", {"x": "new"}, [(T0 + 2, 2)])
                copy.kill()
                copy.start()
                assert samples(copy, "kept")["new"] == [2]
        with check("the original has not noticed"):
            assert samples(b, "kept") == {"a": list(range(2, 10)), "late": [1]}
        with check("skip_head must be a truth value"):
            assert b.post("prometheus", f"{ADMIN}/snapshot", b"", params={"skip_head": "x"}).status == 400


def lifecycle():
    with Bramble(environment=ENABLED) as b:
        with check("reload reads the configuration again"):
            before = b.get("prometheus", "/api/v1/status/runtimeinfo").json["data"]["lastConfigTime"]
            time.sleep(0.01)
            assert b.post("prometheus", "/-/reload", b"").status == 200
            data = b.get("prometheus", "/api/v1/status/runtimeinfo").json["data"]
            assert data["reloadConfigSuccess"] and data["lastConfigTime"] > before, data
        with check("quit stops the process"):
            assert b.post("prometheus", "/-/quit", b"").status == 200
            wait_for("the process to end", lambda: b.process.poll() is not None)


disabled()
deleting()
snapshots()
lifecycle()
sys.exit(check.done())
