"""Hosts of the lab: network namespaces, and wires between them."""
import contextlib
import ctypes
import json
import os
import pathlib
import subprocess
import time

from .report import CannotCompare

TIMEOUT_S = 30
CLONE_NEWNET = 0x40000000
LIBC = ctypes.CDLL(None, use_errno=True)


class Host:
    """A network namespace. The script's own one is the router."""

    def __init__(self):
        with open_namespace() as home:
            check(LIBC.unshare(CLONE_NEWNET))
            self.namespace = open_namespace()
            check(LIBC.setns(home.fileno(), CLONE_NEWNET))
        with self.inside():
            disable_ipv6()
            run("ip link set lo up")

    @contextlib.contextmanager
    def inside(self):
        """Sockets that are made and programs that are started meanwhile are on this host."""
        with open_namespace() as home:
            check(LIBC.setns(self.namespace.fileno(), CLONE_NEWNET))
            try:
                yield
            finally:
                check(LIBC.setns(home.fileno(), CLONE_NEWNET))

    def plug(self, here, there):
        """Lays a wire from `here` of this host to `there` of the router."""
        run(f"ip link add {there} type veth peer name {here} netns /proc/{os.getpid()}/fd/{self.namespace.fileno()}")
        with self.inside():
            run(f"ip link set {here} up")
        run(f"ip link set {there} up")


def open_namespace():
    return open("/proc/thread-self/ns/net", "rb")


def check(result):
    """Raises if a call of the C library failed."""
    if result != 0:
        raise CannotCompare(f"the namespaces of the lab are refused: {os.strerror(ctypes.get_errno())}")


def run(command, accepted=(0,)):
    done = subprocess.run(command.split(), capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=120)
    if done.returncode not in accepted:
        raise CannotCompare(f"{command} failed: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def set_sysctl(name, value):
    pathlib.Path("/proc/sys/net", name).write_text(value)


def disable_ipv6():
    """Turns off IPv6, whose own packets would be on the wires beside those of a scenario."""
    for which in ("all", "default"):
        if pathlib.Path("/proc/sys/net/ipv6").exists():
            set_sysctl(f"ipv6/conf/{which}/disable_ipv6", "1")


def wait_until_up(name, host):
    """An interface sends what it is given a moment after its other end came up."""
    deadline = time.monotonic() + TIMEOUT_S
    while time.monotonic() < deadline:
        with host.inside():
            if json.loads(run(f"ip -json link show {name}"))[0]["operstate"] == "UP":
                return
        time.sleep(0.05)
    raise CannotCompare(f"{name} does not come up")
