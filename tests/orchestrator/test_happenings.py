"""Events: what two looks, and the time between them, tell; what is kept of it; and the command."""

import json
import pathlib
from dataclasses import replace
from typing import Any

import pytest
from fake_lab import TWO, Lab, eventually
from test_readings import Waiting, uid_of

from engine.types.configs import ContainerConfig, EndpointConfig
from engine.types.infos import ContainerInfo, EndpointInfo, Look, State
from orchestrator import protocol
from orchestrator.daemon import chronicle, feeds, happenings

CONFIG = ContainerConfig(
    "demo-web-1",
    "demo",
    "web",
    1,
    "web",
    "web",
    "host",
    labels=(("tier", "front"), ("com.docker.compose.project", "x")),
)
MADE = ContainerInfo(CONFIG, "a" * 64, "image", created_at=10.0)
RUNS = replace(MADE, state=State.RUNNING, started_at=11.0, pid=1)
CABLE = EndpointInfo(
    EndpointConfig("demo", "web", "demo_lab", "lab", "10.0.0.2", 24, "10.0.0.1", "web.demo"), "e", "n", "s"
)


class Story:
    """Looks, one after the other."""

    def __init__(self) -> None:
        self.known = happenings.Known()

    def look(self, *containers: ContainerInfo, health: str = "", now: float = 99.0, cables: Any = ()) -> list[str]:
        """What each tells; seen once more it tells nothing."""
        look = Look(containers=containers, endpoints=tuple(cables))
        table = {info.uid: health for info in containers}
        self.found = happenings.between(self.known, look, table, now)
        for event in self.found:
            self.known.note(event)
        assert happenings.between(self.known, look, table, now) == []
        copy = happenings.Known()
        for event in self.known.summary():
            copy.note(event)
        assert happenings.between(copy, look, table, now) == [], "the summary is enough"
        return [f"{event.at:g} {event.action}" for event in self.found]


def test_the_life_of_a_container() -> None:
    story = Story()
    assert story.look(replace(MADE, whole=False)) == []
    assert story.look(MADE) == ["10 create"]
    assert story.found[0] == protocol.Happened(
        10.0, "container", "create", "web", "a" * 64, {"image": "host", "name": "demo-web-1", "tier": "front"}
    )
    assert story.look(RUNS, health="starting") == ["11 start"]
    assert story.look(RUNS, health="healthy") == ["99 health_status: healthy"]
    assert story.look(RUNS, health="unhealthy") == ["99 health_status: unhealthy"]
    exited = replace(RUNS, state=State.EXITED, code=137, oom=True, ended_at=21.5)
    assert story.look(exited) == ["21.5 oom", "21.5 die"]
    assert story.found[1].attributes.items() >= {"exitCode": "137", "execDuration": "10"}.items()
    again = replace(RUNS, started_at=30.0)
    assert story.look(again, health="starting") == ["30 start"]
    stopped = replace(again, state=State.MADE, code=143, ended_at=31.0)
    assert story.look(stopped) == ["31 die", "31 stop"]
    assert story.look(now=50.0) == ["50 destroy"]


def test_what_begins_and_ends_between_two_looks_is_told_whole() -> None:
    story = Story()
    assert story.look(replace(RUNS, state=State.EXITED, code=1, ended_at=12.0)) == ["10 create", "11 start", "12 die"]
    assert story.look(replace(RUNS, state=State.EXITED, code=2, started_at=13.0, ended_at=14.0)) == [
        "13 start",
        "14 die",
    ]
    assert story.look(replace(RUNS, started_at=15.0)) == ["15 start"]
    assert story.look(replace(RUNS, started_at=17.0)) == ["17 die", "17 start"], "the end of the other run is not known"
    assert story.look(now=20.0) == ["20 die", "20 destroy"]


def test_one_that_is_just_being_started_is_not_told_of_yet() -> None:
    story = Story()
    starting = replace(MADE, state=State.EXITED, started_at=11.0)
    assert story.look(starting) == ["10 create"]
    assert story.look(starting) == []
    assert story.look(RUNS) == ["11 start"]


def test_a_lost_container_ends_without_a_code_and_not_on_purpose() -> None:
    story = Story()
    story.look(RUNS)
    assert story.look(replace(RUNS, state=State.EXITED, lost=True, ended_at=20.0)) == ["20 die"]
    assert "exitCode" not in story.found[0].attributes
    story.look(replace(RUNS, started_at=30.0))
    assert story.look(replace(RUNS, started_at=30.0, state=State.MADE, ended_at=40.0)) == ["40 die"], "after a reboot"


def test_cables_come_and_go_with_either_end() -> None:
    story = Story()
    assert story.look(cables=[CABLE]) == []
    assert story.look(MADE, cables=[CABLE], now=12.0) == ["10 create", "12 connect"]
    assert story.found[1] == protocol.Happened(
        12.0, "network", "connect", "web", "n", {"container": "a" * 64, "name": "demo_lab", "type": "bridge"}
    )
    assert story.look(MADE, cables=[replace(CABLE, whole=False)]) == ["99 disconnect"]
    story.look(MADE, cables=[CABLE])
    other = replace(MADE, uid="b" * 64, created_at=20.0)
    assert story.look(other, cables=[CABLE]) == ["20 create", "99 destroy", "99 disconnect", "99 connect"]


# ------------------------------------------------------------------------------------------------------------- on disk


def told(feed: feeds.Feed) -> list[protocol.Happened]:
    """What is there to read; the feed is closed."""
    found = [event for event in feed.more() if isinstance(event, protocol.Happened)]
    feed.close()
    return found


