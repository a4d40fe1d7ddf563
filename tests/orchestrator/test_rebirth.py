"""The daemon may die at any moment: what was promised is kept, what is stored wrongly is left alone."""

import concurrent.futures
import json
import os
import pathlib
import threading

import anyio
import pytest
from fake_lab import TWO, Lab, eventually, rows

from engine.types.infos import ContainerInfo, State
from orchestrator import errors
from orchestrator.daemon import keeper, records
from reconciler import declaration
from reconciler.resource import Verb
from reconciler.stored import Stored


def test_a_reborn_daemon_touches_nothing_that_is_as_declared(lab: Lab) -> None:
    lab.write(TWO)
    lab.corral("up", "-d")
    done = list(lab.engine.done)
    lab.kill()
    lab.start()
    assert lab.corral("plan")[0].startswith(f"{len(lab.engine.infos)} resources are as declared")
    assert lab.engine.done == done


def test_a_reborn_daemon_keeps_what_it_was_told(lab: Lab) -> None:
    lab.write(TWO)
    lab.corral("up", "-d", "--scale", "db=2")
    lab.corral("stop", "web")
    lab.kill()
    db = next(i for i in lab.engine.infos.values() if isinstance(i, ContainerInfo) and i.config.slot == "db")
    lab.engine.infos.pop(db.uid)  # while nobody looks
    lab.start()
    eventually(lambda: len(lab.corral("ps", "-q")[0].split()) == 2)
    assert rows(lab)["web"]["State"] == "exited"


def test_a_daemon_that_died_in_the_middle_of_an_up_goes_on_with_it(lab: Lab) -> None:
    lab.engine.faults["container:db", Verb.CREATE] = 10**9
    lab.write(TWO)
    lab.corral("up", "-d", code=1)
    lab.kill()
    lab.engine.faults.clear()
    lab.start()
    eventually(lambda: {row["State"] for row in rows(lab).values()} == {"running"})
    assert len(rows(lab)) == 2


def test_a_daemon_that_died_in_the_middle_of_a_down_goes_on_with_it(lab: Lab) -> None:
    lab.write(TWO)
    lab.corral("up", "-d")
    lab.engine.faults["container:db", Verb.REMOVE] = 10**9
    lab.corral("down", code=1)
    lab.kill()
    assert sorted(os.listdir(lab.places.projects)) == ["demo.events", "demo.json"]
    lab.engine.faults.clear()
    lab.start()
    eventually(lambda: os.listdir(lab.places.projects) == [])
    assert rows(lab) == {}


def test_a_daemon_that_died_when_all_but_the_record_was_gone_forgets_it(lab: Lab) -> None:
    lab.write(TWO)
    lab.corral("up", "-d")
    stored = records.Records(lab.places.projects).read("demo").down()
    lab.corral("down")
    lab.kill()
    records.Records(lab.places.projects).write(stored)
    lab.start()
    eventually(lambda: os.listdir(lab.places.projects) == [])
    assert "no projects" in lab.corral("daemon", "status")[0]


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"format": 2}', '{"format": 1, "project": {"name": "other"}}', '{"format": 1, "project": 3}']
)
def test_a_record_that_cannot_be_read_keeps_its_project_untouched(lab: Lab, text: str) -> None:
    lab.write(TWO)
    lab.corral("up", "-d")
    lab.kill()
    path = pathlib.Path(lab.places.projects, "demo.json")
    path.write_text(text)
    done = list(lab.engine.done)
    lab.start()
    assert "cannot restore project demo" in lab.corral("daemon", "status")[0]
    for command in (("up", "-d"), ("down",), ("plan",), ("stop",)):
        assert str(path) in lab.corral(*command, code=1)[1]
    assert lab.engine.done == done
    assert path.read_text() == text
    running = [i for i in lab.engine.infos.values() if isinstance(i, ContainerInfo) and i.state is State.RUNNING]
    assert len(running) == 2


