"""Clones of the shim that make themselves what they are to be: the only fork that a start or a command takes. Each costs 4 ms.

Runs in the zygote: the listed stdlib modules only.
"""

from collections.abc import Callable

from engine.process import children, workers
from engine.process.loop import Loop


class Newborn:
    """A child that prepares itself, and executes a program as soon as it has. `over` is called once it has done so, or has ended.
    Until then it says something of its own (`said`), with the `ends` of its streams, and that it is prepared; or why it cannot
    (`failure`, an encoded frame). `pidfd` is its holder's to close, and so are the `ends`."""

    def __init__(self, loop: Loop, child: children.Child, over: Callable[[], None]) -> None:
        self.pid, self.pidfd, self.entered = child.pid, child.pidfd, child.entered
        self.said = self.failure = b""
        self.ends: list[int] = []
        self._is_prepared = False
        children.allow(child)
        workers.listen(loop, child.channel, self._told, over)

    @property
    def is_executed(self) -> bool:
        """Known once it is over."""
        return self._is_prepared and not self.failure

    def _told(self, data: bytes, descriptors: list[int]) -> None:
        self.ends += descriptors
        if data == children.PREPARED:
            self._is_prepared = True
        elif data.startswith(b"{"):
            self.failure = data
        else:
            self.said = data
