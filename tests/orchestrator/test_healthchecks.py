"""Healthchecks: the pure state machine with a clock of our own, and the monitor that asks."""

import json
import pathlib
from collections.abc import Callable
from dataclasses import replace

import anyio
import anyio.lowlevel
import pytest
from fake_lab import Lab, eventually

from engine.api import Command, Ended
from engine.errors import EngineError, Paused
from engine.types.configs import ContainerConfig
from engine.types.infos import ContainerInfo, State
from engine.types.parts import Healthcheck
from orchestrator import phrases
from orchestrator.daemon import health, listing
from orchestrator.daemon.health import HEALTHY, STARTING, UNHEALTHY, Record

CHECK = Healthcheck(("CMD", "ask"), interval_s=10, timeout_s=2, retries=3, start_period_s=0, start_interval_s=1)


def lived(check: Healthcheck, answers: str) -> list[tuple[float, str]]:
    """(when, status) after each probe of a container started at 100; `answers`: + healthy, - not."""
    record, found = Record("p", 100.0), []
    for answer in answers:
        now = health.next_at(record, check)
        record = health.advance(record, check, Ended(0 if answer == "+" else 1), began=now, now=now)
        found.append((now - 100.0, record.status))
    return found


def test_who_is_ready_at_once_is_healthy_at_once() -> None:
    assert lived(CHECK, "++") == [(0, HEALTHY), (10, HEALTHY)]


def test_the_probe_at_once_does_not_count_when_it_fails() -> None:
    assert lived(CHECK, "----") == [(0, STARTING), (10, STARTING), (20, STARTING), (30, UNHEALTHY)]


def test_failures_in_the_start_period_do_not_count_and_come_at_the_start_interval() -> None:
    check = Healthcheck(("CMD", "ask"), 10, 2, 2, start_period_s=3, start_interval_s=1)
    found = lived(check, "-------")
    assert [when for when, _ in found] == [0, 1, 2, 3, 13, 23, 33]
    assert [status for _, status in found] == [STARTING] * 4 + [UNHEALTHY] * 3
    assert found[3][1] == STARTING, "the first that counts"


def test_a_success_in_the_start_period_makes_healthy_at_once_and_ends_it() -> None:
    check = Healthcheck(("CMD", "ask"), 10, 2, 2, start_period_s=30, start_interval_s=1)
    assert lived(check, "--+--") == [(0, STARTING), (1, STARTING), (2, HEALTHY), (12, HEALTHY), (22, UNHEALTHY)]


def test_one_success_heals_and_forgets_failures() -> None:
    assert [status for _, status in lived(CHECK, "+--+---")] == [HEALTHY] * 6 + [UNHEALTHY]
    assert [status for _, status in lived(CHECK, "+---+")][-2:] == [UNHEALTHY, HEALTHY]


def test_a_shell_text_is_given_to_a_shell() -> None:
    assert health.command_of(Healthcheck(("CMD-SHELL", "a | b"))).argv == ("/bin/sh", "-c", "a | b")
    assert health.command_of(CHECK).argv == ("ask",)


def container(
    uid: str, started_at: float, check: Healthcheck | None = CHECK, state: State = State.RUNNING
) -> ContainerInfo:
    config = ContainerConfig("p-web-1", "p", "web", 1, "web", "web", "host", healthcheck=check)
    return ContainerInfo(config, uid, "image", state, started_at=started_at)


class Bench:
    """A monitor with a clock that jumps to the next probe as soon as everybody sleeps."""

    def __init__(self, path: pathlib.Path) -> None:
        self.now = 1000.0
        self.path = str(path / "health.json")
        self.answer: Callable[[str], bool] = lambda uid: True
        self.asked: list[tuple[str, float]] = []
        self.changed: list[str] = []
        self.error: BaseException | None = None
        self.sleepers = 0
        self.monitor = self.reborn()

    def reborn(self) -> health.Monitor:
        self.monitor = health.Monitor(
            self.run, self.path, self.changed.append, clock=lambda: self.now, sleep=self.sleep
        )
        return self.monitor

    async def sleep(self, seconds: float) -> None:
        until = self.now + seconds
        self.sleepers += 1
        try:
            await self.until(lambda: self.now >= until)
        finally:
            self.sleepers -= 1

    async def probed(self, times: int) -> None:
        """So often by now, and the last answer has been taken in."""
        await self.until(lambda: len(self.asked) == times and self.sleepers == 1)

    async def run(self, uid: str, command: Command, timeout_s: float) -> Ended:
        self.asked.append((uid, self.now))
        await anyio.lowlevel.checkpoint()
        if self.error:
            raise self.error
        return Ended(0 if self.answer(uid) else 1, "said")

    async def until(self, check: Callable[[], bool]) -> None:
        with anyio.fail_after(10):
            while not check():
                await anyio.lowlevel.checkpoint()


