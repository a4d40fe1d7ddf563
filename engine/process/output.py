"""What a container writes, on its way into its log.

Runs in the zygote: the listed stdlib modules only.
"""

import functools
import os

from engine.process import logs
from engine.process.loop import Loop

READ_BYTES = 64 * 1024
DRAIN_BYTES_MAX = 4 * 1024 * 1024  # more than a pipe holds: what comes after that is not this run's


class Output:
    """The reading ends of one run's streams; `stdin` is the writing end that keeps its input open, or -1."""

    def __init__(self, loop: Loop, log: logs.Writer) -> None:
        self.stdin = -1
        self._loop, self._log = loop, log
        self._streams: dict[int, str] = {}

    def listen(self, stream: str, descriptor: int) -> None:
        os.set_blocking(descriptor, False)
        self._streams[descriptor] = stream
        self._loop.watch(descriptor, functools.partial(self._ready, descriptor))

    def drain(self) -> None:
        """Log what is there by now: what was written before the end comes before anybody hears of the end."""
        for descriptor in list(self._streams):
            left = DRAIN_BYTES_MAX
            while left > 0 and (count := self._read(descriptor)):
                left -= count

    def close(self) -> None:
        for descriptor in list(self._streams):
            self._close(descriptor)
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
        else:
            self._close(descriptor)
        return len(data)

    def _close(self, descriptor: int) -> None:
        del self._streams[descriptor]
        self._loop.forget(descriptor)
        os.close(descriptor)
