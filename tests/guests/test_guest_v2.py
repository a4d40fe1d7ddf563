"""What only a machine with nothing but the v2 tree can show. Runs in the guest."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.cgroups import driver, layout
from engine.errors import EngineError, TerminalEngineError
from engine.types.parts import Limits

pytestmark = pytest.mark.root

ROOT = Path("/sys/fs/cgroup")
UNIT = "system.slice/corral.service"


@pytest.fixture
def unit() -> Iterator[Path]:
    """A cgroup as systemd gives it to a unit with Delegate=yes: memory and pids handed down, one process in it."""
    (ROOT / "cgroup.subtree_control").write_text("+memory +pids +cpu")
    directory = ROOT / UNIT
    directory.mkdir(parents=True)
    (directory.parent / "cgroup.subtree_control").write_text("+memory +pids")
    process = subprocess.Popen(["sleep", "60"])
    (directory / "cgroup.procs").write_text(str(process.pid))
    yield directory
    process.kill()
    process.wait()
    for inner in sorted((path for path in directory.rglob("*") if path.is_dir()), reverse=True):
        inner.rmdir()
    directory.rmdir()
    directory.parent.rmdir()


def test_this_machine_has_the_v2_tree_alone() -> None:
    found = layout.detect()
    assert (found.v2, found.v1) == ("/sys/fs/cgroup", ())
    assert {"memory", "pids", "cpu"} <= found.v2_controllers
    assert os.getpid() != 1


def test_the_guest_cannot_write_to_the_machine() -> None:
    with pytest.raises(OSError, match="Read-only file system"):
        Path(__file__).with_suffix(".written").touch()
    with pytest.raises(OSError, match="Read-only file system"):
        Path("/etc/corral-guest").touch()


def test_a_delegated_unit_is_divided_once_its_processes_have_made_room(unit: Path) -> None:
    found = layout.detect(parent=UNIT)
    assert found.v2_controllers == {"memory", "pids"}
    subject = driver.Driver(found, "corral/0a1b")
    with pytest.raises(EngineError, match="processes live in it, which must move to a cgroup below it first"):
        subject.create("project", "c1", Limits(pids=9))
    assert not (unit / "corral").exists()
    (unit / "daemon").mkdir()
    (unit / "daemon/cgroup.procs").write_text((unit / "cgroup.procs").read_text())
    paths = subject.create("project", "c1", Limits(pids=9))
    assert (unit / "corral/0a1b/project/c1/pids.max").read_text() == "9\n"
    assert paths.v2_directory == str(unit / "corral/0a1b/project/c1")
    with pytest.raises(TerminalEngineError, match="no cgroup hierarchy here has the controller cpu"):
        subject.create("project", "c2", Limits(cpus=1.0))
    subject.remove(paths)
    assert not (unit / "corral").exists()
    assert (unit / "daemon").exists()


def test_a_leaf_hands_nothing_down_and_every_level_above_does() -> None:
    subject = driver.Driver(layout.detect(), "corral/0a1b")
    paths = subject.create("project", "c1", Limits())
    for level in (".", "corral", "corral/0a1b", "corral/0a1b/project"):
        assert {"cpu", "memory", "pids"} <= set((ROOT / level / "cgroup.subtree_control").read_text().split()), level
    assert Path(str(paths.v2_directory), "cgroup.subtree_control").read_text().strip() == ""
    subject.remove(paths)
    assert not (ROOT / "corral").exists()


def test_a_delegated_container_cannot_lift_its_own_limit() -> None:
    """Its cgroup's files stay root's; only what it makes below is its own, and is counted inside."""
    subject = driver.Driver(layout.detect(), "corral/0a1b")
    paths = subject.create("project", "c1", Limits(pids=4))
    directory = str(paths.v2_directory)
    os.chown(directory, 65534, 65534)
    script = (
        f"echo 0 > {directory}/cgroup.procs; exec setpriv --reuid 65534 --clear-groups sh -c "
        f"'mkdir {directory}/below; echo max > {directory}/pids.max || echo refused'"
    )
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False)
    assert done.stdout == "refused\n", done.stderr
    assert Path(directory, "pids.max").read_text() == "4\n"
    subject.kill(paths)
    subject.remove(paths)


@pytest.mark.key("services.mem_reservation", "services.cpu_period", "services.cpu_quota")
def test_reservation_period_and_quota_are_in_force_and_read_back() -> None:
    subject = driver.Driver(layout.detect(), "corral/0a1b")
    limits = Limits(memory_bytes=1 << 24, reservation_bytes=1 << 23, cpu_period_us=50_000, cpu_quota_us=20_000)
    paths = subject.create("project", "exact", limits)
    try:
        directory = Path(paths.v2_directory or "")
        assert (directory / "memory.low").read_text() == f"{1 << 23}\n"
        assert (directory / "cpu.max").read_text() == "20000 50000\n"
        assert subject.read(paths, limits) == limits
        subject.update(paths, Limits())
        assert (directory / "memory.low").read_text() == "0\n"
        assert (directory / "cpu.max").read_text() == "max 100000\n"
    finally:
        subject.remove(paths)


@pytest.mark.key("services.mem_swappiness", "services.oom_kill_disable")
@pytest.mark.parametrize("limits", [Limits(swappiness=7), Limits(oom_kill_disable=True)])
def test_what_only_v1_has_is_refused_by_name(limits: Limits) -> None:
    subject = driver.Driver(layout.detect(), "corral/0a1b")
    with pytest.raises(
        TerminalEngineError, match=r"cannot set (swappiness to 7|oom_kill_disable to 1): this kernel has no"
    ):
        subject.create("project", "old", limits)
    assert subject.missing(subject.paths("project", "old"))
