"""Forks of the shim that do one thing for it and end.

A shim lives as long as its sandbox, and every page that it touches becomes its own: what runs in it directly is little. The
rest (making records of messages, starting, recording) is done by forks, whose pages go with them. A worker tells its holder
what came of it in datagrams with descriptors; it dies with the shim.

Runs in the zygote: the listed stdlib modules only.
"""

import _socket
import os
import signal
from collections.abc import Callable

from engine import errors
from engine.process import frames, syscalls, wire
from engine.process.frames import Socket
from engine.process.loop import Loop


def fork(
    loop: Loop,
    what: str,
    job: Callable[[Socket], None],
    told: Callable[[bytes, list[int]], None],
    over: Callable[[], None] = lambda: None,
) -> None:
    """Run `job(report)` in a fork. Here, `told` is called with each of its datagrams, and `over` once it has ended. A job that
    raises has an encoded Failed as its last datagram: its error, or `cannot <what>: …`."""
    ours, theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
    shim = os.getpid()
    pid = os.fork()
    if pid == 0:
        try:
            ours.close()
            syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() == shim:
                _run(what, job, theirs)
        finally:
            os._exit(0)
    theirs.close()

    def ended() -> None:
        os.waitpid(pid, 0)
        over()

    listen(loop, ours, told, ended)


def listen(loop: Loop, end: Socket, told: Callable[[bytes, list[int]], None], over: Callable[[], None]) -> None:
    """`told` is called with each datagram from the other end, and `over` once that is closed; this one is then, too."""
    end.setblocking(False)
    loop.watch(end.fileno(), _Listener(loop, end, told, over).hear)


def _run(what: str, job: Callable[[Socket], None], report: Socket) -> None:
    try:
        job(report)
    except errors.EngineError as error:
        failed = wire.Failed(str(error), isinstance(error, errors.TerminalEngineError))
    except (OSError, frames.WireError) as error:
        failed = wire.Failed(f"cannot {what}: {error}")
    except ValueError as error:
        failed = wire.Failed(f"cannot {what}: {error}", terminal=True)
    except Exception as error:
        failed = wire.Failed(f"cannot {what}: {error!r}")
    else:
        return
    frames.send_raw(report, frames.encode(failed))


class _Listener:
    def __init__(
        self,
        loop: Loop,
        end: Socket,
        told: Callable[[bytes, list[int]], None],
        over: Callable[[], None],
    ) -> None:
        self._loop, self._end, self._told, self._over = loop, end, told, over

    def hear(self, _events: int) -> None:
        received = frames.receive_raw(self._end)
        if received is not None:
            self._told(*received)
            return
        self._loop.forget(self._end.fileno())
        self._end.close()
        self._over()
