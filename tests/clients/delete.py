"""Loki's delete API from outside: hidden at once, taken back, over a restart, and gone from disk after the period."""

import json
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "harness"))
from bramble import QUIET, Bramble, Checks, http, wait_for

check = Checks()
DELETE = "/loki/api/v1/delete"
# Nothing is removed for good by a clock that nobody vouches for.
PERIOD = {"BRAMBLE_LOKI_DELETE_REQUEST_CANCEL_PERIOD": "3s", "BRAMBLE_STORAGE_TIME_TRUST": "always"}
MARK = b"swordfish-7d1f0c9ab2"


def push(bramble, service, lines, age_s=60):
    first = time.time_ns() - age_s * 10**9
    values = [[str(first + i), line] for i, line in enumerate(lines)]
    body = json.dumps({"streams": [{"stream": {"service": service}, "values": values}]}).encode()
    answer = bramble.post("loki", "/loki/api/v1/push", body, {"Content-Type": "application/json"})
    assert answer.status == 204, answer.text


def found(bramble, selector):
    params = {"query": selector, "start": time.time_ns() - 3600 * 10**9, "limit": 5000, "direction": "forward"}
    answer = bramble.get("loki", "/loki/api/v1/query_range", params)
    assert answer.status == 200, answer.text
    return sorted(value[1] for stream in answer.json["data"]["result"] for value in stream["values"])


def delete(bramble, query, method="POST", **params):
    params = {"query": query, "start": int(time.time()) - 3600, **params}
    return http(bramble.url("loki", DELETE), params=params, method=method)


def requests(bramble):
    answer = bramble.get("loki", DELETE)
    assert answer.status == 200 and answer.headers["Content-Type"] == "application/json", answer.text
    return answer.json


def cancel(bramble, request_id, **params):
    return http(bramble.url("loki", DELETE), params={"request_id": request_id, **params}, method="DELETE")


def on_disk(bramble, text):
    return [f.name for f in (bramble.data_dir / "blocks").rglob("*") if f.is_file() and text in f.read_bytes()]


def main():
    plain = [f"plain line {i}" for i in range(50)]
    secret = [f"password {MARK.decode()} of user {i}" for i in range(5)]
    with Bramble(QUIET) as bramble:
        push(bramble, "shop", plain + secret)
        push(bramble, "other", plain)
        with check("a deletion hides its entries at once, and only these"):
            answer = delete(bramble, '{service="shop"} |= "password"')
            assert answer.status == 204 and not answer.body, answer.text
            assert found(bramble, '{service="shop"}') == sorted(plain)
            assert delete(bramble, '{service="other"}', method="PUT").status == 204
            assert found(bramble, '{service="other"}') == []
        with check("it is listed as Loki lists it"):
            first, second = requests(bramble)
            assert first["query"] == '{service="shop"} |= "password"' and second["query"] == '{service="other"}'
            assert first["status"] == "received" and len(first["request_id"]) == 8, first
            assert abs(first["created_at"] - time.time()) < 60 and first["end_time"] > first["start_time"], first
        with check("it outlives a crash"):
            bramble.kill()
            bramble.start()
            assert found(bramble, '{service="shop"}') == sorted(plain) and found(bramble, '{service="other"}') == []
        with check("what comes later is not touched"):
            push(bramble, "shop", ["password of a later user"], age_s=30)
            assert "password of a later user" in found(bramble, '{service="shop"}')
        with check("it can be taken back"):
            assert cancel(bramble, first["request_id"]).status == 204
            assert found(bramble, '{service="shop"}') == sorted([*plain, *secret, "password of a later user"])
            assert [r["request_id"] for r in requests(bramble)] == [second["request_id"]]
            answer = cancel(bramble, first["request_id"])
            assert (answer.status, answer.text) == (404, "could not find delete request with given id"), answer.text
        with check("bad requests, in Loki's words"):
            for params, text in (
                ({"query": ""}, "query not set"),
                ({"query": "{"}, "invalid query expression"),
                ({"query": '{a="b"}', "start": ""}, "start time not set"),
                ({"query": '{a="b"}', "end": int(time.time()) + 3600}, "deletes in the future are not allowed"),
            ):
                answer = delete(bramble, **params)
                assert (answer.status, answer.text) == (400, text), (params, answer.text)
    with Bramble({**QUIET, **PERIOD}) as bramble:
        push(bramble, "shop", plain + secret)
        with check("after the period it is processed, and gone from disk"):
            assert delete(bramble, '{service="shop"} |= "password"').status == 204
            [request] = requests(bramble)
            wait_for("processing", lambda: requests(bramble)[0]["status"] == "processed")
            [request] = requests(bramble)
            assert request["deleted_lines"] == 5, request
            assert found(bramble, '{service="shop"}') == sorted(plain)
            assert on_disk(bramble, MARK) == []
            answer = cancel(bramble, request["request_id"])
            text = "the delete request is being carried out or done, so it cannot be cancelled"
            assert (answer.status, answer.text) == (400, text), answer.text
    with Bramble({**QUIET, "BRAMBLE_LOKI_DELETION_MODE": "disabled"}) as bramble:
        with check("it can be switched off"):
            answer = delete(bramble, '{service="shop"}')
            assert (answer.status, answer.text) == (403, "deletion is not available for this tenant"), answer.text
    return check.done()


if __name__ == "__main__":
    sys.exit(main())
