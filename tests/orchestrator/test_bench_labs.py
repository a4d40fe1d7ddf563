"""What `make bench-labs` compares corral with, and where its figures go: as far as that needs no Java."""

import io
import json
import pathlib
import types
from importlib import import_module

import pytest

from orchestrator.command_line import cli, labs

TOP = labs.HOME.parent.parent
EVERY_LAB = pytest.mark.parametrize("name", sorted(labs.all_of_them()))


@pytest.fixture(autouse=True)
def benchmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its modules import each other by their bare names."""
    monkeypatch.syspath_prepend(str(TOP / "benchmarks"))


def module(name: str) -> types.ModuleType:
    return import_module(name)


def config_of(name: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(labs.HOME / name)
    out, err = io.StringIO(), io.StringIO()
    assert cli.run(("config", "--format", "json"), out, err) == 0, err.getvalue()
    return out.getvalue()


@EVERY_LAB
def test_nothing_of_a_lab_is_left_out_by_hand(
    name: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everybody who is waited for is there, and every script is written."""
    found = module("nodes").read(config_of(name, monkeypatch))
    names = {node.name for node in found}
    assert len({node.address for node in found}) == len(names) == len(found)
    assert {other for node in found for other in node.waits_for} <= names
    module("byhand").write(found, name, tmp_path, "in order")
    for node in found:
        assert (tmp_path / node.name / "inside").read_text().endswith("\n")
        assert f" {node.name}.{name} {node.name}" in (tmp_path / "hosts").read_text()


def test_replicas_differ_by_hand_as_they_do_by_corral(monkeypatch: pytest.MonkeyPatch) -> None:
    kafka = {node.name: node for node in module("nodes").read(config_of("kafka", monkeypatch))}
    assert kafka.keys() == {"client", "kafka-1", "kafka-2", "kafka-3"}
    assert kafka["kafka-2"].environment["NUMBER"] == "2"
    assert kafka["client"].waits_for == ["kafka-1", "kafka-2", "kafka-3"]
    hbase = module("nodes").read(config_of("hbase", monkeypatch))
    volumes = {node.name: [each.source for each in node.mounts if each.volume] for node in hbase}
    assert (volumes["zookeeper-3"], volumes["datanode-3"]) == (["zookeeper-3"], ["datanodes"])


def test_what_is_not_done_by_hand_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    model = json.loads(config_of("spark", monkeypatch))
    model["services"]["master"]["cap_add"] = ["NET_ADMIN"]
    with pytest.raises(SystemExit, match="cannot start master by hand: cap_add is not done"):
        module("nodes").read(json.dumps(model))


def test_the_figures_of_labs_and_of_others_leave_each_other_alone(tmp_path: pathlib.Path) -> None:
    page, document = module("page"), tmp_path / "benchmarks.md"
    page.write(document, "# Benchmarks\n\nfirst\n")
    page.write_labs(document, "### kafka: 4 nodes\n\nfast\n\n### How\n")
    page.write(document, "# Benchmarks\n\nsecond\n")
    assert document.read_text() == "# Benchmarks\n\nsecond\n\n## Labs\n\n### kafka: 4 nodes\n\nfast\n\n### How\n"
    assert page.labs(document) == {"kafka": "### kafka: 4 nodes\n\nfast\n\n"}


def test_what_the_nodes_took_is_not_counted_as_corrals() -> None:
    """Init reaps what daemons leave behind; a shim reaps healthchecks. What came meanwhile counts from its beginning."""
    processes = module("processes")
    before = {(1, "daemon"): (100, 0), (2, "shim"): (10, 50), (3, "init"): (1, 700)}
    after = {(1, "daemon"): (160, 0), (2, "shim"): (12, 80), (3, "init"): (1, 900), (4, "shim"): (5, 5)}
    taken = {kind: seconds * processes.TICKS_PER_S for kind, seconds in processes.taken_s(before, after).items()}
    assert taken == pytest.approx({"daemon": 60, "shim": 7, "shims' children": 35, "init": 0})
