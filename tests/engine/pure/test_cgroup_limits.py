"""Limits as the files of both versions express them, on trees of plain files."""

import math
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.cgroups import driver, setting, v1, v2
from engine.cgroups.layout import Layout
from engine.errors import EngineError, TerminalEngineError
from engine.types.parts import Limits

V2_FILES = {
    "memory.max": "max",
    "memory.swap.max": "max",
    "memory.stat": "active_file 4096\ninactive_file 8192",
    "memory.current": "1048576",
    "memory.events": "low 0\noom 3\noom_kill 2",
    "cpu.max": "max 100000",
    "cpu.weight": "100",
    "pids.max": "max",
    "cgroup.procs": "",
    "cgroup.subtree_control": "",
}
V1_FILES = {
    "memory": {
        "memory.limit_in_bytes": "9223372036854771712",
        "memory.memsw.limit_in_bytes": "9223372036854771712",
        "memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 4",
    },
    "cpu": {"cpu.cfs_period_us": "100000", "cpu.cfs_quota_us": "-1", "cpu.shares": "1024"},
    "cpuset": {"cpuset.cpus": "", "cpuset.mems": ""},
    "pids": {"pids.max": "max"},
    "devices": {"devices.deny": "", "devices.allow": "", "devices.list": "a *:* rwm"},
}
PATH = "corral/0a1b/project/c1"


def fill(directory: Path, files: dict[str, str]) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (directory / name).write_text(text + "\n")


def on_v2(root: Path) -> driver.Driver:
    for directory in (root, root / "corral", root / "corral/0a1b", root / "corral/0a1b/project", root / PATH):
        fill(directory, V2_FILES)
    subject = driver.Driver(Layout(str(root), frozenset({"memory", "cpu", "pids", "io"})), "corral/0a1b")
    subject.set_devices = lambda paths, rules: None  # type: ignore[method-assign]
    return subject


def on_v1(root: Path) -> driver.Driver:
    for controller, files in V1_FILES.items():
        for directory in (".", "corral", "corral/0a1b", "corral/0a1b/project", PATH):
            fill(root / controller / directory, {**files, "tasks": "", "cgroup.procs": ""})
    for name, text in (("cpuset.cpus", "0-3"), ("cpuset.mems", "0")):
        (root / "cpuset" / name).write_text(text + "\n")
    return driver.Driver(Layout(v1=tuple((name, str(root / name)) for name in V1_FILES)), "corral/0a1b")


def read(path: Path) -> str:
    return path.read_text().strip()


def test_v2_files(tmp_path: Path) -> None:
    subject = on_v2(tmp_path)
    limits = Limits(memory_bytes=10_000_000, memswap_bytes=15_000_000, cpus=1.5, cpu_shares=2048, pids=9)
    paths = subject.create("project", "c1", limits)
    directory = tmp_path / PATH
    assert paths.v2_directory == str(directory)
    assert paths.v1_tasks == ()
    assert {
        name: read(directory / name) for name in ("memory.max", "memory.swap.max", "cpu.max", "cpu.weight", "pids.max")
    } == {
        "memory.max": "9998336",  # whole pages
        "memory.swap.max": "4997120",
        "cpu.max": "150000 100000",
        "cpu.weight": "174",
        "pids.max": "9",
    }
    assert read(tmp_path / "cgroup.subtree_control") == "+cpu +memory +pids"
    assert read(tmp_path / "corral/0a1b/project/cgroup.subtree_control") == "+cpu +memory +pids"
    assert read(directory / "cgroup.subtree_control") == "", "a leaf hands nothing down"
    assert subject.read(paths, limits) == limits
    assert subject.oom_kills(paths) == 2


def test_v1_files(tmp_path: Path) -> None:
    subject = on_v1(tmp_path)
    limits = Limits(memory_bytes=10_000_000, cpus=0.25, cpu_shares=512, pids=9)
    paths = subject.create("project", "c1", limits)
    assert paths.v2_directory is None
    assert paths.v1_tasks == tuple(str(tmp_path / name / PATH / "tasks") for name in V1_FILES)
    memory = tmp_path / "memory" / PATH
    assert read(memory / "memory.limit_in_bytes") == "9998336"
    assert read(memory / "memory.memsw.limit_in_bytes") == "19996672"
    assert read(tmp_path / "cpu" / PATH / "cpu.cfs_quota_us") == "25000"
    assert read(tmp_path / "cpu" / PATH / "cpu.shares") == "512"
    for directory in ("corral", "corral/0a1b", "corral/0a1b/project", PATH):
        assert read(tmp_path / "cpuset" / directory / "cpuset.cpus") == "0-3", directory
        assert read(tmp_path / "cpuset" / directory / "cpuset.mems") == "0", directory
    assert subject.read(paths, limits) == limits
    assert subject.oom_kills(paths) == 4