def test_a_record_that_is_no_valid_project_any_more_keeps_it_untouched(lab: Lab) -> None:
    lab.write(TWO)
    lab.corral("up", "-d")
    lab.kill()
    path = pathlib.Path(lab.places.projects, "demo.json")
    record = json.loads(path.read_text())
    record["project"]["parts"][0]["canonical"]["services"]["web"]["invented"] = True
    del record["seal"]
    path.write_text(json.dumps(record))
    done = list(lab.engine.done)
    lab.start()
    assert "services.web.invented" in lab.corral("daemon", "status")[0]
    assert lab.engine.done == done


def test_volumes_stay_unless_told_and_the_project_is_gone_all_the_same(lab: Lab) -> None:
    lab.write("services: {a: {image: 'rootfs:/r', command: x, volumes: ['data:/data']}}\nvolumes: {data: {}}\n")
    lab.corral("up", "-d")
    lab.corral("down")
    assert [uid.split("#")[0] for uid in lab.engine.infos if uid.startswith("volume")] == ["volume:data"]
    eventually(lambda: os.listdir(lab.places.projects) == [])
    lab.corral("up", "-d")
    lab.corral("down", "-v")
    assert [uid for uid in lab.engine.infos if uid.startswith("volume")] == []
    eventually(lambda: os.listdir(lab.places.projects) == [])


def test_a_daemon_without_projects_takes_its_own_files_away(lab: Lab) -> None:
    lab.write(TWO)
    lab.corral("up", "-d")
    lab.stop()
    assert not os.path.exists(lab.places.socket)
    assert os.path.exists(lab.places.health)
    lab.start()
    lab.corral("down")
    eventually(lambda: os.listdir(lab.places.projects) == [])
    lab.stop()
    assert os.listdir(lab.places.root) == []
    assert os.listdir(lab.places.run) == []


def test_a_record_survives_the_round_trip_and_names_are_checked(tmp_path: pathlib.Path) -> None:
    kept = records.Records(str(tmp_path / "projects"))
    assert kept.names() == []
    stored = Stored("demo").up(
        ["/a.yaml"], {"name": "demo", "services": {"web": {"image": "host"}}}, 3.0, scale={"web": 2}
    )
    kept.write(stored)
    assert kept.read("demo") == stored
    assert kept.names() == ["demo"]
    assert os.stat(tmp_path / "projects/demo.json").st_mode & 0o777 == 0o600
    assert os.stat(tmp_path / "projects").st_mode & 0o777 == 0o700
    kept.remove("demo")
    kept.remove("demo")
    assert kept.names() == []
    for name in ("", "A", "../x", "a/b", "-a", "x" * 64, "a.b"):
        with pytest.raises(errors.Invalid, match="project name"):
            records.check_name(name)


def test_a_second_down_that_comes_while_the_first_ends_is_answered(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    declare = keeper.Keeper.declare

    async def declare_until_the_first_has_ended(
        kept: keeper.Keeper, stored: Stored, *, refuse_taken: bool = False
    ) -> declaration.Declaration:
        declared = await declare(kept, stored, refuse_taken=refuse_taken)
        if not kept.stored.parts:
            second.set()
            with anyio.move_on_after(5):
                await kept.gone.wait()
        return declared

    second = threading.Event()
    lab.write(TWO)
    lab.corral("up", "-d")
    monkeypatch.setattr(keeper.Keeper, "declare", declare_until_the_first_has_ended)
    lab.engine.delay_s = lambda resource_id, verb: 0.3
    with concurrent.futures.ThreadPoolExecutor() as threads:
        first = threads.submit(lab.corral, "down")
        eventually(lambda: not records.Records(lab.places.projects).read("demo").parts)
        later = threads.submit(lab.corral, "down")
        assert second.wait(5)
        first.result(10)
        later.result(10)
    eventually(lambda: os.listdir(lab.places.projects) == [])
