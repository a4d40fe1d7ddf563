"""Limits: what the file asks is in force in the kernel, changed without a restart, or refused in words."""

import pytest

from tests.e2e import machine
from tests.e2e.lab import Lab, eventually

MIB = 1 << 20
NO_LIMIT = 1 << 60
"""No machine has as much memory: cgroup v1 writes "unlimited" as a number of that size."""

SLEEP = "image: IMAGE\n    init: true\n    command: sleep 1000"


def one(*lines: str) -> str:
    return "\n    ".join([f"services:\n  a:\n    {SLEEP}", *lines]) + "\n"


def memory(pid: int) -> int:
    folder = machine.cgroup_of(pid, "memory")
    for name in ("memory.limit_in_bytes", "memory.max"):
        if (folder / name).exists():
            return number((folder / name).read_text())
    raise AssertionError(f"nothing limits memory in {folder}")


def memory_and_swap(pid: int) -> int:
    folder = machine.cgroup_of(pid, "memory")
    if (folder / "memory.memsw.limit_in_bytes").exists():
        return number((folder / "memory.memsw.limit_in_bytes").read_text())
    return memory(pid) + number((folder / "memory.swap.max").read_text())


def cpus(pid: int) -> float | None:
    folder = machine.cgroup_of(pid, "cpu")
    if (folder / "cpu.cfs_quota_us").exists():
        quota, period = (int((folder / f"cpu.cfs_{name}_us").read_text()) for name in ("quota", "period"))
        return None if quota < 0 else quota / period
    text, period_text = (folder / "cpu.max").read_text().split()
    return None if text == "max" else int(text) / int(period_text)


def shares(pid: int) -> int:
    folder = machine.cgroup_of(pid, "cpu")
    if (folder / "cpu.shares").exists():
        return int((folder / "cpu.shares").read_text())
    return {59: 512, 100: 1024, 174: 2048}[int((folder / "cpu.weight").read_text())]  # runc 1.3.2's curve


def cpuset(pid: int) -> str:
    return machine.status(pid)["Cpus_allowed_list"]


def pids_limit(pid: int) -> int:
    return number((machine.cgroup_of(pid, "pids") / "pids.max").read_text())


def number(text: str) -> int:
    return NO_LIMIT if text.strip() == "max" else int(text)


@pytest.mark.key("services.mem_limit")
def test_memory(lab: Lab) -> None:
    lab.up(one("mem_limit: 64m"))
    assert memory(lab.pid("a")) == 64 * MIB
    assert memory_and_swap(lab.pid("a")) == 128 * MIB, "as much swap as memory, unless told otherwise"


@pytest.mark.key("services.memswap_limit")
def test_memory_and_swap(lab: Lab) -> None:
    lab.up(one("mem_limit: 64m", "memswap_limit: 80m"))
    assert (memory(lab.pid("a")), memory_and_swap(lab.pid("a"))) == (64 * MIB, 80 * MIB)
    lab.up(one("mem_limit: 64m", "memswap_limit: -1"))
    assert memory_and_swap(lab.pid("a")) >= NO_LIMIT


@pytest.mark.key("services.cpus", "services.cpu_shares", "services.cpuset", "services.pids_limit")
def test_cpus_shares_cpuset_and_pids(lab: Lab) -> None:
    lab.up(one("cpus: 0.5", "cpu_shares: 512", "cpuset: '1'", "pids_limit: 50"))
    pid = lab.pid("a")
    assert cpus(pid) == 0.5
    assert shares(pid) == 512
    assert cpuset(pid) == "1"
    assert pids_limit(pid) == 50


@pytest.mark.key("services.deploy", "services.deploy.resources", "services.deploy.resources.limits")
def test_limits_below_deploy_are_the_same(lab: Lab) -> None:
    lab.up(one("deploy: {resources: {limits: {cpus: '0.25', memory: 48M, pids: 40}}}"))
    pid = lab.pid("a")
    assert (cpus(pid), memory(pid), pids_limit(pid)) == (0.25, 48 * MIB, 40)


def test_without_limits_there_are_none(lab: Lab) -> None:
    lab.up(one())
    pid = lab.pid("a")
    assert memory(pid) >= NO_LIMIT
    assert cpus(pid) is None
    assert cpuset(pid) == cpuset(1)


