"""The v1 hierarchies: one tree a controller, with a cgroup of the same name in each.

What differs from v2, and is kept in this one file so that it can go: memory and swap are limited together and the lower
of both limits must be written first; cpuset starts empty and must be filled from above before a process may enter; a
process joins by writing 0 to each `tasks` file (the one way in that does not wait for the whole machine); and nothing
ends a group at once, so it is frozen, signalled and thawed.
https://docs.kernel.org/admin-guide/cgroup-v1/index.html
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from engine.cgroups import real_time, setting, signals
from engine.cgroups.setting import Setting
from engine.errors import EngineError, TerminalEngineError
from engine.types.parts import Limits

TRIES = 5
PERIOD_US = 100_000
OOM_KEY = "oom_kill"
UNLIMITED_BYTES = 2**63 - 2**16  # the kernel says PAGE_COUNTER_MAX in bytes: 2**63 less a page, of whatever size
_MEMORY = "memory.limit_in_bytes"
_BOTH = "memory.memsw.limit_in_bytes"
_SOFT, _SWAPPINESS, _OOM = "memory.soft_limit_in_bytes", "memory.swappiness", "memory.oom_control"


@dataclass(frozen=True, slots=True)
class Forest:
    """`roots`: (controller, directory of its hierarchy) pairs."""

    roots: tuple[tuple[str, str], ...]

    @property
    def controllers(self) -> frozenset[str]:
        return frozenset(controller for controller, _ in self.roots)

    def directories(self, path: str) -> dict[str, str]:
        """The cgroup's directory by controller."""
        return {controller: os.path.join(root, path) for controller, root in self.roots}

    def create(self, path: str) -> None:
        """Make the cgroup in every hierarchy, ready to be entered. Idempotent."""
        for controller, directory in self.directories(path).items():
            try:
                _make(directory, fill=controller == "cpuset")
            except OSError as error:
                raise EngineError(f"cannot create cgroup {directory}: {error.strerror}") from error

    def settings(self, path: str, limits: Limits, *, rare: bool = True) -> tuple[Setting, ...]:
        """What the files of the cgroup with these limits say, in the order in which they can be written now. `rare` False: to be
        read only, so in any order, and but for rare ones whose default would have to be looked up."""
        directories = self.directories(path)
        found = [each for each in _settings_of(limits) if each.controller in directories]
        if "cpuset" in directories and not limits.cpuset:
            above = _first_text(os.path.dirname(directories["cpuset"]), "cpuset.cpus")
            found.append(Setting("cpuset", "cpuset", "cpuset.cpus", above, above))
        is_asked = limits.swappiness is not None
        if "memory" in directories and (rare or is_asked):
            above = _first_text(os.path.dirname(directories["memory"]), _SWAPPINESS)
            text = str(limits.swappiness) if is_asked else above
            found.append(Setting("swappiness", "memory", _SWAPPINESS, text, above, optional=not is_asked, rare=True))
        if "memory" in directories and rare and _must_raise_both_first(directories["memory"], limits):
            found.sort(key=lambda each: each.file != _BOTH)
        if "cpu" in directories and (rare or real_time.is_asked(limits)):
            found += _real_time(directories["cpu"], limits)
        return tuple(found)

    def set_devices(self, path: str, lines: tuple[str, ...]) -> None:
        """Let the cgroup use these devices and no others; "c 1:3 rwm" is one line. What it may use before and after, it may use
        all the while."""
        directory = self.directories(path)["devices"]
        try:
            have = _accesses(setting.read(os.path.join(directory, "devices.list")).splitlines())
            if any(which.startswith("a ") for which in have):  # a new cgroup: everything
                setting.write(os.path.join(directory, "devices.deny"), "a")
                have = {}
            wanted = _accesses(lines)
            setting.write_each(os.path.join(directory, "devices.allow"), _beyond(wanted, have))
            setting.write_each(os.path.join(directory, "devices.deny"), _beyond(have, wanted))
        except OSError as error:
            raise EngineError(f"cannot set the devices of {directory}: {error.strerror}") from error

    def check_cpuset(self, cpuset: str) -> None:
        """Raise TerminalEngineError for CPUs that the hierarchy does not have."""
        path = os.path.join(dict(self.roots)["cpuset"], "cpuset.cpus")
        try:
            present = setting.read(path)
        except OSError as error:
            raise EngineError(f"cannot read {path}: {error.strerror}") from error
        if not setting.cpus_of(cpuset) <= setting.cpus_of(present):
            raise TerminalEngineError(f"cannot set cpuset to {cpuset}: the CPUs here are {present} ({path})")

    def kill(self, path: str, spare: frozenset[int] = frozenset()) -> None:
        """End every process of the cgroup but `spare`, also those that fork meanwhile. Does not wait for their end."""
        freezer = self.directories(path).get("freezer", "")
        state = os.path.join(freezer, "freezer.state")
        for _ in range(10):  # a fork storm can outrun the freezer
            is_frozen = bool(freezer) and _freeze(state)
            signals.kill(lambda: self.pids(path), spare)
            if freezer:
                _thaw(state)
            if is_frozen or not self.pids(path) - spare:
                return

    def pids(self, path: str) -> frozenset[int]:
        """All processes of the cgroup and below it, in any hierarchy."""
        found: set[int] = set()
        for directory in set(self.directories(path).values()):
            for inner, _, _ in os.walk(directory):
                try:
                    found.update(int(pid) for pid in setting.read(os.path.join(inner, "cgroup.procs")).split())
                except OSError:
                    continue  # gone meanwhile
        return frozenset(found)