def test_what_is_paused_is_not_probed_and_stays_as_healthy_as_it_was(tmp_path: pathlib.Path) -> None:
    bench = Bench(tmp_path)
    one = container("one", 1000.0)
    paused = replace(one, config=replace(one.config, paused=True))

    async def main() -> None:
        async with anyio.create_task_group() as tasks:
            await tasks.start(bench.monitor.serve)
            bench.monitor.show("p", [one])
            await bench.probed(1)
            bench.monitor.show("p", [paused])
            await bench.until(lambda: bench.sleepers == 0)
            bench.now += 1000
            bench.monitor.show("p", [paused])
            for _ in range(20):
                await anyio.lowlevel.checkpoint()
            assert len(bench.asked) == 1
            assert bench.monitor.statuses() == {"one": HEALTHY}
            bench.monitor.show("p", [replace(paused, started_at=1500.0)])
            assert bench.monitor.statuses() == {"one": STARTING}, "it was started again, and paused before it was asked"
            bench.monitor.show("p", [replace(one, started_at=1500.0)])
            await bench.probed(2)
            assert bench.monitor.statuses() == {"one": HEALTHY}
            bench.monitor.show("p", [replace(paused, started_at=1500.0)])
            bench.monitor.show("p", [])
            assert bench.monitor.statuses() == {}
            tasks.cancel_scope.cancel()

    anyio.run(main)


def test_who_was_paused_a_moment_before_it_is_asked_stays_as_healthy_as_it_was(tmp_path: pathlib.Path) -> None:
    bench = Bench(tmp_path)

    async def main() -> None:
        async with anyio.create_task_group() as tasks:
            await tasks.start(bench.monitor.serve)
            bench.monitor.show("p", [container("one", 1000.0)])
            await bench.probed(1)
            bench.error = Paused("cannot run a command in one: it is paused")
            for times in (2, 3, 4, 5):
                bench.now += 10
                await bench.probed(times)
            assert bench.monitor.statuses() == {"one": HEALTHY}
            assert bench.monitor.records()["one"].failures == 0
            bench.error, bench.answer = None, lambda uid: False
            for times in (6, 7, 8):
                bench.now += 10
                await bench.probed(times)
            await bench.until(lambda: bench.monitor.statuses() == {"one": UNHEALTHY})
            tasks.cancel_scope.cancel()

    anyio.run(main)


def test_the_monitor_probes_what_runs_and_forgets_what_does_not(tmp_path: pathlib.Path) -> None:
    bench = Bench(tmp_path)

    async def main() -> None:
        async with anyio.create_task_group() as tasks:
            await tasks.start(bench.monitor.serve)
            bench.monitor.show("p", [container("one", 1000.0), container("none", 1000.0, None)])
            await bench.probed(1)
            assert bench.monitor.statuses() == {"one": HEALTHY}
            assert bench.changed == ["p"]
            bench.monitor.show("p", [container("one", 1000.0)])  # the same run: nothing begins anew
            bench.answer = lambda uid: False
            for times in (2, 3, 4):
                bench.now += 10
                await bench.probed(times)
            await bench.until(lambda: bench.monitor.statuses() == {"one": UNHEALTHY})
            assert [when for _, when in bench.asked] == [1000, 1010, 1020, 1030]
            bench.monitor.show("p", [container("one", 2000.0)])  # another run of it
            assert bench.monitor.statuses() == {"one": STARTING}
            bench.monitor.show("p", [container("one", 2000.0, state=State.EXITED)])
            assert bench.monitor.statuses() == {}
            tasks.cancel_scope.cancel()

    anyio.run(main)


@pytest.mark.parametrize("error", [EngineError("gone"), TimeoutError()])
def test_a_probe_that_cannot_be_made_is_a_failure(tmp_path: pathlib.Path, error: Exception) -> None:
    bench = Bench(tmp_path)
    bench.error = error

    async def main() -> None:
        async with anyio.create_task_group() as tasks:
            await tasks.start(bench.monitor.serve)
            bench.monitor.show("p", [container("one", 1000.0)])
            for times in (1, 2, 3, 4):
                await bench.probed(times)
                bench.now += 10
            await bench.until(lambda: bench.monitor.statuses() == {"one": UNHEALTHY})
            record = bench.monitor.records()["one"]
            assert (record.code, record.output) in [(-1, "gone"), (-1, "it took longer than 2 s")]
            tasks.cancel_scope.cancel()

    anyio.run(main)