EXACT = Limits(memory_bytes=1 << 24, reservation_bytes=1 << 23, cpu_period_us=50_000, cpu_quota_us=20_000)


def test_reservation_period_and_quota_on_both(tmp_path: Path) -> None:
    second = on_v2(tmp_path / "two")
    (tmp_path / "two" / PATH / "memory.low").write_text("0\n")
    paths = second.create("project", "c1", EXACT)
    assert read(tmp_path / "two" / PATH / "memory.low") == str(1 << 23)
    assert read(tmp_path / "two" / PATH / "cpu.max") == "20000 50000"
    assert second.read(paths, EXACT) == EXACT
    first = on_v1(tmp_path / "one")
    memory, cpu = tmp_path / "one/memory" / PATH, tmp_path / "one/cpu" / PATH
    (memory / "memory.soft_limit_in_bytes").write_text("9223372036854771712\n")
    paths = first.create("project", "c1", EXACT)
    assert read(memory / "memory.soft_limit_in_bytes") == str(1 << 23)
    assert [read(cpu / f"cpu.cfs_{name}_us") for name in ("period", "quota")] == ["50000", "20000"]
    assert first.read(paths, EXACT) == EXACT
    (cpu / "cpu.cfs_quota_us").write_text("30000\n")
    assert first.read(paths, EXACT).cpu_quota_us == 30_000
    first.update(paths, Limits())
    assert read(memory / "memory.soft_limit_in_bytes") == "-1"
    assert [read(cpu / f"cpu.cfs_{name}_us") for name in ("period", "quota")] == ["100000", "-1"]


def test_what_only_v1_knows(tmp_path: Path) -> None:
    limits = Limits(swappiness=0, oom_kill_disable=True)
    first = on_v1(tmp_path / "one")
    for folder in (PATH, "corral/0a1b/project"):
        (tmp_path / "one/memory" / folder / "memory.swappiness").write_text("60\n")
    paths = first.create("project", "c1", limits)
    memory = tmp_path / "one/memory" / PATH
    assert (read(memory / "memory.swappiness"), read(memory / "memory.oom_control")) == ("0", "1")
    (memory / "memory.oom_control").write_text("oom_kill_disable 1\nunder_oom 0\noom_kill 4\n")
    assert first.read(paths, limits) == limits
    first.update(paths, Limits())
    assert (read(memory / "memory.swappiness"), read(memory / "memory.oom_control")) == ("60", "0")
    for each in (Limits(swappiness=0), Limits(oom_kill_disable=True)):
        with pytest.raises(TerminalEngineError, match="this kernel has no"):
            on_v2(tmp_path / "two").create("project", "c1", each)


REAL_TIME = {"cpu.rt_runtime_us": "0", "cpu.rt_period_us": "1000000"}


def with_real_time(root: Path, *more: str) -> driver.Driver:
    found = on_v1(root)
    for folder in (".", "corral", "corral/0a1b", "corral/0a1b/project", PATH, *more):
        fill(root / "cpu" / folder, REAL_TIME)
    return found


def budgets(root: Path, *names: str) -> list[tuple[str, str]]:
    found = []
    folder = root / "cpu"
    for name in names:
        folder /= name
        found.append((read(folder / "cpu.rt_runtime_us"), read(folder / "cpu.rt_period_us")))
    return found


def test_real_time_has_room_all_along_the_way_down_and_gives_it_back(tmp_path: Path) -> None:
    way = ("corral", "0a1b", "project", "c1")
    subject = with_real_time(tmp_path, "corral/0a1b/project/other", "corral/0a1b/q", "corral/0a1b/project/c1/inner")
    for folder, runtime in (("project/other", "100000"), ("project", "100000"), ("q", "50000"), (".", "150000")):
        (tmp_path / "cpu/corral/0a1b" / folder / "cpu.rt_runtime_us").write_text(runtime)
    limits = Limits(rt_runtime_us=200, rt_period_us=1000)
    paths = subject.create("project", "c1", limits)
    second = "1000000"
    assert budgets(tmp_path, *way) == [("350000", second), ("350000", second), ("300000", second), ("200", "1000")]
    assert subject.read(paths, limits) == limits
    (tmp_path / "cpu" / PATH / "cpu.rt_runtime_us").write_text("300\n")
    assert subject.read(paths, limits).rt_runtime_us == 300, "a hand in the kernel is seen"
    subject.update(paths, Limits(rt_runtime_us=10_000))
    assert budgets(tmp_path, *way) == [("160000", second), ("160000", second), ("110000", second), ("10000", second)]
    subject.update(paths, Limits())
    assert budgets(tmp_path, *way)[2:] == [("100000", second), ("0", second)]


