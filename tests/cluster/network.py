"""Machines as network namespaces with real links: one bridge, a wire to each, and a wire of its own from each to the tester.

What is cut is the wire to the bridge; the tester's own stays, so that load and questions do not suffer what they are to judge.
Needs root and the `ip` command (iproute2).
"""

import os
import shutil
import subprocess

SUBNET = "10.213.77"


def why_not():
    """Why namespaces cannot be made here; None when they can."""
    if os.geteuid() != 0:
        return "only root may make network namespaces"
    if not shutil.which("ip"):
        return "there is no `ip` command (iproute2)"
    name = f"brb-try-{os.getpid()}"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True)
    if made.returncode != 0:
        return f"network namespaces are not permitted here: {made.stderr.strip()}"
    subprocess.run(["ip", "netns", "del", name], check=True)
    return None


def ip(*words, check=True):
    return subprocess.run(["ip", *words], check=check, capture_output=True, text=True)


class Machine:
    """A namespace: `address` in the cluster's network, `near` for the tester alone."""

    def __init__(self, network, number, name):
        self.network, self.number, self.name = network, number, name
        self.space = f"{network.prefix}-{name}"
        self.port = f"{network.prefix}p{number}"
        self.near_port = f"{network.prefix}t{number}"
        self.address = f"{SUBNET}.{number}"
        self.near = f"10.213.{100 + number}.2"
        self.tester = f"10.213.{100 + number}.1"
        ip("netns", "add", self.space)
        ip("-n", self.space, "link", "set", "lo", "up")
        ip("link", "add", self.port, "type", "veth", "peer", "name", "eth0", "netns", self.space)
        ip("link", "set", self.port, "netns", network.switch)
        ip("-n", network.switch, "link", "set", self.port, "master", "br0", "up")
        ip("-n", self.space, "address", "add", f"{self.address}/24", "dev", "eth0")
        ip("-n", self.space, "link", "set", "eth0", "up")
        ip("link", "add", self.near_port, "type", "veth", "peer", "name", "eth1", "netns", self.space)
        ip("address", "add", f"{self.tester}/30", "dev", self.near_port)
        ip("link", "set", self.near_port, "up")
        ip("-n", self.space, "address", "add", f"{self.near}/30", "dev", "eth1")
        ip("-n", self.space, "link", "set", "eth1", "up")

    def command(self, *words):
        """The words of a command that runs on this machine."""
        return ["ip", "netns", "exec", self.space, *words]

    def cut(self, silently):
        """Pulls the plug, or lets packets vanish while the link looks well, as a bad switch does."""
        if silently:
            subprocess.run(
                ["bridge", "-n", self.network.switch, "link", "set", "dev", self.port, "state", "0"], check=True
            )
        else:
            ip("-n", self.network.switch, "link", "set", self.port, "down")

    def mend(self):
        ip("-n", self.network.switch, "link", "set", self.port, "up")
        subprocess.run(
            ["bridge", "-n", self.network.switch, "link", "set", "dev", self.port, "state", "3"], check=True
        )


class Network:
    """`with Network() as network: network.machine("hub")`; all of it is gone at the end."""

    def __init__(self):
        self.prefix = f"brb{os.getpid() % 100_000}"
        self.switch = f"{self.prefix}-switch"
        self.machines = []

    def __enter__(self):
        ip("netns", "add", self.switch)
        ip("-n", self.switch, "link", "add", "br0", "type", "bridge")
        ip("-n", self.switch, "link", "set", "br0", "up")
        return self

    def machine(self, name):
        machine = Machine(self, len(self.machines) + 1, name)
        self.machines.append(machine)
        return machine

    def __exit__(self, *_):
        for machine in self.machines:
            ip("link", "del", machine.near_port, check=False)
            ip("netns", "del", machine.space, check=False)
        ip("netns", "del", self.switch, check=False)
