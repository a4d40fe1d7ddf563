"""`x-corral.memory: guaranteed` on this machine: limits that do not fit are refused, and nothing has been made then."""

import pathlib

import pytest

from tests.e2e import machine
from tests.e2e.lab import Lab

MIB = 1 << 20
GREEDY = """x-corral: {{memory: guaranteed}}
services:
  a: {{image: IMAGE, init: true, command: sleep 1000, mem_limit: {half}m, scale: 2}}
  b: {{image: IMAGE, init: true, command: sleep 1000, mem_limit: 64m, volumes: ["data:/data"]}}
volumes:
  data:
"""


def machine_mib() -> int:
    lines = pathlib.Path("/proc/meminfo").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("MemTotal:"))) // 1024


def limit(pid: int) -> int:
    cgroup = machine.cgroup_of(pid, "memory")
    files = (cgroup / "memory.max", cgroup / "memory.limit_in_bytes")
    return int(next(file for file in files if file.exists()).read_text())


@pytest.mark.key("x-corral.memory")
def test_what_the_machine_cannot_hold_is_refused_and_what_it_can_hold_runs(lab: Lab) -> None:
    half = machine_mib() * 6 // 10
    before = lab.owner.snapshot()
    lab.write(GREEDY.format(half=half))
    for words in (("plan",), ("up", "-d")):
        said = lab.refusal(*words)
        assert "compose.yaml:1:12: x-corral.memory: the limits of what would run add up to" in said
        assert f"{2 * half + 64} MiB, and this machine can hold" in said
        assert f"shrink a (2 x {half} MiB) or b (64 MiB), or --scale a=1" in said
    assert lab.owner.snapshot() == before
    lab.corral("up", "-d", "--scale", "a=1")
    assert limit(lab.pid("a-1")) == half * MIB
    assert limit(lab.pid("b")) == 64 * MIB
    assert f"{2 * half + 64} MiB" in lab.refusal("up", "-d", "--scale", "a=2")
    assert lab.states() == {"a-1": "running", "b-1": "running"}