def test_what_a_named_parent_was_given_stays(tmp_path: Path) -> None:
    named = "corral/0a1b/_parents/a"
    subject = with_real_time(tmp_path, "corral/0a1b/_parents", named, f"{named}/c1")
    for folder in (named, "corral/0a1b/_parents", "corral/0a1b", "corral"):
        (tmp_path / "cpu" / folder / "cpu.rt_runtime_us").write_text("500000")
    for controller in V1_FILES:
        for folder in ("corral/0a1b/_parents", named, f"{named}/c1"):
            fill(tmp_path / controller / folder, {**V1_FILES[controller], "tasks": "", "cgroup.procs": ""})
    paths = subject.create("_parents/a", "c1", Limits(rt_runtime_us=200_000))
    subject.update(paths, Limits(rt_runtime_us=100_000))
    found = budgets(tmp_path, "corral", "0a1b", "_parents", "a", "c1")
    assert [runtime for runtime, _ in found] == ["500000", "500000", "500000", "500000", "100000"]


def test_which_of_both_comes_first(tmp_path: Path) -> None:
    with_real_time(tmp_path)
    forest = v1.Forest((("cpu", str(tmp_path / "cpu")),))

    def order(limits: Limits) -> list[str]:
        return [each.file for each in forest.settings(PATH, limits) if "rt_" in each.file]

    assert order(Limits(rt_runtime_us=10, rt_period_us=999_999)) == ["cpu.rt_runtime_us", "cpu.rt_period_us"]
    assert order(Limits(rt_runtime_us=10, rt_period_us=2_000_000)) == ["cpu.rt_period_us", "cpu.rt_runtime_us"]
    assert [each.file for each in forest.settings(PATH, Limits(), rare=False) if "rt_" in each.file] == []


@pytest.mark.parametrize(
    ("made", "why"), [(on_v2, "only cgroup v1 has budgets"), (on_v1, "this kernel has no budgets.*RT_GROUP_SCHED")]
)
def test_real_time_where_there_is_none(tmp_path: Path, made: Callable[[Path], driver.Driver], why: str) -> None:
    with pytest.raises(TerminalEngineError, match=f"cannot set rt_runtime_us to 5: {why}"):
        made(tmp_path).check(Limits(rt_runtime_us=5))


def test_v1_raises_memory_and_swap_before_memory_and_lowers_it_after(tmp_path: Path) -> None:
    on_v1(tmp_path)
    forest = v1.Forest(tuple((name, str(tmp_path / name)) for name in V1_FILES))
    both = tmp_path / "memory" / PATH / "memory.memsw.limit_in_bytes"

    def order(now: int, memory: int | None, swap: int | None) -> list[str]:
        both.write_text(f"{now}\n")
        settings = forest.settings(PATH, Limits(memory_bytes=memory, memswap_bytes=swap))
        return [each.file.split(".")[1] for each in settings if each.controller == "memory" and not each.rare]

    assert order(100 << 20, 200 << 20, 300 << 20) == ["memsw", "limit_in_bytes"]
    assert order(100 << 20, 50 << 20, 60 << 20) == ["limit_in_bytes", "memsw"]
    assert order(100 << 20, None, None) == ["memsw", "limit_in_bytes"]
    assert order(2**63 - 4096, 50 << 20, 60 << 20) == ["limit_in_bytes", "memsw"]


def test_v2_refuses_what_runs_does_not_fit_in_and_restores_what_it_had_written(tmp_path: Path) -> None:
    subject = on_v2(tmp_path)
    paths = subject.create("project", "c1", Limits())
    directory = tmp_path / PATH
    with pytest.raises(
        TerminalEngineError, match=r"cannot set memory_bytes to 1032192: 1036288 bytes are in use \(.*memory.max\)"
    ):
        subject.update(paths, Limits(memory_bytes=1_036_287))
    subject.update(paths, Limits(memory_bytes=1_040_384))
    (directory / "pids.max").unlink()
    with pytest.raises(TerminalEngineError, match=r"cannot set pids to 5: this kernel has no .*pids.max"):
        subject.update(paths, Limits(memory_bytes=2 << 20, cpus=2.0, pids=5))
    assert read(directory / "memory.max") == "1040384"
    assert read(directory / "cpu.max") == "max 100000"


