"""A checkup by who is not root, and of a machine that is too old."""

import os
import pathlib
import platform

import pytest

from engine.cgroups import layout
from engine.process import syscalls
from engine.rights import apparmor
from orchestrator.command_line import checkup, newer, trials
from orchestrator.command_line.findings import Finding, Verdict


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


@pytest.mark.parametrize(
    ("version", "verdict"), [("3.10.12", Verdict.MISSING), ("3.11.0", Verdict.OK), ("3.9.2", Verdict.MISSING)]
)
def test_the_floor_of_pythons(
    monkeypatch: pytest.MonkeyPatch, version: str, verdict: Verdict, tmp_path: pathlib.Path
) -> None:
    monkeypatch.setattr(platform, "python_version", lambda: version)
    monkeypatch.setattr(platform, "python_version_tuple", lambda: tuple(version.split(".")))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    (found,) = [each for each in checkup.examine(str(tmp_path)) if each.subject == "python"]
    assert found.verdict is verdict
    assert version in found.words
    assert bool(found.way_out) == (verdict is Verdict.MISSING)


def newer_of(monkeypatch: pytest.MonkeyPatch, failed: dict[str, str], missing: set[str]) -> list[Finding]:
    """What root is told on a kernel that lacks `missing`, and whose trials failed so."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(trials, "failed", lambda directory: failed)
    monkeypatch.setattr(syscalls, "missing", missing)
    return list(newer.findings("/state"))


@pytest.mark.parametrize("name", [name for name in syscalls.FEATURES if name != "idmap"])
def test_what_a_kernel_lacks_has_a_line_and_is_not_among_what_is_in_use(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    in_use, *lacking = [each for each in newer_of(monkeypatch, {}, {name}) if each.subject == "newer kernels"]
    assert newer.WITHOUT[name] in [each.words for each in lacking]
    assert name not in in_use.words
    assert {each.verdict for each in lacking} == {Verdict.OK}, "corral works without, and nobody sees it"


def test_a_trial_that_fails_is_told_likewise(monkeypatch: pytest.MonkeyPatch) -> None:
    words = [each.words for each in newer_of(monkeypatch, {"detached-mounts": "Invalid argument"}, set())]
    assert newer.WITHOUT["detached-mounts"] in words


@pytest.mark.parametrize(
    ("failed", "words"),
    [
        (
            {"user namespaces": "No space left on device", "idmap": "the same"},
            "none can be made: No space left on device",
        ),
        ({"idmap": "Invalid argument"}, "shows no other owners (/state: Invalid argument)"),
    ],
)
def test_what_user_namespaces_lack_limits(monkeypatch: pytest.MonkeyPatch, failed: dict[str, str], words: str) -> None:
    (found,) = [each for each in newer_of(monkeypatch, failed, set()) if each.subject == "user namespaces"]
    assert found.verdict is Verdict.LIMITED
    assert words in found.words
    assert "corral:strict" in found.words
    assert found.way_out


def test_what_cannot_be_tried_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(directory: str) -> dict[str, str]:
        raise OSError("no process can be made")

    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(trials, "failed", fail)
    (first, *_) = newer.findings("/state")
    assert first.verdict is Verdict.UNKNOWN
    assert "no process can be made" in first.words


def test_pressure_and_apparmor_are_told_where_they_are_and_where_not(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "there").write_text("Y\n")
    for name, counted, confined in (("there", "counted: ", "on: "), ("none", "not counted: ", "not there: ")):
        monkeypatch.setattr(newer, "PRESSURE", str(tmp_path / name))
        monkeypatch.setattr(apparmor, "ENABLED", str(tmp_path / name))
        words = {each.subject: each.words for each in newer_of(monkeypatch, {}, set())}
        assert words["pressure"].startswith(counted)
        assert words["AppArmor"].startswith(confined)
