"""A command that runs in a container, as its client sees it."""

import os
import socket
from types import TracebackType
from typing import Self

from engine import channel
from engine.process import wire


class Session:
    """A command running in a container, with the client's ends of its streams: `descriptors` are (master,) of a pty or (stdin,
    stdout, stderr), this object's to close unless taken away. Leaving it ends the command, unless `detached`."""

    def __init__(self, connection: socket.socket, pid: int, descriptors: list[int]) -> None:
        self.pid = pid
        self.descriptors = descriptors
        self._connection = connection

    async def wait(self) -> int:
        """Give the exit code, 128 + N for signal N."""
        ended: wire.ExecEnded = await channel.answer(self._connection, "wait for a command")
        return ended.code

    async def signal(self, number: int) -> None:
        await channel.send(self._connection, wire.Frame(1, wire.ExecSignal(number)))

    def close(self) -> None:
        for descriptor in self.descriptors:
            os.close(descriptor)
        self.descriptors = []
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