def test_a_kernel_that_does_not_count_swap(tmp_path: Path) -> None:
    subject = on_v2(tmp_path)
    (tmp_path / PATH / "memory.swap.max").unlink()
    limits = Limits(memory_bytes=64 << 20)
    paths = subject.create("project", "c1", limits)
    assert subject.read(paths, limits) == limits
    with pytest.raises(TerminalEngineError, match="cannot set memswap_bytes to 33554432: this kernel has no"):
        subject.update(paths, Limits(memory_bytes=64 << 20, memswap_bytes=96 << 20))


def test_names_stay_inside_the_tree(tmp_path: Path) -> None:
    subject = on_v2(tmp_path)
    for name in ("..", "a/b", "", ".hidden", "a\n"):
        with pytest.raises(EngineError, match="cannot name a cgroup"):
            subject.paths("project", name)


def test_a_cgroup_that_is_gone_is_said_to_be(tmp_path: Path) -> None:
    subject = on_v2(tmp_path)
    with pytest.raises(EngineError, match=r"cannot read memory_bytes: cgroup .*/c2 is gone"):
        subject.read(subject.paths("project", "c2"), Limits())


LIMITS = st.builds(
    Limits,
    memory_bytes=st.none() | st.integers(4096, 1 << 45),
    cpus=st.none() | st.floats(0.01, 512),
    cpu_shares=st.none() | st.integers(2, 262_144),
    pids=st.none() | st.integers(1, 1 << 22),
)


@given(first=LIMITS, second=LIMITS, swap=st.integers(0, 1 << 44) | st.just(-1) | st.none())
@pytest.mark.parametrize("version", [on_v1, on_v2])
def test_whatever_was_asked_last_reads_back(
    tmp_path_factory: pytest.TempPathFactory,
    version: object,
    first: Limits,
    second: Limits,
    swap: int | None,
) -> None:
    subject = (on_v2 if version is on_v2 else on_v1)(tmp_path_factory.mktemp("tree"))
    if second.memory_bytes and swap is not None:
        both = -1 if swap == -1 else second.memory_bytes + swap
        second = Limits(second.memory_bytes, both, second.cpus, second.cpu_shares, "", second.pids)
    paths = subject.create("project", "c1", first)
    assert subject.read(paths, first) == first
    current = Path(paths.directories[0], "memory.current")
    current.write_text("0\n")
    subject.update(paths, second)
    assert subject.read(paths, second) == second


@given(st.integers(2, 262_144))
def test_shares_become_weights_in_order_and_in_range(shares: int) -> None:
    weight = v2.weight_of(shares)
    assert 1 <= weight <= 10_000
    assert v2.weight_of(min(shares + 1, 262_144)) >= weight


def test_the_curve_goes_through_its_three_points() -> None:
    assert [v2.weight_of(shares) for shares in (None, 2, 1024, 262_144)] == [100, 1, 100, 10_000]
    assert v2.shares_of(100) is None
    for weight in (1, 10, 59, 500, 10_000):
        shares = v2.shares_of(weight)
        assert shares is not None
        assert math.isclose(v2.weight_of(shares), weight, abs_tol=1 + weight * 0.01)


@given(st.frozensets(st.integers(0, 300)))
def test_lists_of_cpus(cpus: frozenset[int]) -> None:
    assert setting.cpus_of(setting.cpus_text(cpus)) == cpus
    assert setting.cpus_text(frozenset({0, 1, 2, 5, 7, 8})) == "0-2,5,7-8"


def test_an_empty_text_is_written_too(tmp_path: Path) -> None:
    """The kernel hears nothing of a write of no bytes, and a cpuset is taken back by an empty text."""
    file = tmp_path / "cpuset.cpus"
    file.write_text("1\n")
    setting.write(str(file), "")
    assert file.read_text() == "\n"


def test_a_cpuset_is_taken_back_by_giving_all_that_is_above(tmp_path: Path) -> None:
    """The kernel refuses an empty set where processes run (ENOSPC)."""
    (tmp_path / "a").mkdir()
    (tmp_path / "cpuset.cpus.effective").write_text("0-3\n")
    file = tmp_path / "a" / "cpuset.cpus"
    file.write_text("1\n")
    wanted = setting.Setting("cpuset", "cpuset", "cpuset.cpus", "", "")
    v2.put(str(tmp_path / "a"), wanted)
    assert file.read_text() == "0-3"
    assert v2.read(str(tmp_path / "a"), wanted) == ""
    asked = setting.Setting("cpuset", "cpuset", "cpuset.cpus", "0-3", "")
    assert v2.read(str(tmp_path / "a"), asked) == "0-3"
    with pytest.raises(EngineError, match="cannot take back cpuset"):
        v2.put(str(tmp_path / "b"), wanted)
