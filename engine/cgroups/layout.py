"""Where this machine has its cgroup controllers.

A controller is on one hierarchy at a time: a v1 hierarchy of its own (or shared with a sibling: cpu,cpuacct), the v2
tree, or nowhere. Machines mix these freely, so nothing here knows "a v1 host" or "a v2 host": each controller is
looked up by itself, from /proc/self/mountinfo, /proc/cgroups and the v2 tree's cgroup.controllers.
"""

import os
from dataclasses import dataclass

from engine.errors import EngineError

USED = ("blkio", "cpu", "cpuacct", "cpuset", "devices", "freezer", "memory", "name=systemd", "pids")
"""The hierarchies that a container joins where they are on v1; blkio only if it has limits there. `name=systemd` carries
no limit: a process that stays in its parent's place there would be ended with the parent's unit. Nor has `cpuacct`, where it is a
hierarchy of its own: but without it Java takes all others for none, and the whole machine for its own."""


@dataclass(frozen=True, slots=True)
class Layout:
    """`v2`: the directory of the v2 tree, "" where none is mounted. `v2_controllers`: those the v2 tree can hand out.
    `v1`: sorted (controller, directory of its hierarchy) pairs of the controllers in `USED` that are on v1.
    `parent`: the cgroup below the v2 tree's directory that is ours to divide, "" where that is the tree itself (under
    systemd: the unit's own, delegated one).
    """

    v2: str = ""
    v2_controllers: frozenset[str] = frozenset()
    v1: tuple[tuple[str, str], ...] = ()
    parent: str = ""

    @property
    def v2_root(self) -> str:
        """The directory below which our v2 cgroups are made, "" where there is no v2 tree."""
        return os.path.join(self.v2, self.parent).rstrip("/") if self.v2 else ""

    def v1_of(self, controller: str) -> str:
        """The directory of the v1 hierarchy that has the controller, "" where none has."""
        return dict(self.v1).get(controller, "")

    def has(self, controller: str) -> bool:
        """The controller can limit a cgroup of ours, by whichever version."""
        return controller in self.v2_controllers or bool(self.v1_of(controller))


def detect(
    cgroup_root: str = "/sys/fs/cgroup",
    *,
    parent: str = "",
    mountinfo: str = "/proc/self/mountinfo",
    controllers: str = "/proc/cgroups",
) -> Layout:
    """Read where each controller is now. Changes nothing. Of several mounts of one hierarchy the one at or below
    `cgroup_root` wins. Raises EngineError where the machine has no cgroups at all."""
    mounts = sorted(_mounts_of(_text_of(mountinfo)), key=lambda mount: not _is_within(mount.directory, cgroup_root))
    enabled = _enabled_of(_text_of(controllers))
    v2 = next((mount.directory for mount in mounts if mount.version == 2), "")
    layout = Layout(v2, frozenset(_offered(v2, parent)) if v2 else frozenset(), _v1_of(mounts, enabled), parent)
    if not layout.v2 and not layout.v1:
        raise EngineError(f"cannot find any cgroup hierarchy in {mountinfo}: mount one at {cgroup_root}")
    return layout


@dataclass(frozen=True, slots=True)
class _Mount:
    directory: str
    version: int
    options: frozenset[str]  # of the hierarchy: its controllers, and its name


def _mounts_of(mountinfo: str) -> list[_Mount]:
    """The cgroup mounts, the visible one of several on the same directory. linux Documentation/filesystems/proc.rst 3.5"""
    found: dict[str, _Mount | None] = {}
    for line in filter(None, mountinfo.splitlines()):
        before, _, after = line.partition(" - ")
        directory = _unescape(before.split(" ")[4])
        kind, _source, options = (*after.split(" "), "", "")[:3]
        version = {"cgroup": 1, "cgroup2": 2}.get(kind)
        found.pop(directory, None)
        found[directory] = _Mount(directory, version, frozenset(options.split(","))) if version else None
    return [mount for mount in found.values() if mount]


def _v1_of(mounts: list[_Mount], enabled: frozenset[str]) -> tuple[tuple[str, str], ...]:
    found: dict[str, str] = {}
    for mount in mounts:
        for controller in mount.options & enabled if mount.version == 1 else ():
            found.setdefault(controller, mount.directory)
    if found.get("cpuacct") == found.get("cpu"):
        found.pop("cpuacct", None)
    return tuple(sorted((controller, directory) for controller, directory in found.items() if controller in USED))


def _enabled_of(proc_cgroups: str) -> frozenset[str]:
    rows = [line.split() for line in proc_cgroups.splitlines() if line and not line.startswith("#")]
    return frozenset(row[0] for row in rows if row[3] == "1") | {"name=systemd"}


def _offered(v2: str, parent: str) -> list[str]:
    return _text_of(os.path.join(v2, parent, "cgroup.controllers")).split()


def _is_within(path: str, root: str) -> bool:
    return path == root or path.startswith(root.rstrip("/") + "/")


def _unescape(path: str) -> str:
    for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        path = path.replace(code, character)
    return path


def _text_of(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except OSError as error:
        raise EngineError(f"cannot read {path}: {error.strerror}") from error
