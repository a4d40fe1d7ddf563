"""What is read of containers besides `ps`: ports, processes, ends, projects, and what they use."""

import io
import json
import threading
import time
from typing import Any

import pytest
from fake_lab import TWO, Lab, eventually, rows

from engine.types.infos import ContainerInfo, Usage
from orchestrator import protocol
from orchestrator.command_line import cli, output
from orchestrator.commands import ls, stats, top, wait

TWICE = """
services:
  web:
    image: "rootfs:/srv/root"
    command: serve
    ports: ["127.0.0.1:8080:80", "5300:53/udp", "3868:38/sctp"]
  job: {image: "rootfs:/srv/root", command: work, scale: 2}
"""


def uid_of(lab: Lab, name: str) -> str:
    infos = (info for info in lab.engine.infos.values() if isinstance(info, ContainerInfo))
    return next(info.uid for info in infos if info.config.name == name)


# --------------------------------------------------------------------------------------------------------------- port


def test_port_says_where_a_port_is_reached(lab: Lab) -> None:
    lab.write(TWICE)
    lab.corral("up", "-d")
    assert lab.corral("port", "web", "80") == ("127.0.0.1:8080\n", "")
    assert lab.corral("port", "--protocol", "udp", "web", "53") == ("0.0.0.0:5300\n", "")
    assert lab.corral("port", "--protocol", "sctp", "web", "38") == ("0.0.0.0:3868\n", "")
    assert "38/tcp" in lab.corral("port", "web", "38", code=1)[1]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("web", "81"), "no port of this machine reaches 81/tcp of demo-web-1\n  published: 38/sctp, 53/udp, 80/tcp"),
        (("web", "53"), "no port of this machine reaches 53/tcp of demo-web-1"),
        (("job", "--index", "2", "80"), "no port of this machine reaches 80/tcp of demo-job-2\n  published: none"),
        (("job", "--index", "3", "80"), "service job has no container 3"),
        (("nosuch", "80"), "service nosuch has no container 1"),
        (("web", "http"), "invalid int value"),
        (("web",), "required"),
    ],
)
def test_port_says_what_it_cannot_find(lab: Lab, words: tuple[str, ...], said: str) -> None:
    lab.write(TWICE)
    lab.corral("up", "-d")
    assert said in lab.corral("port", *words, code=1)[1]


def test_a_container_that_does_not_run_is_reached_by_no_port(lab: Lab) -> None:
    lab.write(TWICE)
    lab.corral("up", "-d")
    lab.corral("stop", "web")
    assert "demo-web-1 is not running" in lab.corral("port", "web", "80", code=1)[1]


# ---------------------------------------------------------------------------------------------------------------- top