def test_a_reborn_monitor_goes_on_where_the_old_one_ended(tmp_path: pathlib.Path) -> None:
    bench = Bench(tmp_path)

    async def live(then: Callable[[], bool]) -> None:
        async with anyio.create_task_group() as tasks:
            await tasks.start(bench.monitor.serve)
            bench.monitor.show("p", [container("one", 1000.0)])
            assert set(bench.monitor.statuses()) == {"one"}
            await bench.until(then)
            tasks.cancel_scope.cancel()

    anyio.run(live, lambda: bench.monitor.statuses() == {"one": HEALTHY})
    assert json.loads(pathlib.Path(bench.path).read_text())["one"]["status"] == HEALTHY
    bench.reborn()
    bench.now += 3
    asked = len(bench.asked)
    anyio.run(live, lambda: bench.monitor.statuses() == {"one": HEALTHY})
    assert len(bench.asked) == asked, "its next probe is not due yet"


def test_a_table_of_before_codes_were_kept_is_read(tmp_path: pathlib.Path) -> None:
    old = {"project": "p", "started_at": 1.0, "status": "unhealthy", "failures": 3, "probed_at": 2.0, "output": "said"}
    (tmp_path / "health.json").write_text(json.dumps({"one": old}))
    record = health.read(str(tmp_path / "health.json"))["one"]
    assert phrases.probe_words(listing.probe_of(record)) == "its healthcheck: said"


def test_a_table_that_nobody_can_read_is_an_empty_one(tmp_path: pathlib.Path) -> None:
    for text in ("", "{", "[]", '{"one": {"what": 1}}', '{"one": 3}'):
        (tmp_path / "health.json").write_text(text)
        assert health.read(str(tmp_path / "health.json")) == {}


CHECKED = """
services:
  web: {image: "rootfs:/r", command: x, depends_on: {db: {condition: service_healthy}}}
  db:
    image: "rootfs:/r"
    command: x
    healthcheck: {test: [CMD, ask], interval: 0.05s, timeout: 1s, retries: 2}
"""


def test_up_waits_for_what_a_dependency_must_be_and_wait_for_all(lab: Lab) -> None:
    answers: list[int] = [1]

    async def ask(uid: str, command: Command, timeout_s: float) -> Ended:
        return Ended(answers[0], "no route\x1b to it\n")

    lab.engine.run = ask  # type: ignore[method-assign]
    lab.write(CHECKED)
    lab.kill()
    lab.start()
    _, err = lab.corral("up", "-d", code=1)
    assert "container:db" in err
    assert "unhealthy" in err
    why = "container:db is unhealthy: its healthcheck exited 1: no route\\x1b to it"
    assert f"corral: {why}\n" in err
    assert ("container:web", "start") not in lab.engine.done
    out, err = lab.corral("ps")
    assert "(unhealthy)" in out
    assert "no route" not in out
    assert err == f"corral: {why.replace('container:db', 'demo-db-1')}\n"
    out, err = lab.corral("ps", "--format", "json", "db")
    probe = json.loads(out)["LastProbe"]
    assert (probe["ExitCode"], probe["Output"], err) == (1, "no route\x1b to it\n", "")
    assert probe["FailingStreak"] >= 2
    assert lab.corral("ps", "-q")[1] == ""
    answers[0] = 0
    eventually(lambda: ("container:web", "start") in lab.engine.done)
    lab.corral("up", "-d", "--wait")
    assert "(healthy)" in lab.corral("ps")[0]
    row = json.loads(lab.corral("ps", "--format", "json", "db")[0])
    assert (row["Health"], row["State"]) == ("healthy", "running")
    assert (row["LastProbe"]["ExitCode"], row["LastProbe"]["FailingStreak"]) == (0, 0)


def test_wait_timeout_gives_up_and_says_what_is_not_healthy(lab: Lab) -> None:
    async def ask(uid: str, command: Command, timeout_s: float) -> Ended:
        await anyio.sleep(3600)
        return Ended(0)

    lab.engine.run = ask  # type: ignore[method-assign]
    lab.write(CHECKED)
    lab.kill()
    lab.start()
    _, err = lab.corral("up", "--wait", "--wait-timeout", "0.3", code=1)
    assert "not all is healthy after 0.3 s" in err
