"""Many callers, one piece of work: what is asked for while a round is under way is served by the next round, together.

A hundred containers that start at once need the firewall's tables swapped a few times, not a hundred times.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

import anyio

Item = TypeVar("Item")

GATHER_MOST = 16


async def gathered(count: Callable[[], int], *, every_s: float, most_s: float) -> int:
    """Wait until the count has not grown for `every_s`, `most_s` at most. Gives the last count."""
    end = anyio.current_time() + most_s
    while True:
        before = count()
        await anyio.sleep(every_s)
        if count() == before or anyio.current_time() >= end:
            return count()


async def together(*works: Callable[[], Awaitable[None]]) -> None:
    """All of them at the same time, each to its end; then raises what the first that failed raised."""
    failed: list[Exception] = []

    async def one(work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except Exception as error:
            failed.append(error)

    async with anyio.create_task_group() as group:
        for work in works:
            group.start_soon(one, work)
    if failed:
        raise failed[0]


class Batch(Generic[Item]):
    """`work` is given all items that were asked for since its last round. At most one round runs at a time. `gather_s`: a round
    waits for more until none came for so long; worth it where a round costs many times as much."""

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
                if self._gather_s:
                    await gathered(
                        lambda: len(self._asked), every_s=self._gather_s, most_s=self._gather_s * GATHER_MOST
                    )
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
