"""The cgroup driver against the kernel it runs on, whatever that has: judged by what processes get, and by the files."""

import os
import secrets
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from engine.cgroups import driver, layout, real_time, v2, watch
from engine.cgroups.devices import DEFAULT, Rule
from engine.errors import EngineError, TerminalEngineError
from engine.types.parts import Limits
from tests import slowness

pytestmark = pytest.mark.root

MB = 1 << 20
DEADLINE_S = slowness.scaled(10.0)
ENTER = 'for f in $ENTER; do echo 0 > "$f" || exit 125; done; exec "$@"'


def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, "did not come true in time"
        time.sleep(0.005)


class Host:
    """The driver under test, and processes in its cgroups."""

    def __init__(self, found: layout.Layout) -> None:
        self.layout = found
        self.parent = f"corral-test-{secrets.token_hex(4)}/0a1b2c3d"
        self.driver = driver.Driver(found, self.parent)
        self.children: list[subprocess.Popen[str]] = []
        self.made: list[driver.Paths] = []

    def create(self, limits: Limits | None = None) -> driver.Paths:
        self.made.append(self.driver.create("project", secrets.token_hex(6), limits or Limits()))
        return self.made[-1]

    def spawn(self, paths: driver.Paths, *argv: str) -> subprocess.Popen[str]:
        files = [*paths.v1_tasks, *([f"{paths.v2_directory}/cgroup.procs"] if paths.v2_directory else [])]
        child = subprocess.Popen(
            ["/bin/sh", "-c", ENTER, "sh", *argv],
            env={"ENTER": " ".join(files), "PATH": os.environ["PATH"]},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.children.append(child)
        return child

    def python(self, paths: driver.Paths, code: str) -> subprocess.Popen[str]:
        return self.spawn(paths, sys.executable, "-I", "-S", "-c", code)

    def run(self, paths: driver.Paths, code: str) -> tuple[int, str]:
        child = self.python(paths, code)
        output, _ = child.communicate(timeout=DEADLINE_S)
        return child.returncode, output

    def sleeper(self, paths: driver.Paths) -> subprocess.Popen[str]:
        child = self.spawn(paths, "/bin/sh", "-c", "echo in; read forever")
        assert child.stdout is not None
        assert child.stdout.readline() == "in\n"
        return child

    def text(self, paths: driver.Paths, on_v1: str, on_v2: str) -> str:
        """What the kernel's own file says, on the version that has its controller here."""
        controller = on_v1.partition(".")[0]
        directory = self.layout.v1_of(controller)
        path = Path(directory, paths.path, on_v1) if directory else Path(str(paths.v2_directory), on_v2)
        return path.read_text().strip()

    def close(self) -> None:
        for pid in {pid for paths in self.made for pid in self.driver.pids(paths)}:
            os.kill(pid, signal.SIGKILL)
        for child in self.children:
            child.communicate()
        eventually(lambda: not any(self.driver.pids(paths) for paths in self.made))
        for top in {
            Path(root, self.parent).parent for root in (self.layout.v2, *dict(self.layout.v1).values()) if root
        }:
            for directory in sorted(top.rglob("*"), reverse=True):
                if directory.is_dir():
                    directory.rmdir()
            if top.is_dir():
                top.rmdir()


@pytest.fixture(scope="module")
def found() -> layout.Layout:
    return layout.detect()


@pytest.fixture
def host(found: layout.Layout) -> Iterator[Host]:
    host = Host(found)
    yield host
    host.close()


def require(found: layout.Layout, controller: str) -> None:
    if not found.has(controller):
        pytest.skip(f"this kernel has no {controller} controller")


# ------------------------------------------------------------------------------------------------------ limits in force

REAL_TIME = "import os; os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1)); print('real')"


def test_a_process_is_real_time_where_there_is_a_budget_and_what_is_not_used_is_given_back(
    host: Host, found: layout.Layout
) -> None:
    if why := real_time.refusal(found):
        pytest.skip(why)
    above = Path(found.v1_of("cpu"), host.parent)

    def budgets() -> list[int]:
        return [int((each / real_time.RUNTIME).read_text()) for each in (above.parent, above, above / "project")]

    none = host.create()
    assert "PermissionError" in host.run(none, REAL_TIME)[1]
    one, other = host.create(Limits(rt_runtime_us=300, rt_period_us=1000)), host.create(Limits(rt_runtime_us=100_000))
    assert host.run(one, REAL_TIME) == (0, "real\n")
    assert budgets() == [400_000] * 3
    fifth = Limits(rt_runtime_us=400_000, rt_period_us=2_000_000)
    host.driver.update(one, fifth)
    assert host.run(one, REAL_TIME) == (0, "real\n")
    assert budgets() == [300_000] * 3
    with pytest.raises(TerminalEngineError, match=r"needs 101.0% of a CPU for it, and .* has no more than 9"):
        host.driver.update(one, Limits(rt_runtime_us=910_000))
    assert host.driver.read(one, fifth) == fifth
    assert budgets() == [300_000] * 3
    assert host.driver.remove_empty(other)
    assert budgets() == [200_000] * 3
    host.driver.update(one, Limits())
    assert "PermissionError" in host.run(one, REAL_TIME)[1]
    assert budgets() == [0] * 3
    with pytest.raises(TerminalEngineError, match="hand out"):
        host.driver.create("project", "toomuch", Limits(rt_runtime_us=999_999))
    assert not (above / "project/toomuch").exists()


def test_what_runs_real_time_keeps_its_budget(host: Host, found: layout.Layout) -> None:
    if why := real_time.refusal(found):
        pytest.skip(why)
    limits = Limits(rt_runtime_us=100_000)
    paths = host.create(limits)
    child = host.python(paths, f"{REAL_TIME}; import sys; sys.stdout.flush(); sys.stdin.read()")
    assert child.stdout is not None
    assert child.stdout.readline() == "real\n"
    with pytest.raises(TerminalEngineError, match=r"cannot set rt_runtime_us to 0: .* busy"):
        host.driver.update(paths, Limits())
    assert host.driver.read(paths, limits) == limits


@pytest.mark.key("services.mem_limit", "services.memswap_limit")
def test_a_process_that_needs_more_memory_than_its_limit_is_killed_and_counted(host: Host) -> None:
    paths = host.create(Limits(memory_bytes=32 * MB, memswap_bytes=32 * MB))
    assert host.driver.oom_kills(paths) == 0
    code, _ = host.run(paths, f"print(len(bytearray({96 * MB})))")
    assert code == -signal.SIGKILL
    assert host.driver.oom_kills(paths) == 1


def test_memory_without_more_words_allows_as_much_swap_again(host: Host) -> None:
    paths = host.create(Limits(memory_bytes=64 * MB))
    try:
        both = host.text(paths, "memory.memsw.limit_in_bytes", "memory.swap.max")
    except FileNotFoundError:
        pytest.skip("this kernel does not count swap")
    assert int(both) == (128 * MB if host.layout.v1_of("memory") else 64 * MB)


@pytest.mark.key("services.pids_limit")
def test_no_more_processes_than_the_limit(host: Host) -> None:
    paths = host.create(Limits(pids=5))
    child = host.python(
        paths,
        "import os, time\nn = 1\ntry:\n  while n < 20:\n    if os.fork() == 0: time.sleep(60)\n    n += 1\n"
        "except BlockingIOError: print(n, flush=True)\n",
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "5\n"
    host.driver.kill(paths)


@pytest.mark.key("services.cpus")
def test_cpu_time_is_throttled(host: Host) -> None:
    paths = host.create(Limits(cpus=0.2))
    host.run(paths, "import time\nend = time.monotonic() + 0.7\nwhile time.monotonic() < end: pass")
    stat = dict(line.split() for line in host.text(paths, "cpu.stat", "cpu.stat").splitlines())
    assert int(stat["nr_throttled"]) >= 3
    assert host.text(paths, "cpu.cfs_quota_us", "cpu.max").split()[0] == "20000"


@pytest.mark.key("services.cpu_shares")
def test_cpu_shares_keep_their_default_on_both_scales(host: Host) -> None:
    on_v2 = "cpu" in host.layout.v2_controllers
    default, half = host.create(), host.create(Limits(cpu_shares=512))
    assert host.text(default, "cpu.shares", "cpu.weight") == ("100" if on_v2 else "1024")
    assert host.text(half, "cpu.shares", "cpu.weight") == ("59" if on_v2 else "512")


def test_processes_run_on_their_cpus_only(host: Host) -> None:
    require(host.layout, "cpuset")
    last = max(os.sched_getaffinity(0))
    paths = host.create(Limits(cpuset=str(last)))
    assert host.run(paths, "import os; print(os.sched_getaffinity(0))") == (0, f"{{{last}}}\n")


def test_without_limits_there_are_none(host: Host) -> None:
    paths = host.create()
    assert host.driver.read(paths, Limits()) == Limits()
    assert host.run(paths, "import os; print(len(os.sched_getaffinity(0)))") == (0, f"{len(os.sched_getaffinity(0))}\n")
    assert host.text(paths, "pids.max", "pids.max") == "max"


# -------------------------------------------------------------------------------------------------------------- devices


def test_devices_of_the_default_list_open_and_others_do_not(host: Host) -> None:
    paths = host.create()
    code, output = host.run(
        paths,
        "import os\n"
        "for path in ('/dev/null', '/dev/zero', '/dev/full', '/dev/random', '/dev/urandom', '/dev/kmsg'):\n"
        "  try: os.close(os.open(path, os.O_RDONLY)); print(path, 'open')\n"
        "  except PermissionError: print(path, 'denied')\n",
    )
    assert code == 0
    assert output.split("\n")[-2] == "/dev/kmsg denied"
    assert output.count("open") == 5


def test_any_device_may_be_made_but_not_opened(host: Host, tmp_path: Path) -> None:
    paths = host.create()
    code, output = host.run(
        paths,
        f"import os, stat\npath = {str(tmp_path / 'node')!r}\nos.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 11))\n"
        "try: os.open(path, os.O_RDONLY)\nexcept PermissionError: print('denied')\n",
    )
    assert (code, output) == (0, "denied\n")


@pytest.mark.key("services.device_cgroup_rules")
def test_devices_change_under_a_running_process(host: Host) -> None:
    paths = host.create()
    child = host.python(
        paths,
        "import os, sys\nfor line in sys.stdin:\n"
        "  try: os.close(os.open('/dev/kmsg', os.O_RDONLY)); print('open', flush=True)\n"
        "  except PermissionError: print('denied', flush=True)\n",
    )
    assert child.stdin is not None
    assert child.stdout is not None

    def answer() -> str:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write("try\n")
        child.stdin.flush()
        return child.stdout.readline().strip()

    assert answer() == "denied"
    host.driver.set_devices(paths, (*DEFAULT, Rule("c", 1, 11, "r")))
    assert answer() == "open"
    host.driver.set_devices(paths, DEFAULT)
    assert answer() == "denied"


# -------------------------------------------------------------------------------------------------- updates, reads, drift


def asked(found: layout.Layout) -> Limits:
    cpuset = "0-0" if found.has("cpuset") else ""
    return Limits(memory_bytes=64_000_001, cpus=0.333, cpu_shares=777, cpuset=cpuset, pids=51)


def test_what_was_asked_reads_back_as_it_was_asked(host: Host) -> None:
    limits = asked(host.layout)
    assert host.driver.read(host.create(limits), limits) == limits


def test_limits_change_live_in_every_order(host: Host) -> None:
    paths = host.create()
    host.sleeper(paths)
    steps = [
        Limits(memory_bytes=64 * MB, memswap_bytes=64 * MB),
        Limits(memory_bytes=512 * MB, memswap_bytes=600 * MB, pids=7),
        Limits(memory_bytes=32 * MB, memswap_bytes=40 * MB, cpus=1.5),
        Limits(memory_bytes=100 * MB, memswap_bytes=-1, cpu_shares=2),
        asked(host.layout),
        Limits(),
    ]
    for limits in steps:
        host.driver.update(paths, limits)
        assert host.driver.read(paths, limits) == limits
    assert host.text(paths, "pids.max", "pids.max") == "max"


def test_a_limit_below_what_is_in_use_is_refused_and_nothing_changes(host: Host) -> None:
    before = Limits(memory_bytes=256 * MB, memswap_bytes=256 * MB, pids=100)
    paths = host.create(before)
    child = host.python(paths, f"block = bytearray({64 * MB}); print('has', flush=True); input()")
    assert child.stdout is not None
    assert child.stdout.readline() == "has\n"
    with pytest.raises(
        TerminalEngineError, match=r"cannot set memory_bytes to 16777216: .*memory\.(max|limit_in_bytes)"
    ):
        host.driver.update(paths, Limits(memory_bytes=16 * MB, memswap_bytes=16 * MB, pids=50, cpus=0.5))
    assert child.poll() is None
    assert host.driver.read(paths, before) == before
    assert host.driver.oom_kills(paths) == 0


def test_a_limit_changed_by_hand_shows(host: Host) -> None:
    limits = replace(asked(host.layout), cpuset="")
    paths = host.create(limits)
    on_v1 = host.layout.v1_of("pids")
    Path(*([on_v1, paths.path] if on_v1 else [str(paths.v2_directory)]), "pids.max").write_text("9")
    on_v1 = host.layout.v1_of("cpu")
    if on_v1:
        Path(on_v1, paths.path, "cpu.cfs_quota_us").write_text("50000")
    else:
        Path(str(paths.v2_directory), "cpu.max").write_text("50000 100000")
    assert host.driver.read(paths, limits) == replace(limits, pids=9, cpus=0.5)
    host.driver.update(paths, limits)
    assert host.driver.read(paths, limits) == limits


# ----------------------------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        (Limits(memswap_bytes=MB), "cannot set memswap_bytes to 1048576: it needs a memory limit"),
        (Limits(memory_bytes=2 * MB, memswap_bytes=MB), "cannot set memswap_bytes to 1048576"),
        (Limits(cpus=0.001), "cannot set cpus to 0.001"),
        (Limits(cpu_shares=1), "cannot set cpu_shares to 1"),
        (Limits(cpuset="0-"), "cannot set cpuset to '?0-'?: "),
        (Limits(cpuset="4000"), r"cannot set cpuset to 4000: "),
    ],
)
def test_limits_that_cannot_be_are_refused_before_anything_is_made(host: Host, limits: Limits, message: str) -> None:
    with pytest.raises(TerminalEngineError, match=message):
        host.create(limits)
    for root in (host.layout.v2, *dict(host.layout.v1).values()):
        assert not root or not Path(root, host.parent).parent.exists()


