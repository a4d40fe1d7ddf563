"""The client's half of `attach`: our streams, and those of a container's first process."""

import contextlib
import fcntl
import os
import select
import signal
import socket
import struct
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from engine.process import frames, wire
from orchestrator import errors
from orchestrator.command_line import session

CHUNK_BYTES = 1 << 16
DEFAULT_KEYS = "ctrl-p,ctrl-q"
CONTROLS = "@abcdefghijklmnopqrstuvwxyz[\\]^_"  # from 0 on, as ASCII has them
UNKNOWN_CODE = 255
PROXIED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)


class Streams(NamedTuple):
    """What the container has. `outputs`: (its, ours) pairs; `sink`: its input, or -1; `terminal`: its terminal, or -1."""

    container: str
    outputs: tuple[tuple[int, int], ...]
    sink: int
    terminal: int


def keys_of(text: str) -> bytes:
    """What "ctrl-p,ctrl-q" sends. Raises UsageError."""
    found = bytearray()
    for key in text.split(","):
        name = key.removeprefix("ctrl-").lower() if key.startswith("ctrl-") else ""
        if len(name) == 1 and name in CONTROLS:
            found.append(CONTROLS.index(name))
        elif len(key) == 1 and key.isascii():
            found += key.encode()
        else:
            raise errors.UsageError(f"corral attach: {key!r} is no key", hint=f"like {DEFAULT_KEYS}, or ctrl-a,d")
    return bytes(found)


class Typed:
    """Finds the keys that detach in what is typed."""

    def __init__(self, keys: bytes) -> None:
        self._keys, self._held = keys, b""

    def take(self, data: bytes) -> tuple[bytes, bool]:
        """(what is to be passed on, whether the keys came). The beginning of the keys is held back until it is clear."""
        data = self._held + data
        if not self._keys:
            return data, False
        if (place := data.find(self._keys)) >= 0:
            return data[:place], True
        held = next(n for n in range(len(self._keys) - 1, -1, -1) if data.endswith(self._keys[:n]))
        self._held = data[len(data) - held :]
        return data[: len(data) - held], False


def pump(
    descriptor: int, *, keys: bytes, stdin: int, proxy: bool, stdout: int = 1, stderr: int = 2, alone: bool = False
) -> int | None:
    """Join our streams to the container's until it ends; its exit code, None where the user has detached. `stdin` -1: nothing is
    passed in. `alone`: its input ends with ours. Closes `descriptor`. Raises Refused, DaemonError."""
    with socket.socket(fileno=descriptor) as connection:
        streams, descriptors = _attached(connection, stdout, stderr)
        sinks = [streams.sink] if alone and streams.sink >= 0 and streams.terminal < 0 else []
        descriptors = [each for each in descriptors if each not in sinks]
        if sinks and stdin < 0:
            os.close(sinks.pop())
        try:
            if streams.terminal < 0:
                with _proxied(connection, streams.container, proxy):
                    return _Pump(connection, streams, stdin, Typed(b""), sinks).run()
            typing = session.raw(stdin) if stdin >= 0 and streams.sink >= 0 else contextlib.nullcontext()
            _have_it_drawn(streams.terminal)
            with typing, session.resizing(streams.terminal, max(stdin, 0)):
                return _Pump(connection, streams, stdin, Typed(keys)).run()
        finally:
            for each in (*descriptors, *sinks):
                os.close(each)


def _attached(connection: socket.socket, stdout: int, stderr: int) -> tuple[Streams, list[int]]:
    received = frames.receive(connection)
    if received is None:
        raise errors.DaemonError("cannot attach: the container ended")
    (_, body), descriptors = received
    if isinstance(body, wire.Failed):
        raise errors.Refused(body.message)
    if not isinstance(body, wire.Attached) or len(descriptors) != (2 if body.tty else 2 + body.stdin):
        raise errors.DaemonError(f"cannot attach: unexpected {type(body).__name__}")
    if body.tty:
        output, terminal = descriptors
        return Streams(body.container, ((output, stdout),), terminal if body.stdin else -1, terminal), descriptors
    sink = descriptors[2] if body.stdin else -1
    return Streams(body.container, ((descriptors[0], stdout), (descriptors[1], stderr)), sink, -1), descriptors


def _have_it_drawn(terminal: int) -> None:
    """Another size, before the right one comes: a program that fills its screen draws it anew (moby does so)."""
    rows, *rest = struct.unpack("=4H", fcntl.ioctl(terminal, termios.TIOCGWINSZ, b"\0" * 8))
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("=4H", min(rows + 1, 0xFFFF), *rest))


class _Pump:
    """`_code`: once the container has ended; None after that: nobody knows it. `ending`: what is closed, and taken out, when
    there is no more to pass in."""

    def __init__(
        self, connection: socket.socket, streams: Streams, stdin: int, typed: Typed, ending: list[int] | None = None
    ) -> None:
        self._ending = [] if ending is None else ending
        self._connection, self._streams, self._typed = connection, streams, typed
        self._sinks = dict(streams.outputs)
        self._stdin = stdin if streams.sink >= 0 else -1
        self._pending = b""
        self._over = self._left = False
        self._code = UNKNOWN_CODE

    def run(self) -> int | None:
        while not self._left and (self._sinks or not self._over):
            reads: list[int] = [*self._sinks]
            if not self._over:
                reads.append(self._connection.fileno())
            if self._stdin >= 0 and not self._pending and not self._over:
                reads.append(self._stdin)
            writes = [self._streams.sink] if self._pending else []
            ready, writable, _ = select.select(reads, writes, [], session.DRAIN_S if self._over else None)
            if self._over and not ready:
                break
            for each in ready:
                self._serve(each)
            if writable:
                self._flush()
        return None if self._left else self._code

    def _serve(self, ready: int) -> None:
        if ready == self._connection.fileno():
            self._hear()
        elif ready in self._sinks:
            if data := os.read(ready, CHUNK_BYTES):
                session.write_all(self._sinks[ready], data)
            else:
                del self._sinks[ready]
        else:
            self._feed()

    def _hear(self) -> None:
        received = frames.receive(self._connection)
        if received is None:
            raise errors.DaemonError(
                "hung up: its output was not read for some seconds, or its sandbox is lost",
                hint="`corral ps` tells which",
            )
        body = received[0].body
        if isinstance(body, wire.Exited) and body.exit.container == self._streams.container:
            self._over, self._code = True, body.exit.code

    def _feed(self) -> None:
        try:
            data = os.read(self._stdin, CHUNK_BYTES)
        except OSError:
            data = b""
        if not data:
            self._stdin = -1  # its input stays open, where it is not ours alone: others may come
            while self._ending:
                os.close(self._ending.pop())
            return
        self._pending, self._left = self._typed.take(data)
        self._flush()

    def _flush(self) -> None:
        try:
            while self._pending:
                if not select.select([], [self._streams.sink], [], 0)[1]:
                    return
                self._pending = self._pending[os.write(self._streams.sink, self._pending[: select.PIPE_BUF]) :]
        except BlockingIOError:
            pass
        except OSError:  # nobody reads it any more
            self._pending, self._stdin = b"", -1


@contextmanager
def _proxied(connection: socket.socket, container: str, on: bool) -> Iterator[None]:
    """Signals for us are the container's."""

    def send(which: int, _: object) -> None:
        try:
            frames.send(connection, wire.Frame(2, wire.Signal(container, which)))
        except OSError:
            pass  # it is ending, which is heard of where it matters

    before = [(each, signal.signal(each, send)) for each in (PROXIED if on else ())]
    try:
        yield
    finally:
        for each, handler in before:
            signal.signal(each, handler)
