"""The v2 tree: one directory a cgroup, all controllers in it, handed down from parent to child.

A controller's files appear in a child once the parent's cgroup.subtree_control names it, so making a cgroup switches on
every level from the top. Processes live in leaves only: a cgroup that hands controllers down may hold none.
https://docs.kernel.org/admin-guide/cgroup-v2.html
"""

import contextlib
import errno
import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from engine.cgroups import setting, signals
from engine.cgroups.setting import Setting
from engine.errors import EngineError, TerminalEngineError
from engine.process import syscalls
from engine.types.parts import Limits

CONTROLLERS = frozenset({"cpu", "cpuset", "memory", "pids"})
"""Those whose limits we set; others are not switched on for our sake."""

TRIES = 5
CPUS = "cpuset.cpus"
PERIOD_US = 100_000  # the kernel's default; Docker's too
OOM_KEY = "oom_kill"


@dataclass(frozen=True, slots=True)
class Tree:
    """The v2 tree below `root`. `controllers`: those it can hand out, as `Layout.v2_controllers` tells."""

    root: str
    controllers: frozenset[str]

    def directory(self, path: str) -> str:
        return os.path.join(self.root, path)

    def create(self, path: str, more: frozenset[str] = frozenset()) -> str:
        """Make the cgroup, a leaf with the controllers in `CONTROLLERS` and `more`, and what is missing above it. Idempotent.
        Returns its directory."""
        for _ in range(TRIES):
            with contextlib.suppress(FileNotFoundError):
                return self._create(path, more)
        raise EngineError(f"cannot create cgroup {self.directory(path)}: somebody else removes it all the time")

    def _create(self, path: str, more: frozenset[str]) -> str:
        """Raises FileNotFoundError where what is above it has just gone: another corral took its own away, the last there was."""
        directory = self.root
        for name in path.split("/"):
            self._hand_down(directory, CONTROLLERS | more)
            directory = os.path.join(directory, name)
            try:
                os.mkdir(directory)
            except FileExistsError:
                pass
            except FileNotFoundError:
                raise
            except OSError as error:
                raise EngineError(f"cannot create cgroup {directory}: {error.strerror}") from error
        return directory

    def _hand_down(self, directory: str, controllers: frozenset[str]) -> None:
        wanted = controllers & self.controllers
        path = os.path.join(directory, "cgroup.subtree_control")
        try:
            missing = wanted - set(setting.read(path).split()) if wanted else set()
            if missing:
                setting.write(path, " ".join(f"+{controller}" for controller in sorted(missing)))
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENODEV):
                raise FileNotFoundError(errno.ENOENT, "it is gone", directory) from error
            hint = (
                ": processes live in it, which must move to a cgroup below it first"
                if error.errno == errno.EBUSY
                else ""
            )
            raise EngineError(
                f"cannot hand down {', '.join(sorted(wanted))} in {path}: {error.strerror}{hint}"
            ) from error

    def settings(self, limits: Limits) -> tuple[Setting, ...]:
        """What the files of a cgroup with these limits say; for the controllers that are here."""
        return tuple(each for each in _settings_of(limits) if each.controller in self.controllers)

    def refusal(self, directory: str, wanted: Setting) -> str:
        """Why a running cgroup must not be given this setting, "" if it may. The kernel would meet a memory limit below
        what is in use by killing, silently; a limit that live processes do not fit in is an error instead."""
        if wanted.file != "memory.max" or wanted.text == "max":
            return ""
        in_use = _unreclaimable(directory)
        return f"{in_use} bytes are in use" if in_use > int(wanted.text) else ""


