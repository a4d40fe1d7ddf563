"""Questions that we cannot answer, passed on to the machine's servers, or to those that a sandbox was given.

A question goes to one server after the other, each with a port and an id of its own that nobody can guess, over the protocol
that the client used, and waits 2 s for each; then the client is told SERVFAIL. An answer must come from the asked server and
repeat id and question. A client may have only so many questions open, so that one cannot use up the room of all.

Runs in the dns process: the listed stdlib modules only.
"""

import os
import selectors
import socket
import struct
import time
from collections import deque
from collections.abc import Callable, Sequence

from engine.dns import packets

TRIES = 2
TRY_S = 2.0
SERVERS_MAX = 3  # resolv.conf(5), MAXNS
OPEN_MAX = 400
OPEN_PER_CLIENT_MAX = 64
RESOLV_CONF = "/etc/resolv.conf"
RESOLV_CONF_FRESH_S = 1.0
PORT = 53


class Pending:
    """One client's question on its way."""

    __slots__ = (
        "buffer",
        "client",
        "deadline",
        "key",
        "left",
        "message",
        "question",
        "send",
        "socket",
        "stream",
        "tried",
    )

    def __init__(
        self,
        client: bytes,
        question: packets.Question,
        message: bytes,
        *,
        stream: bool,
        servers: Sequence[str],
        send: Callable[[bytes], None],
    ) -> None:
        self.client, self.question, self.message, self.stream, self.send = client, question, message, stream, send
        self.left = [servers[turn % len(servers)] for turn in range(max(TRIES, len(servers)))] if servers else []
        self.deadline = 0.0
        self.key = b""
        self.buffer = b""
        self.socket: socket.socket | None = None


