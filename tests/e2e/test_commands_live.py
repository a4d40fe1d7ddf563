"""Commands that look at what runs, or hold it: judged by what the kernel says."""

import json

from tests.e2e import machine
from tests.e2e.lab import Lab, eventually


def one(command: str, *lines: str) -> str:
    return "\n    ".join(["services:\n  a:", "image: IMAGE", f"command: {command}", *lines]) + "\n"


def cgroup_pids(pid: int) -> set[int]:
    """Of the cgroup that a process is in, whichever hierarchy limits pids."""
    return {int(each) for each in (machine.cgroup_of(pid, "pids") / "cgroup.procs").read_text().split()}


# --------------------------------------------------------------------------------------------------------------- port


def test_port_names_the_port_that_was_chosen(lab: Lab) -> None:
    lab.up(one("httpd -f -p 80 -h /www", "ports: ['80', '127.0.0.1:7070:80/udp']"))
    address, _, port = lab.out("port", "a", "80").strip().rpartition(":")
    assert address == "0.0.0.0"
    assert eventually(lambda: lab.machine.tcp("127.0.0.1", int(port)) not in (machine.REFUSED, machine.SILENCE))
    assert lab.out("port", "--protocol", "udp", "a", "80") == "127.0.0.1:7070\n"
    assert "published: 80/tcp, 80/udp" in lab.refusal("port", "a", "81")


# ---------------------------------------------------------------------------------------------------------------- top


def test_top_shows_every_process_in_the_cgroup_and_no_other(lab: Lab) -> None:
    lab.up(one("sh -c 'sleep 1001 & sleep 1002 & wait'", "user: app"))
    pid = lab.pid("a")
    eventually(lambda: len(cgroup_pids(pid)) == 3)
    with lab.popen("exec", "-T", "-u", "root", "a", "sleep", "1003"):
        eventually(lambda: len(cgroup_pids(pid)) == 4)
        lines = [line.split(maxsplit=9) for line in lab.out("top").splitlines()]
        assert lines[0] == ["SERVICE", "#", "UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]
        assert {int(line[3]) for line in lines[1:]} == cgroup_pids(pid)
        for line in lines[1:]:
            status = machine.status(int(line[3]))
            assert line[4] == status["PPid"]
            assert line[9] == machine.command_line(int(line[3]))
            assert (line[2] == "root") == (status["Uid"].split()[1] == "0")
        assert [line[9] for line in lines[1:] if line[2] == "root"] == ["sleep 1003"]
        lab.corral("down", "-t", "0")


# --------------------------------------------------------------------------------------------------------------- wait


def test_wait_ends_with_the_container_and_its_code(lab: Lab) -> None:
    lab.up(one("sh -c 'until test -e /go; do sleep 0.02; done; exit 7'"))
    with lab.popen("wait", "a", stdout=-1) as waiting:
        lab.exec("a", "touch", "/go")
        out, _ = waiting.communicate(timeout=20)
    assert waiting.returncode == 7
    assert out == f'container "{lab.project}-a-1" exited with status code 7\n'
    lab.corral("wait", "--down-project", "a", code=7)
    assert lab.states() == {}


def test_wait_tells_a_stop_from_the_end_of_the_world(lab: Lab) -> None:
    lab.up(one("sleep 1000", "init: true"))
    with lab.popen("wait", "a", stdout=-1) as waiting:
        eventually(lambda: machine.processes("orchestrator wait a"))
        lab.corral("stop")
        waiting.communicate(timeout=20)
    assert waiting.returncode == lab.ps()["a-1"]["ExitCode"] == 143


# ----------------------------------------------------------------------------------------------------------------- ls


def test_ls_lists_this_project(lab: Lab) -> None:
    lab.up(one("sleep 1000", "init: true", "scale: 2"))
    rows = {row["Name"]: row for row in map(json.loads, lab.out("ls", "--format", "json").splitlines())}
    assert rows[lab.project]["Status"] == "running(2)"
    assert rows[lab.project]["ConfigFiles"] == str(lab.folder / "compose.yaml")