def told_again(path: pathlib.Path) -> list[protocol.Happened]:
    return told(chronicle.Chronicle(str(path)).listen(0.0))


def test_another_daemon_goes_on_where_the_last_one_ended(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "demo.events"
    first = chronicle.Chronicle(str(path))
    first.see(Look(containers=(RUNS,)), {}, 12.0)
    with path.open("ab") as file:
        file.write(b'{"event":"happened","at":1')  # a machine that lost its power
    second = chronicle.Chronicle(str(path))
    second.see(Look(containers=(replace(RUNS, state=State.EXITED, code=3, ended_at=20.0),)), {}, 30.0)
    assert [(event.at, event.action) for event in told_again(path)][:2] == [(10.0, "create"), (11.0, "start")]
    feed = second.listen(15.0)
    second.tell(happenings.killed(RUNS, 9, 31.0))
    assert [(event.at, event.action) for event in told(feed)] == [(20.0, "die"), (31.0, "kill")]
    second.forget()
    assert not path.exists()
    second.forget()


def test_what_is_kept_is_bounded_and_nothing_is_told_twice(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "demo.events"
    long = chronicle.Chronicle(str(path), bytes_max=4000)
    paused = replace(RUNS, config=replace(CONFIG, labels=()))
    for number in range(200):
        health = "healthy" if number % 2 else "unhealthy"
        long.see(Look(containers=(paused,), endpoints=(CABLE,)), {paused.uid: health}, 20.0 + number)
        assert path.stat().st_size <= 4000
    kept = told_again(path)
    assert [event.at for event in kept] == [float(at) for at in range(220 - len(kept), 220)]
    assert len(kept) > 5
    reborn = chronicle.Chronicle(str(path), bytes_max=4000)
    feed = reborn.listen()
    reborn.see(Look(containers=(paused,), endpoints=(CABLE,)), {paused.uid: "healthy"}, 300.0)
    assert told(feed) == []


# --------------------------------------------------------------------------------------------------------- the command


def actions(lab: Lab, *words: str, service: str = "db") -> list[str]:
    lines = [
        json.loads(line)
        for line in lab.corral("events", "--json", "--since", "1h", "--until", "0s", *words)[0].splitlines()
    ]
    return [line["action"] for line in lines if line["service"] == service and line["type"] == "container"]


def test_commands_are_told_in_dockers_words(lab: Lab) -> None:
    lab.write(TWO)
    lab.corral("up", "-d")
    assert actions(lab) == ["create", "start"]
    lab.corral("stop", "db")
    assert actions(lab)[2:] == ["kill", "die", "stop"]
    lab.corral("start", "db")
    assert actions(lab)[5:] == ["start"]
    lab.corral("restart", "db")
    assert actions(lab)[6:] == ["kill", "die", "stop", "start", "restart"]
    lab.corral("kill", "-s", "HUP", "db")
    assert actions(lab)[11:] == ["kill"]
    lab.engine.exit(uid_of(lab, "demo-db-1"), 4)
    eventually(lambda: actions(lab)[12:] == ["die"])


def test_a_stream_goes_over_the_end_of_the_project_and_of_services_not_asked_for(lab: Lab) -> None:
    lab.write(TWO)
    waiting = Waiting("events", "--json", "--until", "9999999999", "db")
    waiting_text = Waiting("events", "--until", "9999999999", "web")
    lab.corral("up", "-d")
    lab.corral("down")
    eventually(lambda: "disconnect" in waiting.out.getvalue() and "disconnect" in waiting_text.out.getvalue())
    lines = [json.loads(line) for line in waiting.out.getvalue().splitlines()]
    assert [line["action"] for line in lines if line["type"] == "container"] == [
        "create",
        "start",
        "kill",
        "die",
        "stop",
        "destroy",
    ]
    assert {line["service"] for line in lines} == {"db"}
    assert lines[0].keys() == {"action", "attributes", "id", "service", "time", "type"}
    text = next(line for line in waiting_text.out.getvalue().splitlines() if "container kill" in line)
    assert text.endswith("(image=rootfs:/srv/root, name=demo-web-1, signal=15)")
    assert not [path for path in pathlib.Path(lab.places.projects).glob("*") if path.suffix == chronicle.SUFFIX]
    lab.kill()
    assert (waiting.ended()[0], waiting_text.ended()[0]) == (1, 1), "the daemon is gone"


def test_a_reborn_daemon_tells_what_happened_meanwhile(lab: Lab) -> None:
    lab.write(TWO)
    lab.corral("up", "-d")
    lab.kill()
    lab.engine.exit(uid_of(lab, "demo-db-1"), 6)
    lab.start()
    eventually(lambda: actions(lab) == ["create", "start", "die"])


def test_an_end_that_has_passed_ends_it_at_once(lab: Lab) -> None:
    lab.write(TWO)
    assert lab.corral("events", "--until", "1s") == ("", "")
    assert lab.corral("events", "--since", "1h", "--until", "1s") == ("", "")
    assert "cannot use --until soon" in lab.corral("events", "--until", "soon", code=1)[1]
    assert "cannot use 'A' as project name" in lab.corral("-p", "A", "events", code=1)[1]


@pytest.mark.parametrize("action", ["oom", "stop", "kill"])
def test_what_says_nothing_about_the_state_leaves_it(action: str) -> None:
    known = happenings.Known()
    known.note(happenings.of(RUNS, "create", 10.0))
    known.note(happenings.of(RUNS, "start", 11.0))
    before = dict(known.containers)
    known.note(happenings.of(RUNS, action, 12.0))
    assert known.containers == before
