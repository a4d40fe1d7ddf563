"""Many callers, one piece of work: what is asked for while a round is under way is served by the next round, together.

A hundred containers that start at once need the firewall's tables swapped a few times, not a hundred times.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

import anyio

Item = TypeVar("Item")


class Batch(Generic[Item]):
    """`work` is given all items that were asked for since its last round. At most one round runs at a time."""

    def __init__(self, work: Callable[[Sequence[Item]], Awaitable[None]]) -> None:
        self._work = work
        self._lock = anyio.Lock()
        self._asked: list[Item] = []
        self._round = 0
        self._failed: dict[int, Exception] = {}

    async def do(self, item: Item) -> None:
        """Return once a round that began after this call has served the item. Raises what that round raised."""
        self._asked.append(item)
        mine = self._round + 1
        async with self._lock:
            if self._round < mine:
                items, self._asked = self._asked, []
                self._round = mine
                self._failed.pop(mine - 8, None)
                try:
                    await self._work(items)
                except Exception as error:
                    self._failed[mine] = error
                    raise
            elif mine in self._failed:
                raise self._failed[mine]
