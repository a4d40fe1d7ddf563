"""A checkup by who is not root, and of a machine that is too old."""

import os
import pathlib
import platform

import pytest

from engine.cgroups import layout
from orchestrator.command_line import checkup
from orchestrator.command_line.checkup import Verdict


def test_who_is_not_root_hears_that_only_root_can_try(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    found = list(checkup.examine(str(tmp_path / "not" / "there")))
    unknown = {each.subject for each in found if each.verdict is Verdict.UNKNOWN}
    assert {"bridge", "veth", "overlay"} <= unknown
    assert all("sudo" in each.way_out for each in found if each.verdict is Verdict.UNKNOWN)


def test_a_machine_without_a_v2_tree_and_without_a_memory_controller(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layout, "detect", lambda: layout.Layout(v1=(("pids", "/sys/fs/cgroup/pids"),)))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    words = [each.words for each in checkup.examine(str(tmp_path)) if each.subject == "cgroups"]
    assert "no memory controller: mem_limit will be refused" in words
    assert any(each.startswith("no v2 tree") for each in words)


@pytest.mark.parametrize(
    ("release", "verdict"),
    [
        ("5.10.0-30-amd64", Verdict.MISSING),
        ("6.1.0-28-amd64", Verdict.OK),
        ("10.0.0", Verdict.OK),
        ("6.0.9", Verdict.MISSING),
    ],
)
def test_the_floor_of_kernels(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, release: str, verdict: Verdict
) -> None:
    monkeypatch.setattr(platform, "release", lambda: release)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    (found,) = [each for each in checkup.examine(str(tmp_path)) if each.subject == "kernel"]
    assert found.verdict is verdict
