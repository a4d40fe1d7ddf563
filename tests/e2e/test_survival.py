"""Whatever dies, whenever: no container, no line, no exit code is lost, and what is missing comes back."""

import os
import pathlib
import signal
import time

import pytest

from tests.e2e import machine
from tests.e2e.lab import Lab, eventually

THREE = """
services:
  talks:
    image: IMAGE
    init: true
    command: ["sh", "-c", "i=0; while :; do i=$$((i+1)); echo line $$i; usleep 5000; done"]
  sleeps: {image: IMAGE, init: true, command: sleep 1000, ports: ["8095:80"]}
  two: {image: IMAGE, init: true, command: sleep 1000, restart: "no"}
"""


def lines_of(lab: Lab, service: str) -> list[str]:
    return lab.out("logs", "--no-log-prefix", service).splitlines()


def runs_anew(lab: Lab, name: str, pid_before: int) -> bool:
    """`ps` says of one whose end is not known yet that it runs, with the process that is gone."""
    found = lab.ps()[name]
    return found["State"] == "running" and found["Pid"] not in (0, pid_before)


def assert_no_line_is_lost(lines: list[str]) -> None:
    assert lines == [f"line {number}" for number in range(1, len(lines) + 1)]


def shims(lab: Lab) -> dict[str, int]:
    """Mapping from sandbox to the pid of its shim."""
    head = f"corral shim {lab.project}/"
    found = {line: pid for pid, line in lab.owner.own_processes().items() if line.startswith(head)}
    return {line.removeprefix(head).split()[0]: pid for line, pid in found.items()}


def identities(lab: Lab) -> dict[str, tuple[int, str]]:
    return {name: (pid, machine.start_time(pid)) for name, pid in lab.pids().items()}


@pytest.mark.parametrize("title", ["corral daemon", "corral zygote", "corral dns"])
def test_a_killed_process_of_ours_costs_no_container_and_no_line(lab: Lab, title: str) -> None:
    lab.up(THREE)
    before = identities(lab)
    for number in range(3):
        eventually(lambda: len(lines_of(lab, "talks")) > 5)
        eventually(lambda: lab.process(title))  # the dns process comes back by itself, the zygote when it is needed
        lab.kill(title)
        assert all(machine.is_alive(pid) for pid, _ in before.values())
        lab.up(f"{THREE}  more{number}: {{image: IMAGE, init: true, command: sleep 1000}}\n", "-t", "0")
    lab.up(THREE, "-t", "0")
    assert identities(lab) == before
    seen = len(lines_of(lab, "talks"))
    eventually(lambda: len(lines_of(lab, "talks")) > seen + 20)
    assert_no_line_is_lost(lines_of(lab, "talks"))
    assert lab.exec("sleeps", "echo", "alive") == "alive\n"
    lab.corral("plan", code=0)


def test_all_three_killed_at_once(lab: Lab) -> None:
    lab.up(THREE)
    before = identities(lab)
    lab.exec("talks", "true")
    for title in ("corral zygote", "corral dns", "corral daemon"):
        os.kill(lab.process(title), signal.SIGKILL)
    assert identities(lab) == before
    assert lab.exec("talks", "ping", "-c1", "-W2", "sleeps")
    lab.corral("plan", code=0)
    lab.up(THREE.replace('"no"', "always"))
    assert identities(lab) == before, "and it goes on as ever"


def test_an_exit_while_the_daemon_is_dead_is_known_afterwards(lab: Lab) -> None:
    lab.up(
        """
services:
  ends: {image: IMAGE, init: true, command: ["sh", "-c", "trap 'echo last words; exit 7' TERM; touch /trapped; while :; do sleep 0.05; done"]}
  comes-back:
    image: IMAGE
    init: true
    restart: always
    command: ["sh", "-c", "trap 'exit 8' TERM; touch /trapped; while :; do sleep 0.05; done"]
"""
    )
    pids = lab.pids()
    for pid in pids.values():
        eventually(pathlib.Path(f"/proc/{pid}/root/trapped").exists)
    lab.kill("corral daemon")
    for pid in pids.values():
        os.kill(pid, signal.SIGTERM)
    eventually(lambda: not any(machine.is_alive(pid) for pid in pids.values()))
    # the shim writes an exit down when the process is gone already
    eventually(lambda: (ends := lab.ps()["ends-1"])["State"] == "exited" and ends["ExitCode"] == 7)
    assert lines_of(lab, "ends") == ["last words"]
    eventually(lambda: runs_anew(lab, "comes-back-1", pids["comes-back-1"]))


def test_a_killed_shim_costs_exactly_its_sandbox(lab: Lab) -> None:
    lab.up(THREE)
    before, keepers = identities(lab), shims(lab)
    address = lab.address("two")
    lab.exec("two", "touch", "/written")
    os.kill(keepers["two"], signal.SIGKILL)
    eventually(lambda: not machine.is_alive(before["two-1"][0]))
    eventually(lambda: runs_anew(lab, "two-1", before["two-1"][0]))
    after = identities(lab)
    assert {name for name in before if before[name] != after[name]} == {"two-1"}
    assert {name for name, pid in shims(lab).items() if pid != keepers[name]} == {"two"}
    assert lab.exec("two", "ls", "/written") == "/written\n", "with its writable layer"
    assert lab.address("two") == address
    assert lab.exec("sleeps", "ping", "-c1", "-W2", "two")
    assert_no_line_is_lost(lines_of(lab, "talks"))


