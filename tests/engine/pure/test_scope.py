"""The scope of systemd's that what outlives the daemon lives in, beside a systemctl that says what the test wants."""

import os
from pathlib import Path

import pytest

from engine.cgroups import scope
from engine.errors import EngineError


@pytest.fixture
def holders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cgroup of the scope of the corral `x`; its state is the text of `state`."""
    program = tmp_path / "bin/systemctl"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\ncat {tmp_path}/state\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    found = tmp_path / scope.SLICE / "corral-x.scope" / scope.HOLDERS
    found.mkdir(parents=True)
    (found / "cgroup.procs").touch()
    return found


def test_a_process_joins_a_scope_that_lives(tmp_path: Path, holders: Path) -> None:
    (tmp_path / "state").write_text("active\n")
    scope.Scope(str(tmp_path), "x").hold(17)
    assert (holders / "cgroup.procs").read_text() == "17"


def test_nobody_joins_a_scope_that_is_being_stopped(
    tmp_path: Path, holders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scope, "GOING_S", 0.05)
    (tmp_path / "state").write_text("deactivating\n")
    with pytest.raises(EngineError, match=r"cannot join the scope corral-x\.scope: systemd is stopping it"):
        scope.Scope(str(tmp_path), "x").hold(17)
    assert (holders / "cgroup.procs").read_text() == ""