def test_top_shows_the_processes_of_what_runs(lab: Lab) -> None:
    lab.write(TWICE)
    lab.corral("up", "-d")
    lines = [line.split() for line in lab.corral("top")[0].splitlines()]
    assert lines[0] == ["SERVICE", "#", "UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]
    assert [(line[0], line[1], line[2], line[3], line[-1]) for line in lines[1:]] == [
        ("job", "1", "root", "1000", "work"),
        ("job", "2", "root", "1000", "work"),
        ("web", "1", "root", "1000", "serve"),
    ]
    lab.corral("stop", "job")
    assert len(lab.corral("top")[0].splitlines()) == 2
    assert lab.corral("top", "job") == ("", "")
    assert "no such service: nosuch" in lab.corral("top", "nosuch", code=1)[1]


def test_a_command_line_cannot_reach_the_terminal(lab: Lab) -> None:
    lab.write('services: {evil: {image: "rootfs:/srv/root", command: ["a\\eb"]}}')
    lab.corral("up", "-d")
    assert "a\\x1bb" in lab.corral("top")[0]


def test_times_of_top_are_those_of_ps() -> None:
    now = time.mktime((2026, 6, 15, 12, 0, 0, 0, 0, -1))
    assert top.started(now - 3600, now) == "11:00"
    assert top.started(now - 3 * 86400, now) == "Jun12"
    assert top.started(now - 300 * 86400, now) == "2025"
    assert top.clock(3725.9) == "01:02:05"
    assert top.clock(2 * 86400 + 61) == "2-00:01:01"
    assert top.user_name(0) == "root"
    assert top.user_name(4_000_000_000) == "4000000000"


# --------------------------------------------------------------------------------------------------------------- wait


class Waiting:
    """A command in a thread of its own."""

    def __init__(self, *argv: str) -> None:
        self.out, self.code = io.StringIO(), -1
        self._thread = threading.Thread(target=self._run, args=(argv,))
        self._thread.start()

    def _run(self, argv: tuple[str, ...]) -> None:
        self.code = cli.run(argv, self.out, io.StringIO())

    def ended(self) -> tuple[int, str]:
        self._thread.join(10)
        assert not self._thread.is_alive()
        return self.code, self.out.getvalue()

    @property
    def lives(self) -> bool:
        return self._thread.is_alive()


def test_wait_ends_with_all_of_a_service_and_the_code_of_the_last(lab: Lab) -> None:
    lab.write(TWICE)
    lab.corral("up", "-d")
    waiting = Waiting("wait", "job")
    lab.engine.exit(uid_of(lab, "demo-job-2"), 7)
    eventually(lambda: "demo-job-2" in waiting.out.getvalue())
    assert waiting.lives
    lab.engine.exit(uid_of(lab, "demo-job-1"), 3)
    code, out = waiting.ended()
    assert code == 3
    assert out.splitlines() == [
        'container "demo-job-2" exited with status code 7',
        'container "demo-job-1" exited with status code 3',
    ]
    assert lab.corral("wait", "job", code=7)[0].count("exited with status code") == 2, "who is late knows too"


def test_wait_sees_the_end_of_what_is_started_again_at_once(lab: Lab) -> None:
    lab.write(TWO + "    restart: always\n")
    lab.corral("up", "-d")
    waiting = Waiting("wait", "db")
    lab.engine.exit(uid_of(lab, "demo-db-1"), 9)
    assert waiting.ended() == (9, 'container "demo-db-1" exited with status code 9\n')


@pytest.mark.parametrize(
    ("before", "now", "over", "stopped"),
    [
        (("running", 1.0, None), ("running", 1.0, None), False, False),
        (("running", 1.0, None), ("paused", 1.0, None), False, False),
        (("running", 1.0, None), ("exited", 1.0, 3), False, True),
        (("running", 1.0, None), ("exited", 1.0, None), False, True),
        (("running", 1.0, None), ("running", 2.0, None), False, True),
        (("running", 1.0, None), None, False, True),
        (("exited", 1.0, 3), ("exited", 1.0, 3), False, True),
        (("exited", 1.0, None), ("exited", 1.0, None), False, False),
        (("exited", 1.0, None), ("exited", 1.0, None), True, True),
        (("exited", 1.0, None), ("running", 1.0, None), False, False),
        (("exited", 1.0, None), ("running", 2.0, None), False, False),
    ],
)
def test_a_run_is_over_when_it_does_not_run_any_more(before: Any, now: Any, over: bool, stopped: bool) -> None:
    def container(state: str, started_at: float, code: int | None) -> protocol.Container:
        return protocol.Container("u", "n", "s", "s", state, "", code, "", started_at)

    assert wait.has_stopped(container(*before), container(*now) if now else None, over) is stopped


def test_wait_can_take_the_project_down_when_the_first_one_stops(lab: Lab) -> None:
    lab.write(TWICE)
    lab.corral("up", "-d")
    waiting = Waiting("wait", "--down-project", "web", "job")
    lab.engine.exit(uid_of(lab, "demo-job-1"), 5)
    assert waiting.ended() == (5, 'container "demo-job-1" exited with status code 5\n')
    assert rows(lab) == {}


def test_wait_says_what_it_cannot_wait_for(lab: Lab) -> None:
    lab.write(TWO)
    assert "no project demo is up" in lab.corral("wait", "web", code=1)[1]
    lab.corral("up", "-d", "db")
    assert "no container of service web has run" in lab.corral("wait", "db", "web", code=1)[1]
    assert "required" in lab.corral("wait", code=1)[1]


# ----------------------------------------------------------------------------------------------------------------- ls


def listed(lab: Lab, *words: str) -> list[dict[str, str]]:
    found: list[dict[str, str]] = json.loads(lab.corral("ls", "--format", "json", *words)[0])
    return found


def test_ls_counts_containers_by_state(lab: Lab) -> None:
    lab.write(TWICE)
    assert listed(lab) == []
    assert lab.corral("ls")[0].split() == ["NAME", "STATUS", "CONFIG", "FILES"]
    lab.corral("up", "-d")
    lab.corral("-p", "other", "up", "-d", "job")
    file = str(lab.folder / "compose.yaml")
    assert listed(lab) == [
        {"Name": "demo", "Status": "running(3)", "ConfigFiles": file},
        {"Name": "other", "Status": "running(2)", "ConfigFiles": file},
    ]
    lab.corral("stop", "web")
    lab.corral("-p", "other", "stop")
    assert listed(lab) == [{"Name": "demo", "Status": "running(2)", "ConfigFiles": file}]
    assert [row["Status"] for row in listed(lab, "-a")] == ["exited(1), running(2)", "exited(2)"]
    assert lab.corral("ls", "-q", "-a")[0] == "demo\nother\n"


def test_ls_says_why_a_project_cannot_be_read() -> None:
    broken = {"name": "x", "states": {}, "files": [], "error": "cannot restore project x"}
    assert ls.row_of(broken, every=False)["Status"] == "cannot restore project x"


# -------------------------------------------------------------------------------------------------------------- stats


def use(lab: Lab, name: str, **figures: Any) -> None:
    uid = uid_of(lab, name)
    lab.engine.used[uid] = Usage(uid, figures.pop("at_s", time.monotonic()), **figures)


FIGURES = {
    "cpu_s": 10.0,
    "memory_bytes": 3 << 20,
    "memory_limit_bytes": 64 << 20,
    "pids": 4,
    "received_bytes": 1570,
    "sent_bytes": 0,
    "read_bytes": 2_500_000,
    "written_bytes": 999,
    "cpu_pressure": 1.5,
    "memory_pressure": 0.0,
    "io_pressure": None,
}


def test_stats_once_in_the_keys_and_forms_of_docker(lab: Lab) -> None:
    lab.write(TWICE)
    lab.corral("up", "-d")
    use(lab, "demo-web-1", **FIGURES)
    row = json.loads(lab.corral("stats", "--no-stream", "--format", "json", "web")[0])
    assert row == {
        "BlockIO": "2.5MB / 999B",
        "CPUPerc": "--",
        "CPUPressure": "1.50%",
        "Container": row["ID"],
        "ID": uid_of(lab, "demo-web-1")[:12],
        "IOPressure": "--",
        "MemPerc": "4.69%",
        "MemPressure": "0.00%",
        "MemUsage": "3MiB / 64MiB",
        "Name": "demo-web-1",
        "NetIO": "1.57kB / 0B",
        "PIDs": "4",
        "Service": "web",
    }
    out = lab.corral("stats", "--no-stream")[0]
    assert [line.split()[1] for line in out.splitlines()[1:]] == ["demo-job-1", "demo-job-2", "demo-web-1"]
    assert "1.50% / 0.00% / --" in out
    assert "no such service: nosuch" in lab.corral("stats", "nosuch", code=1)[1]
    lab.corral("down")
    assert "no project demo is up" in lab.corral("stats", code=1)[1]


def test_stats_go_on_until_the_project_is_gone(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stats, "FIRST_S", 0.01)
    monkeypatch.setattr(stats, "EVERY_S", 0.01)
    lab.write(TWO)
    lab.corral("up", "-d")
    waiting = Waiting("stats", "web")
    eventually(lambda: waiting.out.getvalue().count("demo-web-1") > 2)
    lab.corral("down")
    assert waiting.ended()[0] == 0
    assert "\x1b" not in waiting.out.getvalue(), "no drawing where there is no terminal"


def test_the_share_of_cpu_is_that_of_the_time_in_between() -> None:
    row = {**FIGURES, "uid": "0" * 64, "at_s": 100.0, "name": "n", "service": "s"}
    later = {**row, "at_s": 102.0, "cpu_s": 13.0}
    assert stats.cpu_share(later, row) == 150.0
    assert stats.row_of(later, row)["CPUPerc"] == "150.00%"
    assert stats.cpu_share(later, None) is None
    assert stats.cpu_share({**later, "cpu_s": 1.0}, row) == 0.0, "it was started again in between"
    assert stats.cpu_share({**later, "cpu_s": None}, row) is None


def test_on_a_terminal_each_picture_is_drawn_over_the_one_before(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stats, "FIRST_S", 0.01)
    monkeypatch.setattr(stats, "EVERY_S", 0.01)
    monkeypatch.setattr(output, "is_terminal", lambda stream: True)
    lab.write(TWO)
    lab.corral("up", "-d")
    waiting = Waiting("stats", "web")
    eventually(lambda: waiting.out.getvalue().count("demo-web-1") > 2)
    assert "\x1b" not in lab.corral("stats", "--no-stream")[0]
    lab.corral("down")
    assert waiting.ended()[0] == 0
    first, second, *_ = waiting.out.getvalue().split("\x1b[H")[1:]
    for picture in (first, second):
        lines = picture.splitlines()
        assert lines[0].startswith("CONTAINER ID   NAME")
        assert "demo-web-1" in lines[1]
        assert all(line.endswith("\x1b[K") for line in lines[:2]), "the rest of a longer line before goes"
        assert lines[2] == "\x1b[J", "and so do lines below"
