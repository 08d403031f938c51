"""What the tests of packages have in common: counting, and asking a Bramble that runs in a root."""

class Tally:
    """Counts checks and goes on after one that fails."""

    def __init__(self):
        self.passed, self.failed, self.skipped = 0, 0, 0

    def check(self, name, holds, detail=""):
        """One check; `detail` is shown when it fails."""
        if holds:
            self.passed += 1
            print(f"ok    {name}", flush=True)
        else:
            self.failed += 1
            print(f"FAIL  {name}: {detail}", flush=True)

    def skip(self, name, why):
        """One that cannot be made here."""
        self.skipped += 1
        print(f"skip  {name}: {why}", flush=True)

    def part(self, name, function, *arguments):
        """A part of the tests; one that ends early is a failure, and the others go on."""
        print(f"--- {name}", flush=True)
        try:
            function(self, *arguments)
        except Exception as error:  # pylint: disable=broad-except
            self.failed += 1
            print(f"FAIL  {name}: {error}", flush=True)


PUSH = (
    "now=$(date +%s%N); curl -sf -m 20 -H 'Content-Type: application/json' http://127.0.0.1:3100/loki/api/v1/push "
    '--data "{{\\"streams\\":[{{\\"stream\\":{{\\"job\\":\\"packages\\"}},\\"values\\":[[\\"$now\\",\\"{line}\\"]]}}]}}"'
)
ASK = (
    "curl -sf -m 20 -G http://127.0.0.1:3100/loki/api/v1/query_range --data-urlencode 'query={{job=\"packages\"}}' "
    "| grep -c -F '{line}'"
)


def push(machine, line):
    """Sends a log line; answered when it is durable."""
    machine.run(PUSH.format(line=line))


def has(machine, line):
    """Whether a query finds it."""
    return machine.run(ASK.format(line=line), check=False)[0] == 0


READY = "curl -sf -m 5 http://127.0.0.1:3000/-/ready"


def property_of(machine, unit, name):
    """One property of a unit."""
    return machine.run(f"systemctl show --value -p {name} {unit}")[1].strip()


def status_of(machine, pid, key):
    """A line of /proc/PID/status."""
    return machine.run(f"sed -n 's/^{key}:[[:space:]]*//p' /proc/{pid}/status")[1].strip()


def mode(root, path):
    """Mode and owners of a path, as `stat` shows them."""
    return root.run(f"stat -c '%a %U:%G' {path}", check=False)[1].strip()
