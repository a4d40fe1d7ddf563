"""`corral volume`: data that belongs to no project, and data that nobody may take away."""

import json
import pathlib
from collections.abc import Iterator

import pytest

from tests.e2e.lab import Lab


@pytest.fixture
def shared(lab: Lab) -> Iterator[Lab]:
    """A lab whose shared volumes go with it."""
    yield lab
    lab.end()
    lab.corral("volume", "prune", "-f", "--all")


USES = """services:
  a: {image: IMAGE, init: true, command: sleep 1000, volumes: ["store:/store", "own:/own"]}
volumes:
  store: {name: store, external: true}
  own: {}
"""


def place(lab: Lab, name: str) -> pathlib.Path:
    return pathlib.Path(json.loads(lab.out("volume", "inspect", name))[0]["Mountpoint"])


def listed(lab: Lab) -> list[str]:
    return lab.out("volume", "ls", "-q").split()


@pytest.mark.key("volumes.external")
def test_data_of_no_project_outlives_every_project(shared: Lab) -> None:
    lab = shared
    assert lab.out("volume", "create", "--label", "a=b", "store") == "store\n"
    (place(lab, "store") / "before").write_text("x")
    lab.up(USES)
    lab.exec("a", "touch", "/store/inside", "/own/mine")
    assert "declared by project" in lab.refusal("volume", "rm", "store")
    lab.corral("down", "-v", "-t", "0")
    assert listed(lab) == ["store"]
    assert {path.name for path in place(lab, "store").iterdir()} == {"before", "inside"}
    lab.corral("volume", "prune", "-f")
    assert listed(lab) == ["store"]
    folder = place(lab, "store")
    assert lab.out("volume", "rm", "store") == "store\n"
    assert not folder.exists()


def test_prune_takes_what_a_project_left_and_asks_first(shared: Lab) -> None:
    lab = shared
    lab.corral("volume", "create", "store")
    lab.up(USES)
    lab.exec("a", "touch", "/own/mine")
    own = f"{lab.project}_own"
    folder = place(lab, own)
    lab.corral("stop", "-t", "0")
    lab.corral("volume", "prune", "-f", "--all")
    assert (folder / "mine").exists(), "a stopped project declares it"
    lab.corral("down", "-t", "0")
    assert (folder / "mine").exists()
    assert "-f" in lab.refusal("volume", "prune")
    assert (folder / "mine").exists()
    assert lab.out("volume", "prune", "-f") == f"Deleted Volumes:\n{own}\n"
    assert not folder.exists()
    assert listed(lab) == ["store"]


def test_it_is_there_again_after_a_death_of_the_daemon(shared: Lab) -> None:
    lab = shared
    lab.corral("volume", "create", "store")
    (place(lab, "store") / "x").write_text("x")
    lab.kill("corral daemon")
    lab.corral("volume", "create", "store")
    assert (place(lab, "store") / "x").read_text() == "x"


def test_listing(shared: Lab) -> None:
    lab = shared
    lab.corral("volume", "create", "--label", "a=b", "store")
    lab.up(USES)
    assert lab.out("volume", "ls").split()[:4] == ["DRIVER", "VOLUME", "NAME", "PROJECT"]
    assert lab.out("volume", "ls", "-q", "--filter", "label=a").split() == ["store"]
    assert lab.out("volume", "ls", "-q", "--filter", "dangling=true") == ""
    rows = [json.loads(line) for line in lab.out("volume", "ls", "--format", "json").splitlines()]
    assert {row["Name"]: row["Project"] for row in rows} == {"store": "", f"{lab.project}_own": lab.project}


def test_volumes_and_networks_that_nothing_uses_are_made_where_all_are_asked_for(lab: Lab) -> None:
    text = (
        "services: {a: {image: IMAGE, init: true, command: sleep 1000}}\nvolumes: {other: {}}\nnetworks: {other: {}}\n"
    )
    lab.write(text)
    lab.corral("--all-resources", "up", "-d")
    assert listed(lab) == [f"{lab.project}_other"]
    assert f"{lab.project}_other" in lab.out("network", "ls")
    lab.corral("up", "-d")
    assert f"{lab.project}_other" not in lab.out("network", "ls")
    assert listed(lab) == [f"{lab.project}_other"], "data stays"