def _settings_of(limits: Limits) -> Iterator[Setting]:
    quota = limits.cpu_quota_us or (round(limits.cpus * PERIOD_US) if limits.cpus else -1)
    yield Setting("memory_bytes", "memory", _MEMORY, _pages(limits.memory_bytes), "-1")
    asked = limits.memswap_bytes is not None
    yield Setting("memswap_bytes", "memory", _BOTH, _pages(_both(limits)), "-1", optional=not asked)
    soft, lives = limits.reservation_bytes, not limits.oom_kill_disable
    yield Setting("reservation_bytes", "memory", _SOFT, _pages(soft), "-1", optional=not soft, rare=True)
    yield Setting("oom_kill_disable", "memory", _OOM, "0" if lives else "1", "0", optional=lives, rare=True)
    period_field, quota_field = setting.cpu_fields(limits)
    period = str(limits.cpu_period_us or PERIOD_US)
    yield Setting(period_field, "cpu", "cpu.cfs_period_us", period, str(PERIOD_US))
    yield Setting(quota_field, "cpu", "cpu.cfs_quota_us", str(quota), "-1")
    yield Setting("cpu_shares", "cpu", "cpu.shares", str(limits.cpu_shares or 1024), "1024")
    if limits.cpuset:
        yield Setting("cpuset", "cpuset", "cpuset.cpus", setting.cpus_text(setting.cpus_of(limits.cpuset)), "")
    yield Setting("pids", "pids", "pids.max", str(limits.pids or "max"), "max")


def _real_time(directory: str, limits: Limits) -> tuple[Setting, ...]:
    """Both or none are asked for: a runtime means nothing without its period."""
    runtime, period = str(limits.rt_runtime_us or 0), str(limits.rt_period_us or real_time.PERIOD_US)
    is_optional = not real_time.is_asked(limits)
    usual = period if is_optional else ""
    pair = (
        Setting("rt_period_us", "cpu", real_time.PERIOD, period, usual, is_optional, rare=True),
        Setting("rt_runtime_us", "cpu", real_time.RUNTIME, runtime, "0", is_optional, rare=True),
    )
    return pair[::-1] if real_time.is_runtime_first(directory, limits) else pair


def _accesses(lines: Iterable[str]) -> dict[str, set[str]]:
    """Mapping from "c 1:3" to what may be done with it."""
    found: dict[str, set[str]] = {}
    for line in lines:
        which, _, access = line.rpartition(" ")
        found.setdefault(which, set()).update(access)
    return found


def _beyond(ours: Mapping[str, set[str]], others: Mapping[str, set[str]]) -> list[str]:
    """What may be done by ours and not by the others, as lines."""
    more = {which: "".join(sorted(access - others.get(which, set()))) for which, access in ours.items()}
    return [f"{which} {access}" for which, access in more.items() if access]


