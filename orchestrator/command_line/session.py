"""Talks to a command in a container: `exec`. Streams come as descriptors over the socket that the daemon passed on.

The socket speaks `engine.process.frames`: ExecStarted brings the client's ends of the pipes (stdin, stdout, stderr) or the master
of a terminal; ExecEnded brings the exit code. What was written before the end is read to the end.
"""

import fcntl
import os
import select
import signal
import socket
import sys
import termios
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from engine.process import frames, wire
from orchestrator import errors

CHUNK_BYTES = 1 << 16
DRAIN_S = 0.5
"""After the command's end somebody it started may hold its pipes open: no longer than this is waited for silence."""


def pump(descriptor: int, *, stdin: int = 0, stdout: int = 1, stderr: int = 2) -> int:
    """Join our streams to the command's until it ends; its exit code. Closes `descriptor`. Raises DaemonError."""
    with socket.socket(fileno=descriptor) as connection:
        number, started, theirs = _started(connection)
        try:
            if started.tty:
                with raw(stdin), resizing(theirs[0], stdin):
                    return _Pump(connection, theirs, {theirs[0]: stdout}, stdin).run()
            with _passing_signals(connection, number):
                return _Pump(connection, theirs, {theirs[1]: stdout, theirs[2]: stderr}, stdin).run()
        finally:
            for each in theirs:
                os.close(each)


def leave(descriptor: int) -> None:
    """Return once it has been executed, and let it be. Closes `descriptor`. Raises DaemonError."""
    with socket.socket(fileno=descriptor) as connection:
        for each in _started(connection)[2]:
            os.close(each)


def _started(connection: socket.socket) -> tuple[int, wire.ExecStarted, list[int]]:
    received = frames.receive(connection)
    if received is None:
        raise errors.DaemonError("cannot run the command: the container ended")
    frame, descriptors = received
    if isinstance(frame.body, wire.Failed):
        raise errors.DaemonError(frame.body.message)
    if not isinstance(frame.body, wire.ExecStarted) or len(descriptors) != (1 if frame.body.tty else 3):
        raise errors.DaemonError(f"cannot run the command: unexpected {type(frame.body).__name__}")
    return frame.number, frame.body, descriptors


class _Pump:
    """Copies what comes from the keys of `sinks` to their values, and `stdin` to the first of `theirs`, until the command
    and its output are over."""

    def __init__(self, connection: socket.socket, theirs: list[int], sinks: dict[int, int], stdin: int) -> None:
        self.connection, self.theirs, self.sinks, self.stdin = connection, theirs, sinks, stdin
        self.sources = list(sinks)
        self.sink = theirs[0]
        self.code: int | None = None
        self.pending = b""
        self.feeding = True
        os.set_blocking(self.sink, False)

    def run(self) -> int:
        while self.sources or self.code is None:
            reads: list[Any] = [*self.sources]
            if self.code is None:
                reads.append(self.connection)
            if self.feeding and not self.pending:
                reads.append(self.stdin)
            writes = [self.sink] if self.pending else []
            ready, writable, _ = select.select(reads, writes, [], DRAIN_S if self.code is not None else None)
            if not ready and not writable:
                break
            self._serve(ready, writable)
        return 255 if self.code is None else self.code

    def _serve(self, ready: list[Any], writable: list[int]) -> None:
        for each in ready:
            if each is self.connection:
                self._end()
            elif each in self.sinks:
                self._copy(each)
            else:
                self._feed()
        if writable:
            self._flush()

    def _copy(self, source: int) -> None:
        try:
            data = os.read(source, CHUNK_BYTES)
        except BlockingIOError:
            return
        except OSError:  # EIO: the terminal's other side is closed
            data = b""
        if not data:
            self.sources.remove(source)
            return
        write_all(self.sinks[source], data)

    def _feed(self) -> None:
        try:
            data = os.read(self.stdin, CHUNK_BYTES)
        except OSError:
            data = b""
        if data:
            self.pending = data
            self._flush()
        else:
            self.feeding = False
            if self.sink not in self.sinks:  # a pipe: its end is told; a terminal stays
                self.theirs.remove(self.sink)
                os.close(self.sink)

    def _flush(self) -> None:
        try:
            self.pending = self.pending[os.write(self.sink, self.pending) :]
        except BlockingIOError:
            pass
        except OSError:  # nobody reads it any more
            self.pending, self.feeding = b"", False

    def _end(self) -> None:
        received = frames.receive(self.connection)
        if received is None:
            raise errors.DaemonError("the container ended, and the command with it; its exit code is unknown")
        if isinstance(received[0].body, wire.ExecEnded):
            self.code = received[0].body.code
        elif isinstance(received[0].body, wire.Failed):
            raise errors.DaemonError(received[0].body.message)


def write_all(descriptor: int, data: bytes) -> None:
    """Write everything, also to a terminal that somebody made non-blocking."""
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(descriptor, view) :]
        except BlockingIOError:
            select.select([], [descriptor], [])


@contextmanager
def raw(terminal: int) -> Iterator[None]:
    """The user's terminal passes everything on as it is typed, until the end."""
    if not os.isatty(terminal):
        yield
        return
    before = termios.tcgetattr(terminal)
    try:
        tty.setraw(terminal)
        yield
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)


@contextmanager
def resizing(master: int, terminal: int) -> Iterator[None]:
    """The container's terminal has the size of ours, always."""

    def copy_size(*_: object) -> None:
        try:
            size = fcntl.ioctl(terminal, termios.TIOCGWINSZ, b"\0" * 8)
            fcntl.ioctl(master, termios.TIOCSWINSZ, size)
        except OSError:
            pass

    before = signal.signal(signal.SIGWINCH, copy_size)
    try:
        copy_size()
        yield
    finally:
        signal.signal(signal.SIGWINCH, before)


@contextmanager
def _passing_signals(connection: socket.socket, number: int) -> Iterator[None]:
    """Ctrl-C and a polite end go to the command, not to us."""

    def send(which: int, _: object) -> None:
        try:
            frames.send(connection, wire.Frame(number, wire.ExecSignal(which)))
        except OSError:
            sys.exit(128 + which)

    wanted = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
    before = [(each, signal.signal(each, send)) for each in wanted]
    try:
        yield
    finally:
        for each, handler in before:
            signal.signal(each, handler)
