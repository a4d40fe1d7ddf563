"""The processes whose namespaces a container shares, by descriptors that name them for good.

Whoever comes into another's pid namespace is seen there before it is confined. It is not dumpable, so that nothing but
CAP_SYS_PTRACE opens it.

Runs in the zygote: the listed stdlib modules only.
"""

import os
from typing import NamedTuple

from engine import errors
from engine.process import identity, paths, syscalls
from engine.process.wire import Namespaces

OURS = "/proc/self/ns/mnt"


class Donors(NamedTuple):
    """A pidfd each; -1 where it is nobody's."""

    pid: int
    ipc: int
    uts: int

    @property
    def descriptors(self) -> tuple[int, ...]:
        return tuple(each for each in self if each >= 0)


NOBODY = Donors(-1, -1, -1)


def find(namespaces: Namespaces) -> Donors:
    """Open them; closing is the caller's. Raises `EngineError` where one is gone."""
    found: list[int] = []
    for what, whose in (("pid", namespaces.pid_of), ("ipc", namespaces.ipc_of), ("uts", namespaces.uts_of)):
        pidfd = identity.reopen(whose) if whose is not None else -1
        if pidfd is None:
            for each in found:
                if each >= 0:
                    os.close(each)
            raise errors.EngineError(f"cannot share the {what} namespace: whose it is has ended")
        found.append(pidfd)
    return Donors(*found)


def clone_flags(namespaces: Namespaces) -> int:
    """What a container's first process is cloned with: a namespace of its own of each kind that it does not share."""
    flags = syscalls.CLONE_NEWNS | syscalls.CLONE_PARENT
    flags |= syscalls.CLONE_NEWPID if namespaces.own_pid else 0
    return flags | (syscalls.CLONE_NEWIPC if namespaces.own_ipc else 0)


def lead(donors: Donors) -> None:
    """Let this process's next children be born into the shared pid namespace."""
    if donors.pid >= 0:
        syscalls.setns(donors.pid, syscalls.CLONE_NEWPID)


def join(donors: Donors) -> None:
    """Move this process into the shared ipc and uts namespaces."""
    if donors.ipc >= 0:
        syscalls.setns(donors.ipc, syscalls.CLONE_NEWIPC)
    if donors.uts >= 0:
        syscalls.setns(donors.uts, syscalls.CLONE_NEWUTS)


def shared_memory(donor: int) -> int:
    """Give a detached copy of the mount that a process has at /dev/shm. A mount is copied in its own mount namespace only: this
    one goes there, and comes back to its own, and to its working directory."""
    home = os.open(OURS, os.O_RDONLY | os.O_CLOEXEC)
    place = os.open(".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        syscalls.setns(donor, syscalls.CLONE_NEWNS)
        try:
            return _copy_of("/dev/shm")
        finally:
            syscalls.setns(home, syscalls.CLONE_NEWNS)
            os.fchdir(place)
    finally:
        os.close(home)
        os.close(place)


def _copy_of(path: str) -> int:
    root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        found = paths.find(root, path, paths.STRICT, os.O_PATH | os.O_DIRECTORY)
        try:
            return syscalls.open_tree(found, "")
        finally:
            os.close(found)
    finally:
        os.close(root)
