"""Which process is which, beyond the life of its pid.

A pid is given away again, and pid with start time too (its clock ticks are coarse); the inode of a pidfd never is. Before
Linux 6.9 there is no such inode: start time and boot id have to do.

Runs in the zygote: the listed stdlib modules only.
"""

import fcntl
import functools
import os
import select
import struct

from engine.process import syscalls
from engine.process.wire import Identity

PIDFD_GET_INFO = 0xC040FF0B  # linux/pidfd.h: _IOWR(0xFF, 11, struct pidfd_info), 64 bytes
PIDFD_INFO_EXIT = 1 << 3  # linux/pidfd.h, 6.15


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


def exit_code(pidfd: int) -> int | None:
    """Give the exit code (128 + N for signal N) of an ended process that somebody else has reaped; None: nobody knows.

    Needs Linux 6.15, and a pidfd that was open when the process ended.
    """
    if "pidfd-exit" in syscalls.missing:
        return None
    answer = bytearray(64)
    struct.pack_into("=Q", answer, 0, PIDFD_INFO_EXIT)
    try:
        fcntl.ioctl(pidfd, PIDFD_GET_INFO, answer, True)
    except OSError:
        return None
    if not struct.unpack_from("=Q", answer, 0)[0] & PIDFD_INFO_EXIT:
        return None
    return code_of(struct.unpack_from("=i", answer, 60)[0])


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
