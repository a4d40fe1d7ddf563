"""Making a cgroup while another corral takes its own away, and what is above it with it."""

import os
import pathlib
from collections.abc import Callable

import pytest

from engine.cgroups import removal, v1, v2
from engine.errors import EngineError

Make = Callable[[pathlib.Path, str], object]


def in_v2(root: pathlib.Path, path: str) -> object:
    return v2.Tree(str(root), frozenset()).create(path)


def in_v1(root: pathlib.Path, path: str) -> object:
    return v1.Forest((("pids", str(root)),)).create(path)


both = pytest.mark.parametrize("make", [in_v2, in_v1])


@both
@pytest.mark.parametrize("level", ["corral", "corral/1a2b", "corral/1a2b/p-a-1"])
def test_what_is_above_goes_in_the_very_moment(
    make: Make, level: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, turns = os.mkdir, [True]

    def mkdir(directory: str, mode: int = 0o777) -> None:
        if turns and directory == str(tmp_path / level):
            turns.pop()
            removal.prune(directory, level)
        real(directory)

    monkeypatch.setattr(os, "mkdir", mkdir)
    make(tmp_path, "corral/1a2b/p-a-1")
    assert (tmp_path / "corral/1a2b/p-a-1").is_dir()
    assert not turns


@both
def test_not_for_ever(make: Make, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def mkdir(directory: str, mode: int = 0o777) -> None:
        raise FileNotFoundError(2, "No such file or directory", directory)

    monkeypatch.setattr(os, "mkdir", mkdir)
    with pytest.raises(EngineError, match="cannot create cgroup"):
        make(tmp_path, "corral/1a2b")
