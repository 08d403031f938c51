"""The long form: trouble for SECONDS, with more load. `soak.sh` runs it."""

import argparse
import sys
import time

import network
from cluster import bramble
from judge import run


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--seconds", type=int, default=900)
    arguments.add_argument("--seed", type=int, default=int(time.time()))
    arguments.add_argument("--nodes", type=int, default=3)
    arguments.add_argument("--rate", type=int, default=100, help="log entries and lines a second of each node")
    chosen = arguments.parse_args()
    why = network.why_not()
    if why:
        print(f"skipped: {why}")
        return 0
    checks = bramble.Checks()
    run(checks, chosen.seconds, chosen.seed, chosen.nodes, chosen.rate, patience_s=600)
    return checks.done()


if __name__ == "__main__":
    sys.exit(main())