def test_more_cpus_than_there_are_is_a_limit_that_holds(host: Host) -> None:
    limits = Limits(cpus=float(2 * (os.cpu_count() or 1)))
    assert host.driver.read(host.create(limits), limits) == limits


def test_a_limit_whose_controller_is_absent_is_refused(host: Host) -> None:
    without = replace(
        host.layout,
        v1=tuple(pair for pair in host.layout.v1 if pair[0] != "pids"),
        v2_controllers=host.layout.v2_controllers - {"pids"},
    )
    subject = driver.Driver(without, host.parent)
    with pytest.raises(
        TerminalEngineError, match="cannot set pids to 3: no cgroup hierarchy here has the controller pids"
    ):
        subject.create("project", "aaaa", Limits(pids=3))
    subject.remove(subject.create("project", "aaaa", Limits(memory_bytes=64 * MB)))


# -------------------------------------------------------------------------------------------------------- what it uses


def test_usage_is_that_of_the_cgroups_own_processes(host: Host) -> None:
    require(host.layout, "memory")
    paths, other = host.create(Limits(memory_bytes=64 * MB, pids=50)), host.create()
    busy = host.python(paths, f"x = bytearray({24 * MB})\nprint('in', flush=True)\nwhile True: pass")
    assert busy.stdout is not None
    assert busy.stdout.readline() == "in\n"
    host.sleeper(other)
    eventually(lambda: ticks(busy.pid) > 20)
    found, idle = host.driver.usage(paths), host.driver.usage(other)
    assert found.memory_bytes is not None
    assert 24 * MB < found.memory_bytes < 60 * MB
    assert (found.memory_limit_bytes, idle.memory_limit_bytes) == (64 * MB, None)
    assert (found.pids, idle.pids) == (1, 1)
    if host.layout.v2:
        assert found.cpu_s is not None
        assert abs(found.cpu_s - ticks(busy.pid) / os.sysconf("SC_CLK_TCK")) < 0.2
        assert idle.cpu_s is not None
        assert idle.cpu_s < found.cpu_s
        assert (found.cpu_pressure is not None) == Path("/proc/pressure/cpu").exists()