def _settings_of(limits: Limits) -> Iterator[Setting]:
    quota = limits.cpu_quota_us or (round(limits.cpus * PERIOD_US) if limits.cpus else "max")
    yield Setting("memory_bytes", "memory", "memory.max", _pages(limits.memory_bytes), "max")
    asked = limits.memswap_bytes is not None
    yield Setting("memswap_bytes", "memory", "memory.swap.max", _swap(limits), "max", optional=not asked)
    low = str(setting.whole_pages(limits.reservation_bytes or 0))
    yield Setting("reservation_bytes", "memory", "memory.low", low, "0", optional=low == "0", rare=True)
    if limits.swappiness is not None:
        yield Setting("swappiness", "memory", "memory.swappiness", str(limits.swappiness), "")
    if limits.oom_kill_disable:
        yield Setting("oom_kill_disable", "memory", "memory.oom_control", "1", "0")
    period = limits.cpu_period_us or PERIOD_US
    yield Setting(setting.cpu_fields(limits)[1], "cpu", "cpu.max", f"{quota} {period}", f"max {PERIOD_US}")
    yield Setting("cpu_shares", "cpu", "cpu.weight", str(weight_of(limits.cpu_shares)), "100")
    yield Setting("cpuset", "cpuset", CPUS, setting.cpus_text(setting.cpus_of(limits.cpuset)), "")
    yield Setting("pids", "pids", "pids.max", str(limits.pids or "max"), "max")


def read(directory: str, wanted: Setting) -> str:
    """What the file says, in the form of the setting's text. Raises OSError."""
    text = canonical(wanted.file, setting.read(f"{directory}/{wanted.file}"))
    return "" if _asks_for_all(wanted) and text == _cpus_above(directory) else text


def put(directory: str, wanted: Setting) -> None:
    """As `setting.put`. The kernel takes no CPUs back where processes run on some: all that are above say the same."""
    try:
        has_some = _asks_for_all(wanted) and read(directory, wanted)
        wanted = replace(wanted, text=_cpus_above(directory)) if has_some else wanted
    except OSError as error:
        raise EngineError(f"cannot take back {wanted.field} of {directory}: {error.strerror}") from error
    setting.put(directory, wanted)


def _asks_for_all(wanted: Setting) -> bool:
    return wanted.file == CPUS and not wanted.text


def _cpus_above(directory: str) -> str:
    return canonical(CPUS, setting.read(os.path.join(os.path.dirname(directory), "cpuset.cpus.effective")))


def canonical(file: str, text: str) -> str:
    """The kernel's text in the one form that `settings` uses."""
    if file == CPUS:
        return setting.cpus_text(setting.cpus_of(text))
    return text


def limits_of(texts: Mapping[str, str]) -> Limits:
    """The limits that these files (mapping from file name to its canonical text) express."""
    memory = _number(texts.get("memory.max", "max"))
    swap = _number(texts.get("memory.swap.max", "max"))
    quota, _, period_text = texts.get("cpu.max", "max").partition(" ")
    period = int(period_text or PERIOD_US)
    return Limits(
        memory_bytes=memory,
        memswap_bytes=None if memory is None else -1 if swap is None else memory + swap,
        cpus=None if quota == "max" else int(quota) / period,
        cpu_shares=shares_of(int(texts.get("cpu.weight", "100"))),
        cpuset=texts.get("cpuset.cpus", ""),
        pids=_number(texts.get("pids.max", "max")),
        reservation_bytes=_number(texts.get("memory.low", "0")) or None,
        cpu_period_us=None if period == PERIOD_US else period,
        cpu_quota_us=_number(quota),
    )


def weight_of(shares: int | None) -> int:
    """cpu.weight for v1's cpu.shares: a curve through (2, 1), (1024, 100) and (262144, 10000), so that the default of
    one is the default of the other. opencontainers/cgroups, ConvertCPUSharesToCgroupV2Value"""
    if not shares:
        return 100
    if shares <= 2:
        return 1
    if shares >= 262_144:
        return 10_000
    log = math.log2(shares)
    return math.ceil(10 ** ((log * log + 125 * log) / 612 - 7 / 34))


