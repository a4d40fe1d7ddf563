"""The cgroups of containers, on whatever mixture of versions the machine has.

Every container gets one cgroup path, `<parent>/<group>/<id>`, in the v2 tree and in each v1 hierarchy. A limit is set
where its controller lives. The v2 cgroup is made even when all controllers are on v1: it is where a process is born into
(CLONE_INTO_CGROUP), where all of them are ended at once, and where the end of the last one is told.

All calls are short and synchronous. A limit that was asked for is in force when a call returns, or it raised.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace

from engine.cgroups import block_limits, devices, freezing, real_time, removal, setting, signals, usage, v1, v2
from engine.cgroups.layout import Layout
from engine.cgroups.setting import Setting
from engine.errors import EngineError, TerminalEngineError
from engine.types.parts import BlockIo, Limits

_CONTROLLER_OF = {
    "memory_bytes": "memory",
    "memswap_bytes": "memory",
    "cpus": "cpu",
    "cpu_shares": "cpu",
    "cpuset": "cpuset",
    "pids": "pids",
    "reservation_bytes": "memory",
    "swappiness": "memory",
    "oom_kill_disable": "memory",
    "cpu_period_us": "cpu",
    "cpu_quota_us": "cpu",
    "rt_runtime_us": "cpu",
    "rt_period_us": "cpu",
}
_SAFE_NAME = re.compile(r"[a-zA-Z0-9_-][a-zA-Z0-9_.-]*\Z")


@dataclass(frozen=True, slots=True)
class Paths:
    """Where one container's cgroup is.

    `v2_directory`: to be born into; None without a v2 tree. `v1_tasks`: a process that belongs here writes "0" to each,
    by itself and before it has threads. `oom_counters`: (file, key) pairs; the sum of the keys' values counts the
    kernel's out-of-memory kills in here.
    """

    path: str
    v2_directory: str | None
    v1_tasks: tuple[str, ...]
    directories: tuple[str, ...]
    oom_counters: tuple[tuple[str, str], ...]


class Driver:
    """Makes, changes, reads and removes cgroups below `parent` ("corral/<instance>")."""

    def __init__(self, layout: Layout, parent: str) -> None:
        self.layout = layout
        self.parent = parent.strip("/")
        has_v2 = bool(layout.v2)
        self._tree = v2.Tree(layout.v2_root, layout.v2_controllers) if has_v2 else None
        left_out = {"blkio", "freezer"} if has_v2 else {"blkio"}
        self._forest = v1.Forest(tuple(root for root in layout.v1 if root[0] not in left_out))
        self._block_limits = block_limits.BlockLimits(layout, self._tree)
        self._budgets = real_time.Budgets(layout.v1_of("cpu"), self.parent.count("/") + 2)

    def paths(self, group: str, container_id: str, *, block_io: bool = False) -> Paths:
        """Where the container's cgroup is, or would be. Touches nothing. `group`: the names of those that it is in, from ours on,
        joined by "/". `block_io`: it has limits of block devices."""
        for name in (*group.split("/"), container_id):
            if not _SAFE_NAME.match(name):
                raise EngineError(f"cannot name a cgroup {name!r}: only letters, digits, '_', '-' and '.' are safe")
        path = os.path.join(self.parent, group, container_id)
        v2_directory = self._tree.directory(path) if self._tree else None
        on_v1 = self._forest.directories(path)
        unique = tuple(dict.fromkeys(on_v1.values()))
        if block_io and self.layout.v1_of("blkio"):
            unique += (os.path.join(self.layout.v1_of("blkio"), path),)
        counters = []
        if "memory" in self._tree_controllers and v2_directory:
            counters.append((os.path.join(v2_directory, "memory.events"), v2.OOM_KEY))
        elif "memory" in on_v1:
            counters.append((os.path.join(on_v1["memory"], "memory.oom_control"), v1.OOM_KEY))
        return Paths(
            path=path,
            v2_directory=v2_directory,
            v1_tasks=tuple(os.path.join(directory, "tasks") for directory in unique),
            directories=((v2_directory,) if v2_directory else ()) + unique,
            oom_counters=tuple(counters),
        )

    def check(self, limits: Limits) -> None:
        """Raise TerminalEngineError for limits that this machine cannot enforce, naming the limit and the value. What
        only the kernel knows (memory in use) shows later."""
        asked = [each.name for each in fields(limits) if getattr(limits, each.name) not in (None, "", 0)]
        for name in asked:
            if not self.layout.has(_CONTROLLER_OF[name]):
                raise TerminalEngineError(
                    f"cannot set {name} to {getattr(limits, name)}: no cgroup hierarchy here has the controller "
                    f"{_CONTROLLER_OF[name]} (see /proc/cgroups)"
                )
        _check_values(limits)
        if real_time.is_asked(limits) and (why := real_time.refusal(self.layout)):
            raise TerminalEngineError(f"cannot set rt_runtime_us to {limits.rt_runtime_us}: {why}")
        if limits.cpuset:
            self._check_cpuset(limits.cpuset)

    def create(
        self,
        group: str,
        container_id: str,
        limits: Limits,
        rules: tuple[devices.Rule, ...] = devices.DEFAULT,
        block_io: BlockIo = block_limits.NONE,
    ) -> Paths:
        """Make the container's cgroup with its limits and its devices in force, and no process in it. Idempotent.
        After a failure nothing of it exists. Raises TerminalEngineError for a limit that the kernel refuses."""
        self.check(limits)
        has_block_io = block_io != block_limits.NONE
        paths = self.paths(group, container_id, block_io=has_block_io)
        try:
            if self._tree:
                self._tree.create(paths.path, frozenset({"io"}) if has_block_io else frozenset())
            self._forest.create(paths.path)
            self._budgets.make_room(paths.path, limits)
            for directory, wanted in self._settings(paths, limits):
                if wanted.is_asked:
                    _put(paths, directory, wanted)
            self.set_devices(paths, rules)
            if has_block_io:
                self._block_limits.put(paths.path, block_io)
        except EngineError:
            self._undo(paths)
            self._budgets.give_back(paths.path)
            raise
        return paths

    def update(self, paths: Paths, limits: Limits) -> None:
        """Put other limits in force on a cgroup that may have processes. After a failure the old ones are in force.
        Raises TerminalEngineError for a limit that the kernel refuses, or that what runs does not fit in."""
        self.check(limits)
        done: list[tuple[str, Setting]] = []
        try:
            self._budgets.make_room(paths.path, limits)
            for directory, wanted in self._settings(paths, limits):
                now = _now(paths, directory, wanted)
                if now == wanted.text or (now is None and wanted.optional):
                    continue
                self._refuse(directory, wanted)
                _put(paths, directory, wanted)
                done.append((directory, replace(wanted, text=now if now is not None else wanted.default)))
        except EngineError:
            for directory, before in reversed(done):
                _put(paths, directory, before)
            raise
        finally:
            self._budgets.give_back(paths.path)

    def weigh(self, paths: Paths, before: BlockIo, after: BlockIo) -> None:
        """Put the weight of `after` in force on a cgroup that may have processes. It has the limits `before`, which differ in
        nothing else. After a failure these are in force. Raises TerminalEngineError for a weight that the kernel refuses."""
        if before.weight != after.weight:
            self._block_limits.weigh(paths.path, before, after, lambda: self.pids(paths))

    def read(self, paths: Paths, asked: Limits) -> Limits:
        """The limits in force now. A field whose files say what asking for it writes reads as it was asked, so that
        the kernel's rounding is no difference; any other reads as the kernel has it. Raises EngineError if the cgroup is
        gone."""
        pairs = self._settings(paths, asked, rare=False)
        texts = {(directory, wanted.file): _now(paths, directory, wanted) for directory, wanted in pairs}
        found = asked
        for directory, wanted in pairs:
            text = texts[directory, wanted.file]
            if text == wanted.text or (text is None and wanted.optional):
                continue
            on_v2 = directory == paths.v2_directory
            known = {file: value for (_, file), value in texts.items() if value is not None}
            kernel = v2.limits_of(known) if on_v2 else v1.limits_of(known)
            found = replace(found, **{wanted.field: getattr(kernel, wanted.field)})
        return found

    def set_devices(self, paths: Paths, rules: tuple[devices.Rule, ...]) -> None:
        """Let the cgroup open and make these devices and no others, from now on."""
        if "devices" in self._forest.controllers:
            self._forest.set_devices(paths.path, tuple(str(rule) for rule in rules))
        elif paths.v2_directory:
            devices.attach(paths.v2_directory, devices.program(rules))
        else:
            raise EngineError("cannot restrict devices: this machine has neither a v1 devices hierarchy nor a v2 tree")

    def kill(self, paths: Paths) -> None:
        """End every process of the cgroup with SIGKILL, also those that fork meanwhile. Does not wait for their end:
        `is_populated` tells, and `watch` wakes."""
        born_there: frozenset[int] = frozenset()
        if paths.v2_directory:
            born_there = v2.pids(paths.v2_directory)
            v2.kill(paths.v2_directory)
        if self.pids(paths) - born_there:
            self._forest.kill(paths.path, spare=born_there)

    def pids(self, paths: Paths) -> frozenset[int]:
        """All processes of the cgroup; empty where it does not exist."""
        in_v2 = v2.pids(paths.v2_directory) if paths.v2_directory else frozenset()
        return in_v2 | self._forest.pids(paths.path)

    def is_populated(self, paths: Paths) -> bool:
        """A process of the cgroup lives."""
        return bool(self.pids(paths))

    def oom_kills(self, paths: Paths) -> int:
        """How often the kernel has killed in this cgroup because it was out of memory; 0 where nobody counts."""
        return sum(_count(file, key) for file, key in paths.oom_counters)

    def freeze(self, paths: Paths, *, on: bool) -> None:
        """Let all its processes stand still, or go on; `is_frozen` says when they do. A cgroup that is gone goes on."""
        freezing.freeze(paths.v2_directory, self._forest.directories(paths.path), on=on)

    def is_told_to_freeze(self, paths: Paths) -> bool:
        return freezing.is_told_to(paths.v2_directory, self._forest.directories(paths.path))

    def is_frozen(self, paths: Paths) -> bool:
        return freezing.is_frozen(paths.v2_directory, self._forest.directories(paths.path))

    def usage(self, paths: Paths) -> usage.Used:
        """What the cgroup uses now, as far as this machine tells."""
        return usage.read(paths.v2_directory, self._forest.directories(paths.path))

    def missing(self, paths: Paths) -> tuple[str, ...]:
        """The directories of the cgroup that do not exist."""
        return tuple(directory for directory in paths.directories if not os.path.isdir(directory))

    def remove_empty(self, paths: Paths) -> bool:
        """Remove the cgroup, and the parents that are empty then, unless a process or a cgroup is in it. Quick and
        idempotent. False: not all of it could be removed."""
        has_budget = self._budgets.has(paths.path) and not self.pids(paths) and self._budgets.give_up(paths.path)
        for directory in paths.directories:
            try:
                os.rmdir(directory)
            except FileNotFoundError:
                pass
            except OSError:
                return False
        for directory in paths.directories:
            removal.prune(directory, paths.path)
        if has_budget:
            self._budgets.give_back(paths.path)
        return True

    def remove(self, paths: Paths) -> None:
        """Remove the cgroup, what was made below it, and the parents that are empty then. Idempotent. Raises
        EngineError naming the processes that still live in it."""
        signals.wait_until(lambda: not self.pids(paths))
        living = self.pids(paths)
        if living:
            pids = ", ".join(str(pid) for pid in sorted(living))
            raise EngineError(f"cannot remove cgroup {paths.path}: processes live in it: {pids}")
        has_budget = self._budgets.has(paths.path) and not self.pids(paths) and self._budgets.give_up(paths.path)
        errors = [reason for reason in map(removal.remove, paths.directories) if reason]
        for directory in paths.directories:
            removal.prune(directory, paths.path)
        if has_budget:
            self._budgets.give_back(paths.path)
        if errors:
            raise EngineError(f"cannot remove cgroup {errors[0]}")

    def _undo(self, paths: Paths) -> None:
        """Remove what a failed `create` made; the failure itself matters more than what is left."""
        if self.pids(paths):
            return
        try:
            self.remove(paths)
        except EngineError:
            pass

    @property
    def _tree_controllers(self) -> frozenset[str]:
        return self._tree.controllers if self._tree else frozenset()

    def _settings(self, paths: Paths, limits: Limits, *, rare: bool = True) -> list[tuple[str, Setting]]:
        """(directory, setting) pairs in the order in which they may be written. `rare` False: without the rare ones that nobody
        asked for."""
        pairs: list[tuple[str, Setting]] = []
        if self._tree and paths.v2_directory:
            pairs += [(paths.v2_directory, each) for each in self._tree.settings(limits)]
        on_v1 = self._forest.directories(paths.path)
        pairs += [
            (on_v1[each.controller], each)
            for each in self._forest.settings(paths.path, limits, rare=rare)
            if each.controller not in self._tree_controllers
        ]
        return pairs if rare else [pair for pair in pairs if pair[1].is_asked or not pair[1].rare]

    def _refuse(self, directory: str, wanted: Setting) -> None:
        if not self._tree or not directory.startswith(self._tree.root + "/"):
            return
        reason = self._tree.refusal(directory, wanted)
        if reason:
            path = os.path.join(directory, wanted.file)
            raise TerminalEngineError(f"cannot set {wanted.field} to {wanted.text}: {reason} ({path})")

    def _check_cpuset(self, cpuset: str) -> None:
        if self._tree and "cpuset" in self._tree.controllers:
            v2.check_cpuset(self._tree.root, cpuset)
        else:
            self._forest.check_cpuset(cpuset)


def _check_values(limits: Limits) -> None:
    memory, both = limits.memory_bytes, limits.memswap_bytes
    if both and both != -1:
        if not memory:
            raise TerminalEngineError(f"cannot set memswap_bytes to {both}: it needs a memory limit beside it")
        if both < memory:
            raise TerminalEngineError(
                f"cannot set memswap_bytes to {both}: it counts memory and swap together, and memory alone is {memory}"
            )
    if limits.cpus and limits.cpus < 0.01:
        raise TerminalEngineError(f"cannot set cpus to {limits.cpus}: the kernel shares out no less than 0.01")
    if limits.cpus and (limits.cpu_period_us or limits.cpu_quota_us):
        raise TerminalEngineError(f"cannot set cpus to {limits.cpus}: a period or a quota is given beside it")
    if limits.cpu_shares and not 2 <= limits.cpu_shares <= 262_144:
        raise TerminalEngineError(f"cannot set cpu_shares to {limits.cpu_shares}: the kernel knows 2 to 262144")
    try:
        setting.cpus_of(limits.cpuset)
    except ValueError:
        raise TerminalEngineError(f"cannot set cpuset to {limits.cpuset!r}: not a list like 0-2,4") from None


def _put(paths: Paths, directory: str, wanted: Setting) -> None:
    put = v2.put if directory == paths.v2_directory else setting.put
    put(directory, wanted)


def _now(paths: Paths, directory: str, wanted: Setting) -> str | None:
    """What the file says, in the form of the setting's text; None where there is no such file."""
    try:
        if directory == paths.v2_directory:
            return v2.read(directory, wanted)
        return v1.canonical(wanted.file, setting.read(f"{directory}/{wanted.file}"))
    except FileNotFoundError:
        if not os.path.isdir(directory):
            raise EngineError(f"cannot read {wanted.field}: cgroup {directory} is gone") from None
        return None
    except OSError as error:
        raise EngineError(f"cannot read {os.path.join(directory, wanted.file)}: {error.strerror}") from error


def _count(file: str, key: str) -> int:
    try:
        pairs: Iterator[list[str]] = (line.split() for line in setting.read(file).splitlines())
        return sum(int(pair[1]) for pair in pairs if pair[0] == key)
    except OSError:
        return 0
