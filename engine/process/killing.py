"""Kill everything in a container's cgroups.

Runs in the zygote: the listed stdlib modules only.
"""

import os
import signal

from engine.process import syscalls
from engine.process.wire import Cgroups


def kill_all(cgroups: Cgroups) -> bool:
    """Send SIGKILL to every process in these cgroups and below; tells whether there was one. Not done until it says no."""
    if cgroups.v2:
        if not any(_processes(directory) for directory in _tree(cgroups.v2)):
            return False  # an empty cgroup is left alone: one that was killed once is no place to be cloned into
        if _kill_file(cgroups.v2):
            return True
    found = False
    for directory in (cgroups.v2, *cgroups.v1):
        for group in _tree(directory):
            for pid in _processes(group):
                found = True
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
    return found


def _kill_file(directory: str) -> bool:
    """Use cgroup.kill, which no fork outruns. False where this kernel has none (before 5.14)."""
    if "cgroup-kill" in syscalls.missing:
        return False
    try:
        descriptor = os.open(os.path.join(directory, "cgroup.kill"), os.O_WRONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        os.write(descriptor, b"1")
    except OSError:
        pass
    finally:
        os.close(descriptor)
    return True


def _tree(directory: str) -> list[str]:
    if not directory:
        return []
    return [path for path, _, _ in os.walk(directory)]


def _processes(directory: str) -> list[int]:
    try:
        with open(os.path.join(directory, "cgroup.procs"), "rb") as file:
            return [
                pid for line in file.read().split() if (pid := int(line))
            ]  # 0: in a pid namespace that we cannot see
    except OSError:
        return []