def shares_of(weight: int) -> int | None:
    """The cpu.shares nearest to a cpu.weight; None for the default."""
    if weight == 100:
        return None
    log = (-125 + math.sqrt(125 * 125 + 4 * 612 * (math.log10(weight) + 7 / 34))) / 2
    return round(2**log)


def kill(directory: str) -> None:
    """End every process in the cgroup and below, also those that fork meanwhile. Does not wait for their end."""
    try:
        _use_kill_file(directory)
    except FileNotFoundError:
        if os.path.isdir(directory):  # a kernel before 5.14
            _kill_frozen(directory)
    except OSError as error:
        raise EngineError(f"cannot end the processes of cgroup {directory}: {error.strerror}") from error


def _use_kill_file(directory: str) -> None:
    path = os.path.join(directory, "cgroup.kill")
    if "cgroup-kill" in syscalls.missing:
        raise FileNotFoundError(2, "told to do without", path)
    setting.write(path, "1")


def _kill_frozen(directory: str) -> None:
    """Frozen processes cannot fork, and on v2 they die of SIGKILL at once."""
    freeze = os.path.join(directory, "cgroup.freeze")
    try:
        setting.write(freeze, "1")
        signals.wait_until(lambda: events_of(directory).get("frozen") == 1)
        signals.kill(lambda: pids(directory))
        setting.write(freeze, "0")
    except FileNotFoundError:
        pass  # the cgroup is gone, and so is what was in it
    except OSError as error:
        raise EngineError(f"cannot end the processes of cgroup {directory}: {error.strerror}") from error


def pids(directory: str) -> frozenset[int]:
    """All processes in the cgroup and below; empty where it is gone."""
    found: set[int] = set()
    for inner, _, _ in os.walk(directory):
        try:
            found.update(int(pid) for pid in setting.read(os.path.join(inner, "cgroup.procs")).split())
        except OSError:
            continue  # gone meanwhile, or a threaded cgroup, whose processes its parent lists
    return frozenset(found)


def events_of(directory: str) -> dict[str, int]:
    """What cgroup.events says: `populated`, `frozen`. Raises FileNotFoundError."""
    pairs = [line.split() for line in setting.read(os.path.join(directory, "cgroup.events")).splitlines()]
    return {key: int(value) for key, value in pairs}


def check_cpuset(root: str, cpuset: str) -> None:
    """Raise TerminalEngineError for CPUs that the tree does not have: the kernel would take them and use others."""
    path = os.path.join(root, "cpuset.cpus.effective")
    try:
        present = setting.read(path)
    except OSError as error:
        raise EngineError(f"cannot read {path}: {error.strerror}") from error
    if not setting.cpus_of(cpuset) <= setting.cpus_of(present):
        raise TerminalEngineError(f"cannot set cpuset to {cpuset}: the CPUs here are {present} ({path})")


def _pages(size_bytes: int | None) -> str:
    return str(setting.whole_pages(size_bytes)) if size_bytes else "max"


def _swap(limits: Limits) -> str:
    """v2 counts swap by itself, not on top of memory. Asked nothing: as much swap as memory."""
    if not limits.memory_bytes or limits.memswap_bytes == -1:
        return "max"
    both = limits.memswap_bytes or 2 * limits.memory_bytes
    return str(setting.whole_pages(both - limits.memory_bytes))


def _number(text: str) -> int | None:
    return None if text == "max" else int(text)


def _unreclaimable(directory: str) -> int:
    """Bytes in use that are not page cache (0 where nobody can tell)."""
    try:
        lines = setting.read(os.path.join(directory, "memory.stat")).splitlines()
        stat = {key: int(value) for key, value in (line.split() for line in lines)}
        current = int(setting.read(os.path.join(directory, "memory.current")))
    except OSError:
        return 0
    return current - sum(stat.get(key, 0) for key in ("active_file", "inactive_file", "slab_reclaimable"))
