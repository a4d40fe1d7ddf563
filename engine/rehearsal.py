"""What every shim will do, done a few times in the zygote before the first fork.

The interpreter writes to code that it runs for the first times (it counts, then specializes) and to its caches of types. What
was written before the fork is shared by all shims; what is written after it is a page of memory for each of them.

Runs in the zygote: the listed stdlib modules only.
"""

import os
import socket

from engine import connections, frames, logs, output, wire, workers
from engine.loop import Loop

TIMES = 12  # CPython 3.11 specializes after 8 runs
FORKS = 3  # these take time


def rehearse() -> None:
    """Leaves nothing behind. Needs children that can be waited for."""
    loop = Loop()
    for _ in range(TIMES):
        _talk(loop)
        _log(loop)
    for _ in range(FORKS):
        _fork(loop)
    loop.close()


def _talk(loop: Loop) -> None:
    heard: list[bytes] = []
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        connection = connections.Connection(loop, ours, lambda _connection, data, _descriptors: heard.append(data))
        frames.send(theirs, wire.Frame(3, wire.Stop("c", 15, 2.0)))
        loop.turn()
        frames.head(heard[0])
        frames.fields(heard[0])
        frames.container_of(heard[0])
        connection.send(3, frames.encode_failed("no"))
        loop.cancel(loop.after(1.0, connection.close))
        connection.close()


def _log(loop: Loop) -> None:
    reading, writing = os.pipe2(os.O_CLOEXEC)
    log = logs.Writer(os.devnull)
    ear = output.Output(loop, log)
    ear.listen("stdout", reading)
    os.write(writing, b"one line\nhalf a li")
    loop.turn()
    os.close(writing)
    ear.drain()
    ear.close()
    log.close()


def _fork(loop: Loop) -> None:
    over: list[bool] = []
    workers.fork(
        loop, "rehearse", lambda report: frames.send_raw(report, b"x"), lambda *_: None, lambda: over.append(True)
    )
    while not over:
        loop.turn()
