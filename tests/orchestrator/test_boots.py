"""What a boot brings back, and how containers end with their machine."""

import pathlib

import pytest
from fake_lab import TWO, Lab, eventually, rows

from engine.types.infos import ContainerInfo, State
from orchestrator.daemon import boots, systemd


def test_a_boot_is_told_from_another_start(tmp_path: pathlib.Path) -> None:
    path = str(tmp_path / "boot")
    assert not boots.is_first_start(path), "nobody was here before"
    boots.note(path)
    assert not boots.is_first_start(path)
    pathlib.Path(path).write_text("another boot's id\n")
    assert boots.is_first_start(path)


POLICIES = """
services:
  always: {image: "rootfs:/srv/root", restart: always}
  unless: {image: "rootfs:/srv/root", restart: unless-stopped}
"""


@pytest.mark.parametrize("booted", [True, False])
def test_what_was_stopped_by_hand_starts_after_a_boot_where_it_always_restarts(lab: Lab, booted: bool) -> None:
    lab.write(POLICIES)
    lab.corral("up", "-d")
    lab.corral("stop")
    lab.kill()
    if booted:
        pathlib.Path(lab.places.boot).write_text("another boot's id\n")
    lab.start()
    wanted = {"always": "running" if booted else "exited", "unless": "exited"}
    eventually(lambda: {name: row["State"] for name, row in rows(lab).items()} == wanted)
    assert not boots.is_first_start(lab.places.boot)


async def going_down() -> bool:
    return True


def test_containers_end_with_their_machine_and_stay_wanted(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(systemd, "is_machine_going_down", going_down)
    lab.write(TWO)
    lab.corral("up", "-d")
    lab.stop()
    states = [info.state for info in lab.engine.infos.values() if isinstance(info, ContainerInfo)]
    assert states == [State.EXITED, State.EXITED]
    lab.start()
    assert "web" in lab.corral("ps", "-a")[0], "the project is still there"
