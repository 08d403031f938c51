"""Our own golden requests, in the corpora's form, with a small comparer.

`SUITE.jsonl`, one object a line: first lines with `push` (door, path, content type, body as JSON), then cases: `id`,
`path`, `params` (an object, or a list of pairs), `method` (a POST has its parameters in the body), `headers`, `door` (where
not the suite's own), `expect` {status, body, text}. `<<s+60>>`, `<<ms+…>>`, `<<ns+…>>` in texts are times relative to now minus an
hour. `body` is compared as a subset: keys that it names must be equal, lists must have the same length and match in
any order, "*" matches anything. `text` is a regular expression that matches somewhere in the answer.
"""

import json
import pathlib
import re
import time
import urllib.parse

HERE = pathlib.Path(__file__).resolve().parent
QUERY_DOOR = {"promapi": "prometheus", "logql": "loki", "traceql": "tempo", "jaeger": "jaeger"}
UNIT = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


def suites():
    return sorted(path.stem for path in HERE.glob("*.jsonl"))


def filled(value, base):
    """`value` with its relative times made absolute."""
    if isinstance(value, str):
        whole = re.fullmatch(r"<<(\w+)\+(\d+)>>(#?)", value)
        if whole and whole[3]:
            return (base + int(whole[2])) * UNIT[whole[1]]
        return re.sub(r"<<(\w+)\+(\d+)>>", lambda m: str((base + int(m[2])) * UNIT[m[1]]), value)
    if isinstance(value, list):
        return [filled(v, base) for v in value]
    if isinstance(value, dict):
        return {k: filled(v, base) for k, v in value.items()}
    return value


def matches(expected, got):
    if expected == "*":
        return True
    if isinstance(expected, dict):
        return isinstance(got, dict) and all(k in got and matches(v, got[k]) for k, v in expected.items())
    if isinstance(expected, list):
        if not isinstance(got, list) or len(expected) != len(got):
            return False
        left = list(got)
        for item in expected:
            found = next((g for g in left if matches(item, g)), None)
            if found is None:
                return False
            left.remove(found)
        return True
    return expected == got


def ask(suite, bramble, item):
    headers = {"Accept": "application/json", **item.get("headers", {})}
    door, params = item.get("door", QUERY_DOOR[suite]), item.get("params", {})
    params = list(params.items()) if isinstance(params, dict) else [tuple(pair) for pair in params]
    if item.get("method") != "POST":
        return bramble.get(door, item["path"], params, headers=headers)
    headers["Content-Type"] = "application/x-www-form-urlencoded"
    return bramble.post(door, item["path"], urllib.parse.urlencode(params).encode(), headers)


def run(suite, bramble):
    """Pushes, asks, compares; returns (passed, failed)."""
    base = int(time.time()) - 3600
    passed = failed = 0
    for line in (HERE / f"{suite}.jsonl").read_text().splitlines():
        if not line.strip():
            continue
        item = filled(json.loads(line), base)
        if "push" in item:
            push = item["push"]
            answer = bramble.post(
                push["door"], push["path"], json.dumps(push["body"]).encode(), {"Content-Type": "application/json"}
            )
            assert answer.status in (200, 204), f"{suite}: push answered {answer.status}: {answer.text}"
            continue
        answer = ask(suite, bramble, item)
        expect = item["expect"]
        body = None
        if "body" in expect:
            try:
                body = answer.json
            except ValueError:
                body = answer.text
        fits = "body" not in expect or matches(expect["body"], body)
        fits = fits and re.search(expect.get("text", ""), answer.text) is not None
        if answer.status == expect["status"] and fits:
            passed += 1
        else:
            failed += 1
            print(f"FAIL  {suite}/{item['id']}: {answer.status} {answer.text[:600]}")
    return passed, failed
