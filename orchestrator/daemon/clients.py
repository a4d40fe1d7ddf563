"""Who is connected to the daemon: a bounded number at a time, of whom none can keep the others outside.

Each has one of PLACES while it is answered; who comes when all are taken waits. While somebody waits, whoever neither sends nor
takes anything of what is his turn is given up after HURRY_S, instead of after the time that he has in peace. Only who listens
to what happens may keep silent for as long as he likes; so of those there are LISTENERS at most, and the other places are
always soon free again.
"""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio
import anyio.abc

from orchestrator import errors

PLACES, LISTENERS = 256, 192

SEND_S = 60.0
"""A client that does not take what it is sent for this long is given up."""

HURRY_S = 2.0
CHUNK_BYTES = 1 << 16

T = TypeVar("T")


class Client:
    """A connection. `receive` and `send` raise what anyio's do; TimeoutError, and BrokenResourceError, where it is given up."""

    def __init__(self, connection: anyio.abc.SocketStream) -> None:
        self.connection = connection
        self.listens = False
        self._turn: anyio.CancelScope | None = None
        self._began = 0.0

    async def receive(self) -> bytes:
        return await self.awaited(self.connection.receive)

    async def awaited(self, what: Callable[[], Awaitable[T]]) -> T:
        """What is its turn, or that for which it is in line. Raises TimeoutError where others cannot wait for it."""
        with self._its_turn():
            return await what()
        raise TimeoutError

    async def send(self, data: bytes) -> None:
        for begin in range(0, len(data), CHUNK_BYTES):
            with self._its_turn(SEND_S) as turn:
                await self.connection.send(data[begin : begin + CHUNK_BYTES])
            if turn.cancelled_caught:
                raise anyio.BrokenResourceError

    def hurry(self) -> None:
        if self._turn:
            self._turn.deadline = min(self._turn.deadline, self._began + HURRY_S)

    def _its_turn(self, limit_s: float = float("inf")) -> anyio.CancelScope:
        self._began = anyio.current_time()
        self._turn = anyio.CancelScope(deadline=self._began + limit_s)
        return self._turn


class Clients:
    """All of them. `leave` follows each `come`."""

    def __init__(self) -> None:
        self._here: set[Client] = set()
        self._free = anyio.Semaphore(PLACES)

    def __bool__(self) -> bool:
        return bool(self._here)

    async def come(self, connection: anyio.abc.SocketStream) -> Client:
        """Wait for a place, and have it."""
        try:
            while not await self._acquired():
                for each in self._here:
                    each.hurry()
        except BaseException:
            await anyio.aclose_forcefully(connection)
            raise
        client = Client(connection)
        self._here.add(client)
        return client

    async def _acquired(self) -> bool:
        """Those who have a place may go, or fall silent, at any moment: it is looked again and again."""
        with anyio.move_on_after(HURRY_S / 10):
            await self._free.acquire()
            return True
        return False

    def leave(self, client: Client) -> None:
        self._here.discard(client)
        self._free.release()

    def listen(self, client: Client) -> None:
        """It will be told what happens until it has enough. Raises Refused."""
        if sum(each.listens for each in self._here) >= LISTENERS:
            why = f"cannot tell you what happens: {LISTENERS} others are told already"
            raise errors.Refused(why, hint="end some `corral logs -f` or `corral events`")
        client.listens = True
