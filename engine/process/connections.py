"""The shim's side of its connections: each has a queue of its own, so a client that does not read holds up nobody. Messages are
bytes here: most are neither made into records nor made from them.

Runs in the zygote: the listed stdlib modules only.
"""

import _socket
import os
import struct
from collections.abc import Callable

from engine.process import frames
from engine.process.frames import Socket
from engine.process.loop import READ, WRITE, Loop

QUEUE_MAX = 1024  # messages; who is further behind than this is cut off and connects again
BACKLOG = 128
ACCEPT_REST_S = 0.1


class Connection:
    """`received` is called with each message and its descriptors, which become its to close. `subscribed`: wants exits."""

    def __init__(self, loop: Loop, end: Socket, received: Callable[["Connection", bytes, list[int]], None]) -> None:
        self.subscribed = False
        self.on_close: list[Callable[[], None]] = []
        self._loop = loop
        self.end = end
        self._received = received
        self._queue: list[tuple[bytes, tuple[int, ...]]] = []
        self._open = True
        end.setblocking(False)
        loop.watch(end.fileno(), self._ready)

    def send(self, number: int, body: bytes, descriptors: tuple[int, ...] = ()) -> None:
        """Send an encoded body now or when the client reads again; the descriptors are closed then. A closed one gets nothing."""
        if not self._open or len(self._queue) >= QUEUE_MAX:
            frames.close_all(descriptors)
            self.close()
            return
        self._queue.append((frames.answer(number, body), descriptors))
        self._flush()

    def close(self) -> None:
        if not self._open:
            return
        self._open = False
        self._loop.forget(self.end.fileno())
        self.end.close()
        for _, descriptors in self._queue:
            frames.close_all(descriptors)
        self._queue.clear()
        for callback in self.on_close:
            callback()

    def _ready(self, events: int) -> None:
        if events & WRITE:
            self._flush()
        if self._open and events & ~WRITE:
            self._read()

    def _read(self) -> None:
        try:
            received = frames.receive_raw(self.end)
        except BlockingIOError:
            return
        except (OSError, frames.WireError):
            received = None
        if received is None:
            self.close()
        else:
            self._received(self, *received)

    def _flush(self) -> None:
        try:
            while self._queue:
                data, descriptors = self._queue[0]
                frames.send_raw(self.end, data, descriptors)
                del self._queue[0]
                frames.close_all(descriptors)
        except BlockingIOError:
            pass
        except OSError:
            self.close()
            return
        self._loop.watch(self.end.fileno(), self._ready, READ | WRITE if self._queue else READ)


class Server:
    """Listens, and serves who connects, if it is a process of our own user. Those for whom no descriptor is left wait."""

    def __init__(self, loop: Loop, listening: Socket, received: Callable[[Connection, bytes, list[int]], None]) -> None:
        self._loop = loop
        self._received = received
        self._connections: list[Connection] = []
        self._listening = listening
        listening.setblocking(False)
        self._resting: object = None
        listening.listen(BACKLOG)  # here: a client sees the credentials of who called it
        self._listen()

    def adopt(self, end: Socket) -> Connection:
        """Serve this connection as one of ours."""
        connection = Connection(self._loop, end, self._received)
        connection.on_close.append(lambda: self._connections.remove(connection))
        self._connections.append(connection)
        return connection

    def close(self) -> None:
        """Hang up on everybody, and hear nobody else."""
        self._loop.cancel(self._resting)
        self._loop.forget(self._listening.fileno())
        self._listening.close()
        for connection in list(self._connections):
            connection.close()

    def publish(self, body: bytes) -> None:
        """Send an event to everybody who wants events."""
        for connection in list(self._connections):
            if connection.subscribed:
                connection.send(0, body)

    def _listen(self) -> None:
        self._loop.watch(self._listening.fileno(), self._accept)

    def _accept(self, _events: int) -> None:
        try:
            descriptor, _ = self._listening._accept()  # type: ignore[attr-defined]
            end = Socket(fileno=descriptor)
        except BlockingIOError:
            return
        except OSError:  # else it would be told again at once
            self._loop.forget(self._listening.fileno())
            self._resting = self._loop.after(ACCEPT_REST_S, self._listen)
            return
        uid = struct.unpack("=iII", end.getsockopt(_socket.SOL_SOCKET, _socket.SO_PEERCRED, 12))[1]
        if uid == os.geteuid():
            self.adopt(end)
        else:
            end.close()
