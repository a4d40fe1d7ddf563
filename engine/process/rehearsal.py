"""The life of a shim, gone through a few times in the zygote before the first fork.

The interpreter writes to code that it runs for the first times (it counts, then specializes), to its caches of types, and to
what is made only once. What was written before the fork is shared by all shims; what is written after it is a page of memory for
each of them. So the very code of a shim runs here, with a process that waits in place of a container and jobs that touch nothing.

Runs in the zygote: the listed stdlib modules only.
"""

import _signal  # type: ignore[import-not-found]
import os
import signal
import socket
import time
from collections.abc import Callable
from typing import NoReturn

from engine import errors
from engine.process import birth, children, frames, identity, logs, syscalls, title, wire
from engine.process.frames import Socket
from engine.process.loop import Loop
from engine.process.running import Jobs
from engine.process.shim import Shim

TIMES = 10  # CPython 3.11 specializes after 8 runs
NOWHERE = os.devnull  # no directory: what is written below it fails
SPEC = wire.SandboxSpec("s", "rehearsal", "", NOWHERE, NOWHERE, mode="host")


def rehearse(area: title.Area, rest: Callable[[], object]) -> None:
    """Leaves nothing behind but another title. Needs children that can be waited for."""
    for _ in range(TIMES):
        _be_born(area)
        _live(rest)


def _be_born(area: title.Area) -> None:
    _signal.signal(int(signal.SIGCHLD), 0)
    title.show(area, b"corral zygote")
    syscalls.unshare(0)


def _live(rest: Callable[[], object]) -> None:
    loop = Loop(rest)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    reading, writing = os.pipe2(os.O_CLOEXEC)
    with ours:
        frames.split_fork(frames.join_forks([frames.join_fork(SPEC)]), 0)
        frames.answer(0, b'{"is":"Made","pid":%d}' % os.getpid())
        listening = Socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        listening.bind(b"")  # the kernel finds a name, in this network namespace only
        client = _Client(loop, ours)
        client.send(wire.Subscribe())
        shim = Shim(loop, Socket(fileno=theirs.detach()), listening, Jobs(_first, _start, _join))
        client.hear()
        client.ask(wire.Hold("c 0.0.0.0:80/tcp"), (reading,))
        client.ask(wire.Start("", wire.StartSpec("c", "r", NOWHERE, NOWHERE, NOWHERE, ("true",), ())))
        client.ask(wire.Subscribe())
        client.ask(wire.Signal("c", signal.SIGCONT))
        client.ask(wire.Exec(wire.ExecSpec("c", ("true",))))
        client.hear()
        client.send(wire.Signal("c", signal.SIGKILL))
        client.hear()
        client.hear()
        client.ask(wire.Stop("c", signal.SIGTERM, 2.0))
        client.ask(wire.Release(("c 0.0.0.0:80/tcp",)))
        loop.cancel(loop.after(1.0, client.hear))
        loop._come_to_rest()
        shim.close()
    os.close(reading)
    os.close(writing)
    loop.close()


class _Client:
    """Asks, and lets the shim work until it is answered."""

    def __init__(self, loop: Loop, end: Socket) -> None:
        self._loop, self._end, self._number = loop, end, 0
        end.setblocking(False)

    def ask(self, body: object, descriptors: tuple[int, ...] = ()) -> None:
        self.send(body, descriptors)
        self.hear()

    def send(self, body: object, descriptors: tuple[int, ...] = ()) -> None:
        self._number += 1
        frames.send(self._end, wire.Frame(self._number, body), descriptors)

    def hear(self) -> None:
        while True:
            try:
                received = frames.receive_raw(self._end)
            except BlockingIOError:
                self._loop.turn()
            else:
                frames.close_all(received[1] if received else ())
                return


def _first(channel: Socket, _data: bytes, _entered: bool) -> NoReturn:
    """Say what a container's first process says, and wait to be killed, with the zygote if need be."""
    try:
        syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
        pidfd = os.pidfd_open(os.getpid())
        process = wire.Process("c", "r", identity.of(pidfd, int(os.readlink("/proc/self"))), time.time())
        started = birth.Started(
            frames.encode(process), os.fsencode(NOWHERE), os.fsencode(NOWHERE), b"", 0, 1, 0, True, False, False
        )
        reading, writing = os.pipe2(os.O_CLOEXEC)
        os.write(writing, b"one line\nhalf a li")
        frames.send_raw(channel, started.pack(), (reading,) * len(logs.STREAMS))
        frames.send_raw(channel, children.PREPARED)
        frames.receive_raw(channel)  # Go
        channel.close()
        while True:
            signal.pause()
    finally:
        os._exit(0)


def _join(channel: Socket, _data: bytes, _start: bytes, _pidfd: int, _entered: bool) -> NoReturn:
    """Say what a command says."""
    try:
        reading, _ = os.pipe2(os.O_CLOEXEC)
        frames.send_raw(channel, b"-", (reading,) * 3)
        frames.send_raw(channel, children.PREPARED)
    finally:
        os._exit(0)


def _start(_report: Socket, _data: bytes) -> None:
    raise errors.EngineError("cannot rehearse: a child of the zygote cannot be born")
