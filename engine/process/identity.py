"""Which process is which, beyond the life of its pid.

A pid is given away again, and pid with start time too (its clock ticks are coarse); the inode of a pidfd never is. Before
Linux 6.9 there is no such inode: start time and boot id have to do.

Runs in the zygote: the listed stdlib modules only.
"""

import functools
import os
import select

from engine.process import syscalls
from engine.process.wire import Identity


def of(pidfd: int, pid: int) -> Identity:
    """Identify the living process behind a pidfd."""
    return Identity(pid, _inode(pidfd), _start_time(pid), boot_id())


def reopen(identity: Identity) -> int | None:
    """Give a pidfd of that very process (the caller closes it), or None where it is gone."""
    if identity.boot_id != boot_id():
        return None
    try:
        pidfd = os.pidfd_open(identity.pid)
    except (OSError, OverflowError):
        return None
    try:
        if _is_same(pidfd, identity) and not has_ended(pidfd):
            return pidfd
    except OSError:
        pass
    os.close(pidfd)
    return None


def has_ended(pidfd: int) -> bool:
    watch = select.poll()
    watch.register(pidfd, select.POLLIN)
    return bool(watch.poll(0))


def code_of(wait_status: int) -> int:
    code = os.waitstatus_to_exitcode(wait_status)
    return 128 - code if code < 0 else code


@functools.cache
def boot_id() -> str:
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()


def _is_same(pidfd: int, identity: Identity) -> bool:
    inode = _inode(pidfd)
    if inode and identity.inode:
        return inode == identity.inode
    return _start_time(identity.pid) == identity.start_time


def _inode(pidfd: int) -> int:
    if "pidfs" in syscalls.missing or syscalls.filesystem_type(pidfd) != syscalls.PIDFS_MAGIC:
        return 0
    return os.fstat(pidfd).st_ino


def _start_time(pid: int) -> int:
    with open(f"/proc/{pid}/stat", "rb") as file:
        after_name = file.read().rpartition(b")")[2].split()
    return int(after_name[19])  # proc(5), field 22; the name is field 2
