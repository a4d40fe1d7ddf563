"""How much memory all containers can have: the machine's, or the least limit above their cgroups."""

import pathlib

import pytest

from engine.cgroups import capacity
from engine.cgroups.layout import Layout

GIB = 1 << 30


def test_v2_counts_every_limit_from_the_top_to_ours(tmp_path: pathlib.Path) -> None:
    ours = tmp_path / "system.slice" / "corral.scope"
    ours.mkdir(parents=True)
    layout = Layout(str(tmp_path), frozenset({"memory"}), parent="system.slice/corral.scope")
    assert capacity.memory_bytes(layout, 8 * GIB) == 8 * GIB, "no file, no limit"
    (ours / "memory.max").write_text("max\n")
    (ours.parent / "memory.max").write_text(f"{4 * GIB}\n")
    assert capacity.memory_bytes(layout, 8 * GIB) == 4 * GIB
    (ours / "memory.max").write_text(f"{3 * GIB}\n")
    assert capacity.memory_bytes(layout, 8 * GIB) == 3 * GIB
    (tmp_path / "memory.max").write_text(f"{GIB}\n")  # the top, seen from inside a container
    assert capacity.memory_bytes(layout, 8 * GIB) == GIB


@pytest.mark.parametrize(("limit", "expected"), [(9223372036854771712, 8 * GIB), (2 * GIB, 2 * GIB)])
def test_v1_counts_the_limit_of_its_hierarchy(tmp_path: pathlib.Path, limit: int, expected: int) -> None:
    (tmp_path / "memory.limit_in_bytes").write_text(f"{limit}\n")
    layout = Layout("/nowhere", frozenset({"cpu"}), v1=(("memory", str(tmp_path)),))
    assert capacity.memory_bytes(layout, 8 * GIB) == expected


def test_without_a_controller_it_is_the_machines() -> None:
    assert capacity.memory_bytes(Layout("/nowhere", frozenset()), GIB) == GIB
