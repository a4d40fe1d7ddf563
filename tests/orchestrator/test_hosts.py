"""`corral hosts`: the wish is the project's, and the engine is told of all such wishes."""

import os

import pytest
from fake_lab import TWO, Lab, eventually

from engine import errors
from reconciler.overlay import Overlay

NOBODY: frozenset[str] = frozenset()


def test_on_is_told_to_the_engine_and_off_and_down_take_it_back(lab: Lab) -> None:
    lab.write(TWO)
    lab.corral("up", "-d")
    out, err = lab.corral("hosts")
    assert "web.demo" in out
    assert "does not have the names of project demo: `corral hosts on` gives them" in err
    assert lab.engine.named == (NOBODY, NOBODY)
    assert "has the names of project demo, in /nowhere/hosts" in lab.corral("hosts", "on")[1]
    assert lab.engine.named == ({"demo"}, NOBODY)
    assert "has the names of project demo" in lab.corral("hosts")[1]
    assert "does not have" in lab.corral("hosts", "off")[1]
    assert lab.engine.named == (NOBODY, NOBODY)
    lab.corral("hosts", "on")
    lab.corral("up", "-d", "--force-recreate")
    assert lab.engine.named == ({"demo"}, NOBODY), "the next `up` takes nothing back"
    lab.corral("down")
    eventually(lambda: lab.engine.named == (NOBODY, NOBODY))


def test_nothing_is_done_to_what_runs(lab: Lab) -> None:
    lab.write(TWO)
    lab.corral("up", "-d")
    done = list(lab.engine.done)
    lab.corral("hosts", "on")
    assert lab.corral("plan")[0].startswith(f"{len(lab.engine.infos)} resources are as declared")
    assert lab.engine.done == done


def test_the_wish_outlives_the_daemon_and_of_a_broken_record_it_is_not_known(lab: Lab) -> None:
    lab.write(TWO)
    lab.corral("up", "-d")
    lab.corral("hosts", "on")
    lab.kill()
    lab.engine.named = (NOBODY, NOBODY)
    lab.start()
    eventually(lambda: lab.engine.named == ({"demo"}, NOBODY))
    lab.kill()
    path = os.path.join(lab.places.projects, "demo.json")
    with open(path, encoding="utf-8") as file:
        text = file.read()
    with open(path, "w", encoding="utf-8") as file:
        file.write("{")
    lab.start()
    eventually(lambda: lab.engine.named == (NOBODY, {"demo"}))
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    eventually(lambda: lab.engine.named == ({"demo"}, NOBODY))


def test_what_cannot_be_done_is_refused_and_not_kept(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    async def full(*_: object) -> None:
        raise errors.EngineError("cannot write /etc/hosts: Read-only file system")

    lab.write(TWO)
    lab.corral("up", "-d")
    with monkeypatch.context() as spoilt:
        spoilt.setattr(lab.engine, "name_on_machine", full)
        assert "cannot write /etc/hosts: Read-only file system" in lab.corral("hosts", "on", code=1)[1]
    assert "does not have" in lab.corral("hosts")[1]
    lab.corral("hosts", "on")
    assert lab.engine.named == ({"demo"}, NOBODY)


def test_who_is_not_up_has_no_names(lab: Lab) -> None:
    lab.write(TWO)
    assert "no project demo is up" in lab.corral("hosts", code=1)[1]
    assert "no project demo is up" in lab.corral("hosts", "on", code=1)[1]
    assert "invalid choice" in lab.corral("hosts", "perhaps", code=1)[1]


def test_pages_have_names_then(lab: Lab) -> None:
    lab.write(TWO + '    x-corral: {pages: {Status: "80/x"}}\n')
    lab.corral("up", "-d")
    assert lab.corral("urls", "-q")[0].startswith("http://10.")
    lab.corral("hosts", "on")
    assert lab.corral("urls", "-q")[0] == "http://db.demo:80/x\n"


def test_an_older_record_says_nothing_of_it() -> None:
    before = Overlay(hosts=True).to_json()
    assert Overlay.from_json(before).hosts
    del before["hosts"]
    assert not Overlay.from_json(before).hosts