class Forwarding:
    """All questions on their way. `watch` and `ignore` are the loop's, for sockets and what to do when they are ready."""

    def __init__(self, selector: selectors.BaseSelector, *, resolv_conf: str = RESOLV_CONF, port: int = PORT) -> None:
        self._selector = selector
        self._servers = MachineServers(resolv_conf)
        self._port = port
        self._queue: deque[tuple[float, Pending]] = deque()
        self._open: dict[bytes, int] = {}
        self._count = 0

    def ask(
        self,
        client: bytes,
        question: packets.Question,
        message: bytes,
        *,
        stream: bool,
        servers: Sequence[str],
        send: Callable[[bytes], None],
    ) -> None:
        """Pass `message` on and call `send` with the answer, soon or later, at most once."""
        if self._count >= OPEN_MAX or self._open.get(client, 0) >= OPEN_PER_CLIENT_MAX:
            send(packets.reply(question, packets.SERVFAIL))
            return
        asked = (servers or self._servers.current())[:SERVERS_MAX]
        pending = Pending(client, question, message, stream=stream, servers=asked, send=send)
        self._count += 1
        self._open[client] = self._open.get(client, 0) + 1
        self._try_next(pending)

    def timeout_s(self) -> float | None:
        """How long the loop may sleep."""
        return max(0.0, self._queue[0][0] - time.monotonic()) if self._queue else None

    def expire(self) -> None:
        """Give up the tries that took too long."""
        now = time.monotonic()
        while self._queue and self._queue[0][0] <= now:
            deadline, pending = self._queue.popleft()
            if pending.socket is not None and pending.deadline == deadline:
                self._try_next(pending)

    def _try_next(self, pending: Pending) -> None:
        self._close(pending)
        while pending.left:
            if self._begin(pending, pending.left.pop(0)):
                return
        self._finish(pending, packets.reply(pending.question, packets.SERVFAIL))

    def _begin(self, pending: Pending, server: str) -> bool:
        family = socket.AF_INET6 if ":" in server else socket.AF_INET
        kind = socket.SOCK_STREAM if pending.stream else socket.SOCK_DGRAM
        pending.key = os.urandom(2)
        pending.buffer = b""
        message = pending.key + pending.message[2:]
        upstream = socket.socket(family, kind | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        try:
            upstream.connect((server, self._port))
        except BlockingIOError:
            pass
        except OSError:
            upstream.close()
            return False
        pending.socket = upstream
        pending.deadline = time.monotonic() + TRY_S
        self._queue.append((pending.deadline, pending))
        if pending.stream:
            framed = struct.pack("!H", len(message)) + message
            self._selector.register(upstream, selectors.EVENT_WRITE, lambda: self._write(pending, framed))
            return True
        self._selector.register(upstream, selectors.EVENT_READ, lambda: self._read(pending))
        try:
            upstream.send(message)
        except OSError:
            self._close(pending)
            return False
        return True

    def _write(self, pending: Pending, framed: bytes) -> None:
        assert pending.socket is not None
        try:
            if pending.socket.send(framed) != len(framed):
                raise OSError("a new connection takes less than one question")
            self._selector.modify(pending.socket, selectors.EVENT_READ, lambda: self._read(pending))
        except OSError:
            self._try_next(pending)

    def _read(self, pending: Pending) -> None:
        assert pending.socket is not None
        try:
            data = pending.socket.recv(packets.MESSAGE_BYTES_MAX)
        except BlockingIOError:
            return
        except OSError:
            data = b""
            if not pending.stream:  # nobody listens at that server
                self._try_next(pending)
                return
        if not pending.stream:
            self._judge(pending, data)
        elif not data:
            self._try_next(pending)
        else:
            pending.buffer += data
            (length,) = struct.unpack("!H", pending.buffer[:2].ljust(2, b"\xff"))
            if len(pending.buffer) >= 2 + length:
                self._judge(pending, pending.buffer[2 : 2 + length])

    def _judge(self, pending: Pending, answer: bytes) -> None:
        if answer[:2] != pending.key or not packets.answers(answer, pending.question.raw):
            if pending.stream:
                self._try_next(pending)
            return  # over UDP: forged or late; the right one may still come
        if pending.left and answer[3] & packets.RCODE_MASK in (packets.SERVFAIL, packets.REFUSED):
            self._try_next(pending)
            return
        if not pending.stream and len(answer) > pending.question.limit:
            self._finish(pending, packets.truncated(pending.question))
        else:
            self._finish(pending, pending.message[:2] + answer[2:])

    def _finish(self, pending: Pending, answer: bytes) -> None:
        self._close(pending)
        self._count -= 1
        self._open[pending.client] -= 1
        if not self._open[pending.client]:
            del self._open[pending.client]
        pending.send(answer)

    def _close(self, pending: Pending) -> None:
        if pending.socket is not None:
            self._selector.unregister(pending.socket)
            pending.socket.close()
            pending.socket = None


class MachineServers:
    """The servers of resolv.conf(5), read again when it changes."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._seen: tuple[int, int, int] | None = None
        self._looked_at = -RESOLV_CONF_FRESH_S
        self._servers: tuple[str, ...] = ()

    def current(self) -> tuple[str, ...]:
        now = time.monotonic()
        if now - self._looked_at < RESOLV_CONF_FRESH_S:
            return self._servers
        self._looked_at = now
        try:
            status = os.stat(self._path)
            seen = (status.st_mtime_ns, status.st_ino, status.st_size)
            if seen != self._seen:
                with open(self._path, encoding="utf-8", errors="replace") as file:
                    self._servers = servers_of(file.read())
                self._seen = seen
        except OSError:
            self._servers, self._seen = (), None
        return self._servers


def servers_of(text: str) -> tuple[str, ...]:
    """The servers of a resolv.conf, those that are addresses."""
    lines = [line.split() for line in text.splitlines()]
    return tuple(line[1] for line in lines if line[:1] == ["nameserver"] and len(line) > 1 and is_address(line[1]))


def is_address(text: str) -> bool:
    """Whether this is a numeric address: anything else would be looked up, by asking a server."""
    try:
        socket.inet_pton(socket.AF_INET6 if ":" in text else socket.AF_INET, text.partition("%")[0])
    except (OSError, ValueError):
        return False
    return True
