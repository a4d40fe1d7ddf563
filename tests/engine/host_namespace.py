"""A machine of one's own for a test: network and mount namespaces that nothing outside sees, gone with the test.

    def test_it(host: Host) -> None:
        host.sh("ip link add cb0 type bridge")     # only here
        lan = host.neighbour("lan")                # a namespace beside it: another machine, or a container's
        lan.sh("ip addr")

The test runs inside, in pytest's own process (so failures read as always, and what it starts is inside too), and at its end
the machine has to be as it was: no link, no mount, no rule, no process left.
"""

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from engine.process import syscalls
from tests import slowness

OURS = syscalls.CLONE_NEWNET | syscalls.CLONE_NEWNS


@dataclass
class Neighbour:
    """A network namespace beside the host's, held by a process that sleeps."""

    name: str
    pid: int

    def sh(self, command: str, *, check: bool = True, timeout: float = 10) -> str:
        return _sh(["nsenter", "-t", str(self.pid), "-n", "sh", "-c", command], check, timeout)

    def popen(self, *argv: str, **options: object) -> "subprocess.Popen[str]":
        return subprocess.Popen(["nsenter", "-t", str(self.pid), "-n", *argv], text=True, **options)  # type: ignore[call-overload, no-any-return]


@dataclass
class Host:
    """The test's machine. What `popen` and `neighbour` start is ended with it."""

    neighbours: list[Neighbour] = field(default_factory=list)
    children: list["subprocess.Popen[str]"] = field(default_factory=list)

    def sh(self, command: str, *, check: bool = True, timeout: float = 10) -> str:
        return _sh(["sh", "-c", command], check, timeout)

    def neighbour(self, name: str) -> Neighbour:
        """A new machine, not connected to anything, with lo up."""
        holder = subprocess.Popen(
            ["unshare", "-n", "sh", "-c", "ip link set lo up; echo; exec sleep 1000"], stdout=subprocess.PIPE, text=True
        )
        assert holder.stdout is not None
        with holder.stdout:
            holder.stdout.readline()
        self.children.append(holder)
        found = Neighbour(name, holder.pid)
        self.neighbours.append(found)
        return found

    def popen(self, *argv: str, at: Neighbour | None = None, **options: object) -> "subprocess.Popen[str]":
        child = at.popen(*argv, **options) if at else subprocess.Popen(argv, text=True, **options)  # type: ignore[call-overload]
        self.children.append(child)
        return child

    def links(self) -> set[str]:
        return {link["ifname"] for link in json.loads(self.sh("ip -j link"))} - {"lo"}

    def end(self) -> None:
        for child in reversed(self.children):
            with contextlib.suppress(ProcessLookupError):
                child.send_signal(signal.SIGKILL)
            for pipe in (child.stdin, child.stdout, child.stderr):
                if pipe and not pipe.closed:
                    pipe.close()
            child.wait()


def _sh(argv: list[str], check: bool, timeout: float) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, timeout=slowness.scaled(timeout), check=False)
    assert not check or done.returncode == 0, f"{argv[-1]}: {done.stderr}{done.stdout}"
    return done.stdout


def _mounts() -> set[str]:
    with open("/proc/thread-self/mountinfo", encoding="utf-8") as file:
        return {line.split()[4] for line in file}


def _rules() -> str:
    lines = []
    for flavour in ("nft", "legacy"):
        text = _sh([f"iptables-{flavour}-save"], True, 10)
        lines += [line for line in text.splitlines() if "CORRAL" in line]
    return "\n".join(lines)


def _wait_until_alone() -> None:
    """Threads that an event loop had and nobody joined are still there for a moment: a process of several cannot change its mount
    namespace."""
    deadline = time.monotonic() + slowness.scaled(10)
    while len(os.listdir("/proc/self/task")) > 1 and time.monotonic() < deadline:
        time.sleep(0.005)


@contextlib.contextmanager
def own_machine() -> Iterator[Host]:
    """Be inside while the context lasts; at its end fail if anything is left. `ip` of the packages iproute2 is needed."""
    outside = [os.open(f"/proc/thread-self/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC) for kind in ("net", "mnt")]
    directory = os.getcwd()
    syscalls.unshare(OURS)
    host = Host()
    try:
        syscalls.mount(None, "/", None, syscalls.MS_REC | syscalls.MS_PRIVATE)
        syscalls.mount("tmpfs", "/run", "tmpfs", 0)  # the lock of xtables is a file
        host.sh("ip link set lo up; sysctl -qw net.ipv4.ip_forward=0")  # a new namespace inherits the machine's value
        mounts = _mounts()
        yield host
        host.end()
        assert _mounts() == mounts, "mounts are left"
        assert not [name for name in host.links() if name.startswith(("cb", "cv"))], "links of ours are left"
        assert not _rules(), f"rules of ours are left: {_rules()}"
    finally:
        host.end()
        _wait_until_alone()
        for descriptor, kind in zip(outside, (syscalls.CLONE_NEWNET, syscalls.CLONE_NEWNS), strict=True):
            syscalls.setns(descriptor, kind)
            os.close(descriptor)
        os.chdir(directory)


@pytest.fixture
def host() -> Iterator[Host]:
    """A machine of the test's own, see the module."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    with own_machine() as machine:
        yield machine
