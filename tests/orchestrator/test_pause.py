"""Containers that stand still: how that is wanted, kept, shown and ended."""

import json

import pytest
from fake_lab import TWO, Lab, eventually, rows
from test_readings import uid_of

from engine.types.infos import ContainerInfo
from reconciler.resource import Verb


def is_paused(lab: Lab, name: str) -> bool:
    info = lab.engine.infos[uid_of(lab, name)]
    assert isinstance(info, ContainerInfo)
    return info.config.paused


def test_pause_stands_still_and_unpause_goes_on(lab: Lab) -> None:
    lab.write(TWO)
    lab.corral("up", "-d")
    lab.engine.done.clear()
    lab.corral("pause", "web")
    assert lab.engine.done == [("container:web", Verb.UPDATE)]
    assert (is_paused(lab, "demo-web-1"), is_paused(lab, "demo-db-1")) == (True, False)
    assert rows(lab)["web"]["State"] == "paused"
    assert rows(lab)["web"]["Status"].endswith(" (Paused)")
    assert "demo-web-1" in lab.corral("ps")[0], "it counts as running"
    assert json.loads(lab.corral("ls", "--format", "json")[0])[0]["Status"] == "paused(1), running(1)"
    lab.corral("unpause")
    assert {row["State"] for row in rows(lab).values()} == {"running"}
    lab.corral("pause")
    assert {row["State"] for row in rows(lab).values()} == {"paused"}
    lab.corral("unpause", "db")
    assert {name: row["State"] for name, row in rows(lab).items()} == {"web": "paused", "db": "running"}


def test_plan_shows_what_up_does_about_it(lab: Lab) -> None:
    lab.write(TWO)
    lab.corral("up", "-d")
    lab.corral("pause", "web")
    assert "paused true -> false, live" in lab.corral("plan", code=2)[0]
    lab.corral("up", "-d", "db")
    assert rows(lab)["web"]["State"] == "paused"
    lab.corral("up", "-d")
    assert rows(lab)["web"]["State"] == "running"
    assert ("container:web", Verb.STOP) not in lab.engine.done


@pytest.mark.parametrize("words", [("stop",), ("restart",), ("kill",)])
def test_what_ends_it_ends_the_pause_too(lab: Lab, words: tuple[str, ...]) -> None:
    lab.write(TWO)
    lab.corral("up", "-d")
    lab.corral("pause", "web")
    lab.corral(*words, "web")
    if words != ("restart",):
        eventually(lambda: rows(lab)["web"]["State"] == "exited")
        lab.corral("start", "web")
    assert rows(lab)["web"]["State"] == "running"
    lab.corral("pause")
    lab.corral("down")
    lab.corral("up", "-d")
    assert rows(lab)["web"]["State"] == "running"


def test_a_pause_outlives_the_daemon_and_a_new_container(lab: Lab) -> None:
    lab.write(TWO + "    restart: always\n")
    lab.corral("up", "-d")
    lab.corral("pause", "db")
    lab.kill()
    lab.engine.exit(uid_of(lab, "demo-db-1"), 1)
    lab.start()
    eventually(lambda: rows(lab)["db"]["State"] == "paused")


def test_a_hand_that_lets_it_go_on_is_not_obeyed(lab: Lab) -> None:
    from dataclasses import replace

    lab.write(TWO)
    lab.corral("up", "-d")
    lab.corral("pause", "db")
    uid = uid_of(lab, "demo-db-1")
    info = lab.engine.infos[uid]
    assert isinstance(info, ContainerInfo)
    lab.engine.changed_by_itself(uid, replace(info, config=replace(info.config, paused=False)))
    eventually(lambda: is_paused(lab, "demo-db-1"))


def test_what_cannot_be_paused_is_refused(lab: Lab) -> None:
    lab.write(TWO)
    assert "no project demo is up" in lab.corral("pause", code=1)[1]
    lab.corral("up", "-d")
    lab.corral("stop", "web")
    assert "service web is not running" in lab.corral("pause", "db", "web", code=1)[1]
    assert rows(lab)["db"]["State"] == "running"
    assert "no such service: nosuch" in lab.corral("pause", "nosuch", code=1)[1]
    assert "no such service: nosuch" in lab.corral("unpause", "nosuch", code=1)[1]
    lab.corral("pause")
    lab.corral("start", "web")
    assert rows(lab)["web"]["State"] == "running", "what did not run was not paused"


def test_a_command_in_a_paused_container_is_refused_with_the_way_out(lab: Lab) -> None:
    lab.write(TWO)
    lab.corral("up", "-d")
    lab.corral("pause", "web")
    err = lab.corral("exec", "-T", "web", "ls", code=1)[1]
    assert "demo-web-1 is paused\n  corral unpause web" in err


def test_events_tell_of_it(lab: Lab) -> None:
    lab.write(TWO)
    lab.corral("up", "-d")
    lab.corral("pause", "web")
    lab.corral("unpause", "web")
    out = lab.corral("events", "--json", "--since", "1h", "--until", "0s", "web")[0]
    actions = [line["action"] for line in map(json.loads, out.splitlines()) if line["type"] == "container"]
    assert actions == ["create", "start", "pause", "unpause"]