def test_every_process_of_the_container_is_limited_exec_too(lab: Lab) -> None:
    lab.up(one("mem_limit: 64m", "pids_limit: 20"))
    own = {machine.cgroup_of(lab.pid("a"), name) for name in ("memory", "pids", "cpu")}
    inside = machine.in_cgroups(lab.owner.instance)
    sleeper = next(pid for pid, line in inside.items() if line == "sleep 1000")
    assert {machine.cgroup_of(sleeper, name) for name in ("memory", "pids", "cpu")} == own
    with lab.popen("exec", "-T", "a", "sleep", "999"):
        found = eventually(
            lambda: [p for p, line in machine.in_cgroups(lab.owner.instance).items() if line == "sleep 999"]
        )
        assert {machine.cgroup_of(found[0], name) for name in ("memory", "pids", "cpu")} == own
        lab.corral("down", "-t", "0")


def test_a_fork_bomb_ends_at_the_limit(lab: Lab) -> None:
    lab.up(one("pids_limit: 10"))
    lab.exec("a", "sh", "-c", "for i in $(seq 30); do sleep 100 & done", code=None)
    folder = machine.cgroup_of(lab.pid("a"), "pids")
    assert int((folder / "pids.current").read_text()) <= 10
    assert "max 0" not in (folder / "pids.events").read_text()


@pytest.mark.key("services.mem_limit", "services.cpus", "services.pids_limit")
def test_a_changed_limit_is_changed_under_the_running_process(lab: Lab) -> None:
    lab.up(one("mem_limit: 64m", "cpus: 0.5", "pids_limit: 50", "cpu_shares: 512", "cpuset: '0'"))
    pid, since = lab.pid("a"), machine.start_time(lab.pid("a"))
    text = one("mem_limit: 128m", "cpus: 1.5", "pids_limit: 60", "cpu_shares: 2048", "cpuset: '1'")
    lab.write(text)
    assert "live" in lab.corral("plan", code=2).stdout
    lab.up()
    assert (lab.pid("a"), machine.start_time(pid)) == (pid, since)
    assert (memory(pid), cpus(pid), pids_limit(pid), shares(pid), cpuset(pid)) == (128 * MIB, 1.5, 60, 2048, "1")
    lab.up(one("mem_limit: 32m"))
    assert (memory(pid), memory_and_swap(pid), cpus(pid)) == (32 * MIB, 64 * MIB, None)
    assert pids_limit(pid) >= 1000
    assert cpuset(pid) == cpuset(1)
    lab.up(one())
    assert memory(pid) >= NO_LIMIT
    assert (lab.pid("a"), machine.start_time(pid)) == (pid, since)


def test_a_limit_that_the_kernel_refuses_is_a_clear_error_and_nothing_starts(lab: Lab) -> None:
    lab.write(one("cpuset: '63'"))
    said = lab.refusal("up", "-d")
    assert "cpuset" in said
    assert "63" in said
    assert lab.states().get("a-1", "created") == "created"
    assert machine.in_cgroups(lab.owner.instance) == {}


def test_a_live_change_that_the_kernel_refuses_keeps_what_runs_as_it_was(lab: Lab) -> None:
    lab.up(one("cpuset: '0'"))
    pid = lab.pid("a")
    lab.write(one("cpuset: '63'"))
    said = lab.refusal("up", "-d")
    assert "cpuset" in said
    assert machine.is_alive(pid)
    assert cpuset(pid) == "0"
    lab.up(one("cpuset: '1'"))
    assert lab.pid("a") == pid
    assert cpuset(pid) == "1"


@pytest.mark.parametrize("init", ["true", "false"])
def test_death_by_the_memory_limit_is_told_apart(lab: Lab, init: str) -> None:
    lab.up(
        f"""
services:
  hungry:
    image: IMAGE
    init: {init}
    mem_limit: 16m
    memswap_limit: 16m
    command: ["sh", "-c", "x=$$(cat /dev/zero | tr '\\\\0' 'x' | head -c 64000000); echo never"]
  killed:
    image: IMAGE
    command: ["sh", "-c", "kill -9 $$$$; sleep 1; exit 137"]
"""
    )
    found = eventually(lambda: (now := lab.ps())["hungry-1"]["State"] == now["killed-1"]["State"] == "exited" and now)
    assert found["hungry-1"]["ExitCode"] == 137
    assert found["killed-1"]["ExitCode"] == 137
    assert "out of memory" in found["hungry-1"]["Status"].lower() or "oom" in found["hungry-1"]["Status"].lower()
    assert "memory" not in found["killed-1"]["Status"].lower()
    assert "oom" not in found["killed-1"]["Status"].lower()
