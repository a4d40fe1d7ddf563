"""What a container writes, to whoever is attached to it, beside its log.

A client has the reading end of a pipe for each stream. While it does not read, the container's own output waits; after STALL_S
without anything read it is hung up on: nobody holds up a container for long.

Runs in the zygote: the listed stdlib modules only.
"""

import os
from collections.abc import Callable

from engine.process.loop import WRITE, Loop

STALL_S = 5.0


class Tap:
    """One stream for one client, by the writing end of a pipe. `changed` is called when it has caught up, and when it is over;
    `stalled` when it does not read."""

    def __init__(self, loop: Loop, stream: str, end: int, changed: Callable[[], None]) -> None:
        self.stream = stream
        self.stalled: Callable[[], None] = self.cut
        self._loop, self._end, self._changed = loop, end, changed
        self._rest = b""
        self._ticket: object = None
        self._is_last = False
        os.set_blocking(end, False)

    @property
    def is_behind(self) -> bool:
        return bool(self._rest)

    @property
    def is_over(self) -> bool:
        return self._end < 0

    def write(self, data: bytes) -> None:
        if self._end >= 0:
            self._rest += data
            self._flush(0)

    def close(self) -> None:
        """Nothing more will come; what waits is still handed over."""
        self._is_last = True
        if not self._rest:
            self.cut()

    def cut(self) -> None:
        """At once."""
        if self._end < 0:
            return
        self._loop.cancel(self._ticket)
        self._loop.forget(self._end)
        os.close(self._end)
        self._end, self._rest = -1, b""
        self._changed()

    def _flush(self, _events: int) -> None:
        before = len(self._rest)
        try:
            while self._rest:
                self._rest = self._rest[os.write(self._end, self._rest) :]
        except BlockingIOError:
            if self._ticket is None or len(self._rest) < before:
                self._loop.cancel(self._ticket)
                self._ticket = self._loop.after(STALL_S, self.stalled)
            self._loop.watch(self._end, self._flush, WRITE)
            return
        except OSError:
            self.cut()
            return
        self._loop.cancel(self._ticket)
        self._loop.forget(self._end)
        self._ticket = None
        if self._is_last:
            self.cut()
        elif before:
            self._changed()