def canonical(file: str, text: str) -> str:
    """The kernel's text in the one form that `settings` uses."""
    if file == "cpuset.cpus":
        return setting.cpus_text(setting.cpus_of(text))
    if file == _OOM:
        return text.split()[1]
    if file in (_MEMORY, _BOTH, _SOFT):
        return "-1" if int(text) >= UNLIMITED_BYTES else text
    return text


def limits_of(texts: Mapping[str, str]) -> Limits:
    """The limits that these files (mapping from file name to its canonical text) express."""
    memory = int(texts.get(_MEMORY, "-1"))
    both = int(texts.get(_BOTH, "-1"))
    quota = int(texts.get("cpu.cfs_quota_us", "-1"))
    shares = int(texts.get("cpu.shares", "1024"))
    period = int(texts.get("cpu.cfs_period_us", PERIOD_US))
    soft, swappiness = int(texts.get(_SOFT, "-1")), texts.get(_SWAPPINESS)
    pids = texts.get("pids.max", "max")
    real, real_period = int(texts.get(real_time.RUNTIME, "0")), int(texts.get(real_time.PERIOD, real_time.PERIOD_US))
    return Limits(
        memory_bytes=None if memory == -1 else memory,
        memswap_bytes=None if memory == -1 and both == -1 else both,
        cpus=None if quota < 0 else quota / period,
        cpu_shares=None if shares == 1024 else shares,
        cpuset=texts.get("cpuset.cpus", ""),
        pids=None if pids == "max" else int(pids),
        reservation_bytes=None if soft == -1 else soft,
        swappiness=None if swappiness is None else int(swappiness),
        oom_kill_disable=texts.get(_OOM, "0") == "1",
        cpu_period_us=None if period == PERIOD_US else period,
        cpu_quota_us=None if quota < 0 else quota,
        rt_runtime_us=real or None,
        rt_period_us=None if real_period == real_time.PERIOD_US else real_period,
    )


def _both(limits: Limits) -> int | None:
    """Memory and swap together. Asked nothing: as much swap as memory. None: unlimited."""
    if not limits.memory_bytes or limits.memswap_bytes == -1:
        return None
    return limits.memswap_bytes or 2 * limits.memory_bytes


def _pages(size_bytes: int | None) -> str:
    return str(setting.whole_pages(size_bytes)) if size_bytes else "-1"


def _must_raise_both_first(directory: str, limits: Limits) -> bool:
    """Memory may never exceed memory and swap together, not even between two writes."""
    try:
        now = int(canonical(_BOTH, setting.read(os.path.join(directory, _BOTH))))
    except FileNotFoundError:
        return False
    return now != -1 and (not limits.memory_bytes or limits.memory_bytes > now)


def _make(directory: str, *, fill: bool) -> None:
    """Make the cgroup, and what is missing above it. Another corral may take that away, as it does with its own last one."""
    for tries_left in reversed(range(TRIES)):
        try:
            os.makedirs(directory, exist_ok=True)
            break
        except FileNotFoundError:
            if not tries_left:
                raise
    if fill:
        _fill(directory)


def _fill(directory: str) -> None:
    """Give an empty cpuset what is above it, from the first one on that is not empty: the kernel lets no process into an
    empty one."""
    above = os.path.dirname(directory)
    for file in ("cpuset.cpus", "cpuset.mems"):
        path = os.path.join(directory, file)
        if not setting.read(path):
            if not setting.read(os.path.join(above, file)):
                _fill(above)
            setting.write(path, setting.read(os.path.join(above, file)))


def _first_text(directory: str, file: str) -> str:
    """The file's canonical text in the nearest directory from this one upwards that has it filled."""
    while True:
        try:
            text = setting.read(os.path.join(directory, file))
        except FileNotFoundError:
            text = ""
        parent = os.path.dirname(directory)
        if text or parent == directory:
            return canonical(file, text)
        directory = parent


def _freeze(state: str) -> bool:
    try:
        setting.write(state, "FROZEN")
        return signals.wait_until(lambda: setting.read(state) == "FROZEN")
    except OSError:
        return False  # the cgroup is gone


def _thaw(state: str) -> None:
    """Frozen processes die of their SIGKILL only once they thaw."""
    try:
        setting.write(state, "THAWED")
    except FileNotFoundError:
        pass
    except OSError as error:
        raise EngineError(f"cannot thaw {state}: {error.strerror}") from error