def test_a_shim_killed_while_the_daemon_is_dead(lab: Lab) -> None:
    lab.up(THREE)
    before, keepers = identities(lab), shims(lab)
    lab.kill("corral daemon")
    os.kill(keepers["sleeps"], signal.SIGKILL)
    eventually(lambda: not machine.is_alive(before["sleeps-1"][0]), 5)
    lab.corral("daemon", "start")
    eventually(lambda: runs_anew(lab, "sleeps-1", before["sleeps-1"][0]))
    assert lab.states() == dict.fromkeys(before, "running")
    after = identities(lab)
    assert {name for name in before if before[name] != after[name]} == {"sleeps-1"}
    lab.corral("plan", code=0)


@pytest.mark.parametrize("folder", ["root/projects", "run/networks", "run/endpoints"])
def test_what_a_daemon_was_writing_when_it_died_is_swept_by_the_next(lab: Lab, folder: str) -> None:
    draft = lab.owner.root.parent / folder / f"{'5' * 64}.json.tmp"
    lab.up(THREE)
    lab.kill("corral daemon")
    draft.write_text('{"config": {"na')
    lab.corral("plan", code=0)
    assert not draft.exists()


@pytest.mark.parametrize("after_s", [0.0, 0.02, 0.05, 0.1, 0.2, 0.35])
def test_a_daemon_killed_in_the_middle_of_an_up_ends_in_the_same_place(lab: Lab, after_s: float) -> None:
    lab.write(THREE)
    daemon = lab.process("corral daemon")
    with lab.popen("up", "-d", stderr=-3, stdout=-3) as up:
        project = lab.owner.root / "projects" / f"{lab.project}.json"
        eventually(project.exists)
        time.sleep(after_s)  # not for anything to happen: the moment of the kill is the case
        os.kill(daemon, signal.SIGKILL)
        up.wait(30)
    eventually(lambda: not machine.is_alive(daemon))
    lab.corral("daemon", "start")
    eventually(lambda: sorted(lab.states().values()) == ["running"] * 3)
    lab.corral("plan", code=0)
    assert len(shims(lab)) == 3
    assert lab.exec("talks", "ping", "-c1", "-W2", "sleeps")


@pytest.mark.parametrize("after_s", [0.0, 0.03, 0.1])
def test_a_daemon_killed_in_the_middle_of_a_down_leaves_nothing_after_all(lab: Lab, after_s: float) -> None:
    lab.up(THREE)
    daemon, pids = lab.process("corral daemon"), lab.pids().values()
    with lab.popen("down", "-t", "0", stderr=-3, stdout=-3) as down:
        eventually(lambda: not all(map(machine.is_alive, pids)) or down.poll() is not None)
        time.sleep(after_s)  # the moment of the kill is the case
        os.kill(daemon, signal.SIGKILL)
        down.wait(30)
    eventually(lambda: not machine.is_alive(daemon))
    lab.corral("daemon", "start")
    eventually(lambda: lab.states() == {})
    eventually(lambda: machine.in_cgroups(lab.owner.instance) == {})


def test_a_politely_ended_daemon_leaves_containers_running(lab: Lab) -> None:
    lab.up(THREE)
    before = identities(lab)
    lab.corral("daemon", "stop")
    assert all(machine.is_alive(pid) for pid, _ in before.values())
    assert identities(lab) == before
    assert_no_line_is_lost(lines_of(lab, "talks"))


def test_a_client_of_another_version_replaces_the_daemon_and_containers_stay(lab: Lab) -> None:
    lab.up(THREE)
    before, daemon = identities(lab), lab.process("corral daemon")
    other = lab.folder / "newer"
    for room in ("orchestrator", "specs", "reconciler", "engine"):
        machine.run("cp", "-r", f"{lab.environment['PYTHONPATH']}/{room}", f"{other}/") if other.exists() else None
        other.mkdir(exist_ok=True)
        machine.run("cp", "-r", f"{lab.environment['PYTHONPATH']}/{room}", f"{other}/")
    version = other / "orchestrator/version.py"
    text = version.read_text()
    assert "0.1.0" in text
    version.write_text(text.replace("0.1.0", "0.1.1"))
    lab.environment["PYTHONPATH"] = str(other)
    assert identities(lab) == before
    assert lab.process("corral daemon") != daemon
    assert not machine.is_alive(daemon)
    assert "0.1.1" in lab.out("version")
    assert_no_line_is_lost(lines_of(lab, "talks"))
    lab.up(THREE.replace('"no"', "always"))
    assert identities(lab) == before


def test_a_stopped_zygote_or_daemon_is_no_reason_to_lose_lines(lab: Lab) -> None:
    """SIGSTOP of the daemon: the shims go on writing."""
    lab.up(THREE)
    daemon = lab.process("corral daemon")
    os.kill(daemon, signal.SIGSTOP)
    try:
        log = next((lab.owner.root / "containers").glob("*/log*"))
        size = log.stat().st_size if log.is_file() else 0
        eventually(lambda: any(path.stat().st_size > size for path in (lab.owner.root / "containers").rglob("*log*")))
    finally:
        os.kill(daemon, signal.SIGCONT)
    seen = len(lines_of(lab, "talks"))
    eventually(lambda: len(lines_of(lab, "talks")) > seen)
    assert_no_line_is_lost(lines_of(lab, "talks"))
