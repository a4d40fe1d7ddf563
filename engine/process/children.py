"""The clone of a child that will execute a program, and the conversation with it until it does.

Runs in the zygote: the listed stdlib modules only.
"""

import _socket
import errno
import os
import signal
from collections.abc import Callable
from typing import NamedTuple, NoReturn

from engine import errors
from engine.process import frames, syscalls, wire
from engine.process.frames import Socket

PREPARED = frames.encode(wire.Frame(0, wire.Prepared()))
GO = frames.encode(wire.Frame(0, wire.Go()))
DIED = "it died while it was being set up (out of memory, perhaps)"
TOO_OLD = (errno.EINVAL, errno.ENOSYS, errno.E2BIG)


class Child(NamedTuple):
    """`channel`: our end of the conversation. `pidfd` and `channel` are the holder's to close. `entered`: the clone has put it
    into its v2 cgroup."""

    pid: int
    pidfd: int
    channel: Socket
    entered: bool


class BornDeadError(Exception):
    """Since Linux 6.14 a child that is cloned into a cgroup is killed at birth if that cgroup was ever killed as a whole
    (cgroup.kill): fork compares the cgroup's kill_seq with the one of the parent's cgroup. Such a cgroup is entered by
    writing: ask again, without the clone's help."""


def clone(flags: int, cgroup_v2: str, keep: tuple[int, ...], body: Callable[[Socket, bool], NoReturn]) -> Child:
    """Fork a child with these clone flags in the v2 cgroup; it keeps the descriptors `keep` and runs `body(channel, entered)`,
    where `entered` says that it is in the cgroup already."""
    group = os.open(cgroup_v2, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC) if cgroup_v2 else -1
    ours, theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
    try:
        pid, pidfd, entered = _clone(flags, group)
        if pid == 0:
            try:
                syscalls.close_all_but({0, 1, 2, theirs.fileno(), *keep})
                body(theirs, entered)
            finally:
                os._exit(127)
    except BaseException:
        ours.close()
        raise
    finally:
        theirs.close()
        if group >= 0:
            os.close(group)
    return Child(pid, pidfd, ours, entered)


def clone_into(pidfd: int, cgroup_v2: str, body: Callable[[Socket, bool], NoReturn]) -> Child:
    """As `clone`, into the pid namespace of this process, whose pidfd the child keeps; we stay in ours, and so do our next. Where
    we could not come back, we end: our next would be born among the processes of this one."""
    home = os.pidfd_open(os.getpid())
    try:
        syscalls.setns(pidfd, syscalls.CLONE_NEWPID)  # of our children
        try:
            return clone(0, cgroup_v2, (pidfd,), body)
        finally:
            try:
                syscalls.setns(home, syscalls.CLONE_NEWPID)
            except OSError:
                os._exit(1)
    finally:
        os.close(home)


def _clone(flags: int, group: int) -> tuple[int, int, bool]:
    """Give (pid, pidfd, whether it is in the cgroup)."""
    if group >= 0:
        try:
            return *syscalls.clone3(flags, cgroup_fd=group), True
        except OSError as error:
            if error.errno not in TOO_OLD:
                raise
    return *syscalls.clone3(flags), False


def await_execve(child: Child) -> tuple[int, ...]:
    """Allow the execve and wait for it; gives the descriptors that the child sent (a pty's master). Closes the channel.

    Raises `EngineError` in the child's words, `BornDeadError`; the child has ended or will at once.
    """
    descriptors: list[int] = []
    prepared = spoke = False
    try:
        allow(child)
        while (received := frames.receive(child.channel)) is not None:
            spoke = True
            descriptors += received[1]
            match received[0].body:
                case wire.Prepared():
                    prepared = True
                case wire.Failed(message, terminal):
                    raise errors.TerminalEngineError(message) if terminal else errors.EngineError(message)
        if child.entered and not spoke:
            raise BornDeadError
        if not prepared:
            raise errors.EngineError(DIED)
    except BaseException:
        frames.close_all(descriptors)
        raise
    finally:
        child.channel.close()
    return tuple(descriptors)


def allow(child: Child) -> None:
    """Let it execute its program as soon as it is prepared."""
    try:
        frames.send_raw(child.channel, GO)
    except OSError:
        pass  # it has ended already; its last words are read next


def send_signal(pidfd: int, number: int) -> None:
    """To a process that may have ended."""
    try:
        signal.pidfd_send_signal(pidfd, number)
    except ProcessLookupError:
        pass


def reap(pidfd: int) -> int:
    """Give the exit code of a child that has ended or is ending, 128 + N for signal N. Closes the pidfd."""
    found = os.waitid(os.P_PIDFD, pidfd, os.WEXITED)
    os.close(pidfd)
    if found is None:
        return 255
    return found.si_status if found.si_code == os.CLD_EXITED else 128 + found.si_status
