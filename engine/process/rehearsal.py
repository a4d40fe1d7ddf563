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

from engine.process import birth, frames, identity, logs, syscalls, title, wire
from engine.process.frames import Socket
from engine.process.loop import Loop
from engine.process.shim import Jobs, Shim

TIMES = 10  # CPython 3.11 specializes after 8 runs
NOWHERE = os.devnull  # no directory: what is written below it fails
SPEC = wire.SandboxSpec("s", "rehearsal", "", NOWHERE, NOWHERE, mode="host")


def rehearse(area: title.Area) -> None:
    """Leaves nothing behind but another title. Needs children that can be waited for."""
    for _ in range(TIMES):
        _be_born(area)
        _live()


def _be_born(area: title.Area) -> None:
    _signal.signal(int(signal.SIGCHLD), 0)
    title.show(area, b"corral zygote")
    syscalls.unshare(0)


def _live() -> None:
    loop = Loop()
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    reading, writing = os.pipe2(os.O_CLOEXEC)
    child = _child()
    with ours:
        _, _, _, data = frames.split_fork(frames.join_fork(SPEC))
        start = _start(child, writing)
        shim = Shim(loop, data, Socket(fileno=theirs.detach()), Jobs(_set_up, start))
        client = _Client(loop, ours)
        client.hear()
        client.ask(wire.Subscribe())
        client.ask(wire.Hold("c 0.0.0.0:80/tcp"), (reading,))
        client.ask(wire.Start(wire.StartSpec("c", "r", NOWHERE, NOWHERE, NOWHERE, ("true",), ())))
        client.ask(wire.Subscribe())
        client.ask(wire.Signal("c", signal.SIGCONT))
        os.kill(child, signal.SIGKILL)
        client.hear()
        client.ask(wire.Stop("c", signal.SIGTERM, 2.0))
        client.ask(wire.Release(("c 0.0.0.0:80/tcp",)))
        loop.cancel(loop.after(1.0, client.hear))
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
        self._number += 1
        frames.send(self._end, wire.Frame(self._number, body), descriptors)
        self.hear()

    def hear(self) -> None:
        while True:
            self._loop.turn()
            try:
                frames.receive_raw(self._end)
            except BlockingIOError:
                continue
            return


def _child() -> int:
    """A process that waits to be killed, with us if need be."""
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        try:
            syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
            while os.getppid() == parent:
                signal.pause()
        finally:
            os._exit(0)
    return pid


def _set_up(report: Socket, _data: bytes, listening: Socket, _pid: int) -> None:
    listening.bind(b"")  # the kernel finds a name, in this network namespace only
    frames.send_raw(report, frames.encode(wire.Done()))


def _start(child: int, output: int) -> Callable[[Socket, bytes], None]:
    def start(report: Socket, _data: bytes) -> None:
        pidfd = os.pidfd_open(child)
        frames.send_raw(report, birth.CHILD, (pidfd,))
        process = wire.Process("c", "r", identity.of(pidfd, child), time.time())
        started = birth.Started(
            frames.encode(process), os.fsencode(NOWHERE), os.fsencode(NOWHERE), 0, 1, 0, True, False, False
        )
        reading, writing = os.pipe2(os.O_CLOEXEC)
        os.write(writing, b"one line\nhalf a li")
        frames.send_raw(report, started.pack(), (reading,) * len(logs.STREAMS))

    return start
