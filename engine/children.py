"""Children of a shim on their way to execve: the clone, and the conversation until the program runs.

Runs in the zygote: the listed stdlib modules only.
"""

import errno
import os
import signal
import socket
from collections.abc import Callable
from typing import Any, NamedTuple, NoReturn

from engine import frames, syscalls, wire
from engine.loop import Loop

TOO_OLD = (errno.EINVAL, errno.ENOSYS, errno.E2BIG)


class Child(NamedTuple):
    """`channel`: our end of the conversation. `pidfd` and `channel` are the holder's to close. `entered`: the clone has put it
    into its v2 cgroup."""

    pid: int
    pidfd: int
    channel: socket.socket
    entered: bool


def clone(flags: int, cgroup_v2: str, keep: tuple[int, ...], body: Callable[[socket.socket, bool], NoReturn]) -> Child:
    """Fork a child with these new namespaces in the v2 cgroup; it keeps the descriptors `keep` and runs
    `body(channel, entered)`, where `entered` says that it is in the cgroup already."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    group = os.open(cgroup_v2, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC) if cgroup_v2 else -1
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
    ours.setblocking(False)
    return Child(pid, pidfd, ours, entered)


def _clone(flags: int, group: int) -> tuple[int, int, bool]:
    """Give (pid, pidfd, whether it is in the cgroup)."""
    if group >= 0:
        try:
            return *syscalls.clone3(flags, cgroup_fd=group), True
        except OSError as error:
            if error.errno not in TOO_OLD:
                raise
    return *syscalls.clone3(flags), False


class Launch:
    """Listens to a child until it has executed its program: then calls `started` with the descriptors that came, else
    `failed`; one of them, once. `settle` is for when the child has ended: what it said last decides."""

    def __init__(
        self, loop: Loop, child: Child, started: Callable[[list[int]], None], failed: Callable[[wire.Failed], None]
    ) -> None:
        self._loop, self._child = loop, child
        self._started, self._failed = started, failed
        self._prepared = self._spoke = False
        self._failure: wire.Failed | None = None
        self._descriptors: list[int] = []
        self.pending = True
        self.succeeded = False
        loop.watch(child.channel.fileno(), self._ready)

    def go(self) -> None:
        """Allow the execve."""
        try:
            frames.send(self._child.channel, wire.Frame(0, wire.Go()))
        except OSError:
            pass  # it has ended already; its last words are read in `_ready`

    def abandon(self, failure: wire.Failed) -> None:
        """Let it fail for this reason; its end is the caller's to bring about."""
        self._failure = failure

    def was_born_dead(self, code: int) -> bool:
        """Since Linux 6.14 a child that is cloned into a cgroup is killed at birth if that cgroup was ever killed as a whole
        (cgroup.kill): fork compares its kill_seq with the one of the parent's cgroup. Such a cgroup is entered by writing."""
        return self._child.entered and not self._spoke and self._failure is None and code == 128 + signal.SIGKILL

    def settle(self) -> None:
        while self.pending:
            self._ready(0)

    def _ready(self, _events: int) -> None:
        try:
            received = frames.receive(self._child.channel)
        except BlockingIOError:
            return
        except (OSError, frames.WireError):
            received = None
        if received is None:
            self._end()
            return
        frame, descriptors = received
        self._spoke = True
        self._descriptors += descriptors
        self._hear(frame.body)

    def _hear(self, body: Any) -> None:
        if isinstance(body, wire.Prepared):
            self._prepared = True
        elif isinstance(body, wire.Failed):
            self._failure = self._failure or body

    def _end(self) -> None:
        self.pending = False
        self._loop.forget(self._child.channel.fileno())
        self._child.channel.close()
        if self._prepared and self._failure is None:
            self.succeeded = True
            self._started(self._descriptors)
            return
        for descriptor in self._descriptors:
            os.close(descriptor)
        self._failed(self._failure or wire.Failed("it died while it was being set up (out of memory, perhaps)"))


def send_signal(pidfd: int, number: int) -> None:
    """To a process that may have ended."""
    try:
        signal.pidfd_send_signal(pidfd, number)
    except ProcessLookupError:
        pass


def reap(pidfd: int) -> int:
    """Give the exit code of an ended child, 128 + N for signal N."""
    found = os.waitid(os.P_PIDFD, pidfd, os.WEXITED)
    if found is None or found.si_code == os.CLD_EXITED:
        return found.si_status if found is not None else 255
    return 128 + found.si_status
