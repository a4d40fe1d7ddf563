"""`corral update`: the kernel has the new limit, and the process is the same."""

from tests.e2e import machine
from tests.e2e.lab import Lab, eventually
from tests.e2e.test_limits import MIB, NO_LIMIT, cpus, cpuset, memory, memory_and_swap, one, pids_limit, shares


def test_the_kernel_has_the_new_limits_and_the_process_goes_on(lab: Lab) -> None:
    lab.up(one("mem_limit: 64m", "cpus: 0.5"))
    pid = lab.pid("a")
    words = ("--memory", "128m", "--memory-swap", "160m", "--cpus", "1.5", "--pids-limit", "50")
    lab.corral("update", *words, "--cpuset-cpus", "1", "--cpu-shares", "512", "--memory-reservation", "32m", "a")
    assert lab.pid("a") == pid
    assert (memory(pid), memory_and_swap(pid)) == (128 * MIB, 160 * MIB)
    assert (cpus(pid), pids_limit(pid), cpuset(pid), shares(pid)) == (1.5, 50, "1", 512)
    lab.corral("update", "--memory", "0", "--memory-swap", "0", "--memory-reservation", "0", "--cpus", "0", "a")
    assert memory(pid) >= NO_LIMIT
    assert cpus(pid) is None
    assert pids_limit(pid) == 50, "what was not said stays"


def test_plan_shows_it_and_up_of_that_service_takes_it_back(lab: Lab) -> None:
    lab.up(one("mem_limit: 64m"))
    pid = lab.pid("a")
    lab.corral("update", "--memory", "128m", "a")
    assert "mem_limit 128m -> 64m, live (set by corral update)" in lab.corral("plan", code=2).stdout
    lab.corral("restart")
    assert memory(lab.pid("a")) == 128 * MIB, "a new process has it too"
    pid = lab.pid("a")
    lab.up()
    assert (lab.pid("a"), memory(pid)) == (pid, 64 * MIB)
    lab.corral("plan")


def test_it_is_kept_by_a_reborn_daemon_also_against_a_hand(lab: Lab) -> None:
    lab.up(one("mem_limit: 64m"))
    pid = lab.pid("a")
    lab.corral("update", "--pids-limit", "50", "a")
    lab.kill("corral daemon")
    (machine.cgroup_of(pid, "pids") / "pids.max").write_text("max")
    lab.corral("daemon", "start")
    eventually(lambda: pids_limit(pid) == 50)
    assert lab.pid("a") == pid


def test_a_restart_policy_counts_from_now_on(lab: Lab) -> None:
    lab.up(one("restart: 'no'").replace("sleep 1000", "sh -c 'until test -e /go; do sleep 0.02; done; rm /go; exit 1'"))
    pid = lab.pid("a")
    lab.corral("update", "--restart", "always", "a")
    assert lab.pid("a") == pid
    lab.exec("a", "touch", "/go")
    eventually(lambda: lab.states()["a-1"] == "running" and lab.pid("a") != pid)


def test_what_the_kernel_refuses_is_said(lab: Lab) -> None:
    lab.up(one())
    before = lab.pid("a")
    assert "cpuset" in lab.refusal("update", "--cpuset-cpus", "4000", "a")
    assert lab.pid("a") == before
    lab.up()
    lab.corral("plan")
