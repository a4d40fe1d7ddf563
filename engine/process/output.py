"""What a container writes, on its way into its log.

Runs in the zygote: the listed stdlib modules only.
"""

import functools
import os

from engine.process import logs
from engine.process.loop import Loop
from engine.process.taps import Tap

READ_BYTES = 64 * 1024
DRAIN_BYTES_MAX = 4 * 1024 * 1024  # more than a pipe holds: what comes after that is not this run's


class Output:
    """The reading ends of one run's streams; `stdin` is the writing end that keeps its input open, or -1."""

    def __init__(self, loop: Loop, log: logs.Writer) -> None:
        self.stdin = -1
        self._loop, self._log = loop, log
        self._streams: dict[int, str] = {}
        self._taps: tuple[Tap, ...] = ()
        self._waits = False

    def listen(self, stream: str, descriptor: int) -> None:
        os.set_blocking(descriptor, False)
        self._streams[descriptor] = stream
        self._loop.watch(descriptor, functools.partial(self._ready, descriptor))

    def tap(self, terminal: bool, alone: bool) -> tuple[tuple[Tap, ...], tuple[int, ...]]:
        """Give (the taps, what a client gets): reading ends of all that is written from now on, stdout and stderr or the
        terminal's, then a copy of the writing end of the input, or of the terminal, where there is one. `alone`: of the input the
        only one."""
        pipes = [os.pipe2(os.O_CLOEXEC) for _ in logs.STREAMS[: 1 if terminal else 2]]
        taps = tuple(
            Tap(self._loop, stream, write, self._go_on) for stream, (_, write) in zip(logs.STREAMS, pipes, strict=False)
        )
        inputs = tuple(self._streams) if terminal else (self.stdin,) if self.stdin >= 0 else ()
        self._taps += taps
        copies = tuple(os.dup(each) for each in inputs)
        if alone and self.stdin >= 0:
            os.close(self.stdin)
            self.stdin = -1
        return taps, (*(read for read, _ in pipes), *copies)

    def drain(self) -> None:
        """Log what is there by now: what was written before the end comes before anybody hears of the end."""
        for descriptor in list(self._streams):
            left = DRAIN_BYTES_MAX
            while left > 0 and (count := self._read(descriptor)):
                left -= count

    def close(self) -> None:
        for descriptor in list(self._streams):
            self._close(descriptor)
        for tap in self._taps:
            tap.close()
        if self.stdin >= 0:
            os.close(self.stdin)
            self.stdin = -1

    def _ready(self, descriptor: int, _events: int) -> None:
        self._read(descriptor)

    def _read(self, descriptor: int) -> int:
        """Log at most one buffer full; gives how much it was, 0 for nothing more now or ever."""
        try:
            data = os.read(descriptor, READ_BYTES)
        except BlockingIOError:
            return 0
        except OSError:
            data = b""  # EIO: nobody has the pty's other end open
        if data:
            self._log.write(self._streams[descriptor], data)
            if self._taps:
                self._hand_on(self._streams[descriptor], data)
        else:
            self._close(descriptor)
        return len(data)

    def _close(self, descriptor: int) -> None:
        del self._streams[descriptor]
        self._loop.forget(descriptor)
        os.close(descriptor)

    def _hand_on(self, stream: str, data: bytes) -> None:
        for tap in self._taps:
            if tap.stream == stream:
                tap.write(data)
        if not self._waits and any(tap.is_behind for tap in self._taps):
            self._waits = True
            for descriptor in self._streams:
                self._loop.forget(descriptor)

    def _go_on(self) -> None:
        """A tap has caught up, or is over."""
        self._taps = tuple(tap for tap in self._taps if not tap.is_over)
        if self._waits and not any(tap.is_behind for tap in self._taps):
            self._waits = False
            for descriptor in self._streams:
                self._loop.watch(descriptor, functools.partial(self._ready, descriptor))