def ticks(pid: int) -> int:
    """The CPU time that a process has had."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


# ------------------------------------------------------------------------------------------------------ standing still


def stands_still(host: Host) -> None:
    """Freeze and thaw what runs as fast as it can; its CPU time tells."""
    paths = host.create()
    child = host.python(paths, "while True: pass")
    eventually(lambda: ticks(child.pid) > 5)
    assert not host.driver.is_told_to_freeze(paths)
    host.driver.freeze(paths, on=True)
    assert host.driver.is_told_to_freeze(paths)
    eventually(lambda: host.driver.is_frozen(paths))
    before, began = ticks(child.pid), time.monotonic()
    eventually(lambda: time.monotonic() - began > 0.3)
    assert ticks(child.pid) - before < 10, "some ticks may be counted late; running, it would have thirty"
    host.driver.freeze(paths, on=False)
    assert not host.driver.is_told_to_freeze(paths)
    eventually(lambda: ticks(child.pid) > before)
    host.driver.freeze(paths, on=True)
    host.driver.kill(paths)
    assert child.wait(DEADLINE_S) == -signal.SIGKILL, "what is frozen dies too"
    host.driver.remove(paths)
    host.driver.freeze(paths, on=False)
    with pytest.raises(EngineError, match="cannot freeze"):
        host.driver.freeze(paths, on=True)
    assert not host.driver.is_told_to_freeze(paths)
    assert not host.driver.is_frozen(paths)


def test_what_is_frozen_stands_still(host: Host) -> None:
    if not host.layout.v2:
        pytest.skip("no v2 tree")
    stands_still(host)


def test_what_is_frozen_stands_still_on_v1_alone(host: Host) -> None:
    if not host.layout.v1_of("freezer"):
        pytest.skip("no v1 freezer here")
    only = Host(replace(host.layout, v2="", v2_controllers=frozenset()))
    try:
        stands_still(only)
        assert only.driver.usage(only.create()).cpu_pressure is None
    finally:
        only.close()


def test_without_any_freezer_nothing_can_be_frozen(host: Host) -> None:
    v1 = tuple(each for each in host.layout.v1 if each[0] != "freezer")
    subject = driver.Driver(replace(host.layout, v2="", v2_controllers=frozenset(), v1=v1), host.parent)
    paths = subject.paths("project", "aaaa")
    assert not subject.is_told_to_freeze(paths)
    with pytest.raises(TerminalEngineError, match="neither a v2 cgroup tree nor a v1 freezer"):
        subject.freeze(paths, on=True)


# -------------------------------------------------------------------------------------------------------- end and removal

STORM = "import os\nprint('storming', flush=True)\nwhile True:\n  try: os.fork()\n  except BlockingIOError: pass\n"


def test_kill_ends_a_fork_storm(host: Host) -> None:
    paths = host.create(Limits(pids=60))
    child = host.python(paths, STORM)
    eventually(lambda: len(host.driver.pids(paths)) > 30)
    host.driver.kill(paths)
    child.communicate(timeout=DEADLINE_S)
    eventually(lambda: not host.driver.is_populated(paths))
    host.driver.remove(paths)


def test_kill_without_cgroup_kill(host: Host) -> None:
    if not host.layout.v2:
        pytest.skip("no v2 tree")
    paths = host.create()
    child = host.sleeper(paths)
    assert host.driver.pids(paths) == {child.pid}
    v2._kill_frozen(str(paths.v2_directory))
    assert child.wait(DEADLINE_S) == -signal.SIGKILL


def test_kill_on_v1_alone(host: Host) -> None:
    if not host.layout.v1_of("freezer"):
        pytest.skip("no v1 freezer here")
    only = Host(replace(host.layout, v2="", v2_controllers=frozenset()))
    try:
        paths = only.create(Limits(pids=60))
        assert paths.v2_directory is None
        only.python(paths, STORM)
        eventually(lambda: len(only.driver.pids(paths)) > 30)
        only.driver.kill(paths)
        for child in only.children:
            child.communicate(timeout=DEADLINE_S)
        eventually(lambda: not only.driver.is_populated(paths))
        only.driver.remove(paths)
    finally:
        only.close()


def test_killing_one_container_leaves_its_neighbour(host: Host) -> None:
    victim, neighbour = host.create(), host.create()
    dies, lives = host.sleeper(victim), host.sleeper(neighbour)
    host.driver.kill(victim)
    assert dies.wait(DEADLINE_S) == -signal.SIGKILL
    assert lives.poll() is None
    assert host.driver.is_populated(neighbour)


def test_remove_names_who_lives_there_and_works_afterwards(host: Host) -> None:
    paths = host.create()
    child = host.sleeper(paths)
    with pytest.raises(EngineError, match=f"processes live in it: {child.pid}"):
        host.driver.remove(paths)
    host.driver.kill(paths)
    child.wait(DEADLINE_S)
    host.driver.remove(paths)
    host.driver.remove(paths)
    host.driver.kill(paths)
    assert host.driver.missing(paths) == paths.directories
    for root in (host.layout.v2, *dict(host.layout.v1).values()):
        assert not root or not Path(root, host.parent).parent.exists()


def test_remove_takes_what_the_container_made_below_and_spares_neighbours(host: Host) -> None:
    paths, neighbour = host.create(), host.create()
    for directory in paths.directories:
        os.mkdir(os.path.join(directory, "of-its-own"))
    host.driver.remove(paths)
    assert host.driver.missing(paths) == paths.directories
    assert host.driver.missing(neighbour) == ()


def test_create_may_be_repeated(host: Host) -> None:
    paths = host.create(Limits(pids=9))
    name = os.path.basename(paths.path)
    child = host.sleeper(paths)
    assert host.driver.create("project", name, Limits(pids=9)) == paths == host.driver.paths("project", name)
    assert child.poll() is None


def test_the_end_of_the_last_process_wakes(host: Host) -> None:
    if not host.layout.v2:
        pytest.skip("no v2 tree")
    paths = host.create()
    watching = watch.Watch()
    try:
        watching.add("one", str(paths.v2_directory))
        assert not select.select([watching.fileno()], [], [], 0)[0]
        child = host.sleeper(paths)
        assert select.select([watching.fileno()], [], [], DEADLINE_S)[0]
        assert watching.changed() == {"one": True}
        assert not select.select([watching.fileno()], [], [], 0)[0]
        child.kill()
        assert select.select([watching.fileno()], [], [], DEADLINE_S)[0]
        assert watching.changed() == {"one": False}
        child.wait()
        host.driver.remove(paths)
        watching.discard("one")
        watching.discard("one")
    finally:
        watching.close()
