"""Keys that say whose namespaces a container is in, and where its cgroup is: the links below /proc/PID/ns say so too."""

import json
import os
import pathlib
import signal

import pytest

from tests.e2e import machine
from tests.e2e.lab import Lab, eventually

SLEEP = "{image: IMAGE, init: true, command: sleep 1000"


def two(*keys: str, donor: str = "") -> str:
    """`x`, and `y` with the keys."""
    lines = "".join(f", {key}" for key in keys)
    more = f", {donor}" if donor else ""
    return f"services:\n  x: {SLEEP}{more}}}\n  y: {SLEEP}{lines}}}\n"


def spaces(pid: int) -> dict[str, str]:
    kinds = ("net", "uts", "pid", "ipc", "mnt", "cgroup")
    return {kind: machine.namespace(pid, kind) for kind in kinds}


def shared(one: int, other: int) -> set[str]:
    first, second = spaces(one), spaces(other)
    return {kind for kind in first if first[kind] == second[kind]}


def host_pid(lab: Lab) -> int:
    """A process that is in all of the machine's namespaces."""
    return lab.process("corral daemon")


def in_cgroup_of(lab: Lab, pid: int) -> dict[int, str]:
    """All processes in the cgroup of this one."""
    mine = machine.read(f"/proc/{pid}/cgroup")
    return {each: line for each, line in machine.in_cgroups(lab.owner.instance).items() if cgroup(each) == mine}


def cgroup(pid: int) -> str:
    try:
        return machine.read(f"/proc/{pid}/cgroup")
    except OSError:
        return ""


def refusals(lab: Lab, text: str) -> list[str]:
    lab.write(text)
    said = lab.corral("up", "-d", code=1).stderr
    assert machine.in_cgroups(lab.owner.instance) == {}
    return [line.removeprefix("corral: ").strip() for line in said.splitlines()]


# ---------------------------------------------------------------------------------------------------- network_mode


@pytest.mark.key("services.network_mode")
@pytest.mark.parametrize("said", ["service:x", "container:{project}-x-1"])
def test_two_containers_are_in_one_sandbox(lab: Lab, said: str) -> None:
    text = two(f"network_mode: '{said.format(project=lab.project)}'", donor="hostname: both, ports: ['127.0.0.1::80']")
    lab.up(text)
    x, y = lab.pid("x"), lab.pid("y")
    assert shared(x, y) == {"net", "uts"}
    assert len([line for line in lab.owner.own_processes().values() if line.startswith("corral shim")]) == 1
    for name in ("hosts", "resolv.conf", "hostname"):
        assert os.stat(f"/proc/{x}/root/etc/{name}").st_ino == os.stat(f"/proc/{y}/root/etc/{name}").st_ino
    assert lab.exec("y", "hostname").strip() == "both"
    assert "HOSTNAME=both" in pathlib.Path(f"/proc/{y}/environ").read_bytes().decode().split("\0")
    with lab.popen("exec", "-T", "x", "nc", "-l", "-p", "80", "-e", "echo", "over lo"):
        eventually(lambda: "over lo" in lab.exec("y", "sh", "-c", "nc 127.0.0.1 80 </dev/null", code=None))
    port = lab.ps()["x-1"]["Publishers"][0]["PublishedPort"]
    with lab.popen("exec", "-T", "y", "nc", "-l", "-p", "80", "-e", "echo", "published"):
        eventually(lambda: "published" in lab.machine.sh(f"busybox nc 127.0.0.1 {port} </dev/null", check=False))


@pytest.mark.key("services.network_mode")
def test_the_owner_restarts_and_is_made_anew_without_the_joiner(lab: Lab) -> None:
    lab.up(two("network_mode: 'service:x'"))
    x, y = lab.pid("x"), lab.pid("y")
    lab.corral("restart", "-t", "1", "x")
    assert lab.pid("y") == y
    assert lab.pid("x") != x
    os.kill(lab.pid("x"), signal.SIGKILL)
    lab.up(two("network_mode: 'service:x'", donor="labels: {a: b}, restart: always, environment: {A: new}"))
    assert lab.pid("y") == y
    assert shared(lab.pid("x"), y) == {"net", "uts"}


@pytest.mark.key("services.network_mode")
def test_a_killed_shim_brings_both_back_in_one_sandbox(lab: Lab) -> None:
    lab.up(two("network_mode: 'service:x'"))
    x, y = lab.pid("x"), lab.pid("y")
    lab.kill(f"corral shim {lab.project}/x")
    eventually(lambda: lab.pids()["x-1"] not in (0, x) and lab.pids()["y-1"] not in (0, y))
    assert shared(lab.pid("x"), lab.pid("y")) == {"net", "uts"}


@pytest.mark.key("services.network_mode")
def test_all_replicas_join_the_first_container(lab: Lab) -> None:
    lab.up(two("network_mode: 'service:x', scale: 2", donor="scale: 2"))
    first, second = lab.pid("x-1"), lab.pid("x-2")
    assert shared(first, second) == set()
    for name in ("y-1", "y-2"):
        assert shared(first, lab.pid(name)) == {"net", "uts"}
    lab.corral("up", "-d", "--scale", "y=3")
    assert shared(first, lab.pid("y-3")) == {"net", "uts"}
    lab.corral("up", "-d", "--scale", "y=1")
    assert shared(first, lab.pid("y-1")) == {"net", "uts"}
