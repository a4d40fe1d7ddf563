"""Many callers, one piece of work: what is asked for while a round is under way is served by the next round, together.

A hundred containers that start at once need the firewall's tables swapped a few times, not a hundred times.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

import anyio

Item = TypeVar("Item")


class Batch(Generic[Item]):
    """`work` is given all items that were asked for since its last round. At most one round runs at a time. `gather_s`: a round
    waits so long for more; worth it where a round costs many times as much."""

    def __init__(self, work: Callable[[Sequence[Item]], Awaitable[None]], *, gather_s: float = 0.0) -> None:
        self._work, self._gather_s = work, gather_s
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
                await anyio.sleep(self._gather_s)
                items, self._asked = self._asked, []
                self._round = mine
                self._failed.pop(mine - 8, None)
                try:
                    await self._work(items)
                except Exception as error:
                    self._failed[mine] = error
                    raise
                except BaseException:  # cancelled: somebody else who waits does it
                    self._round -= 1
                    self._asked = [*items, *self._asked]
                    raise
            elif mine in self._failed:
                raise self._failed[mine]
