"""The relay process: `corral relay RUN_DIR`. It brings what calls [::1] of this machine to published ports of containers, also
while the daemon is dead. The kernel routes nothing to and from ::1, so no rule of the firewall can.

    <run>/relay.table    JSON: [[protocol, host port, address, container port], …], replaced atomically by the daemon
    <run>/relay.sock     where the daemon says that it has changed, and hears that it is in force: {"failed": {port: why}}

A container sees the machine's address in its network as the caller's. One thread, one selector, no library but the standard one.
"""

import contextlib
import errno
import json
import os
import selectors
import signal
import socket
import sys
import time
from collections.abc import Callable

HOST = "::1"
PIECE_BYTES = 1 << 16
CONNECTIONS_MAX = 2000
CALLERS_MAX = 1000
"""Who is remembered of those that send datagrams, for each port."""
DATAGRAM_IDLE_S = 60.0
SILENCE_S = 5.0
"""How often it is looked for callers that went silent."""

Way = tuple[str, int, str, int]
"""Protocol, host port, address and port of the container."""


class Pair:
    """Two ends of a connection: what one says the other hears. An end that said all it had to say may still listen."""

    def __init__(self, selector: selectors.BaseSelector, ends: tuple[socket.socket, socket.socket]) -> None:
        self.closed = False
        self._selector, self._ends = selector, ends
        self._waiting = [b"", b""]  # for each end: what it is to hear
        self._finished = [False, False]  # whether it has said all
        self._told = [False, False]  # whether it knows that it will hear no more
        self._asked = [0, 0]
        self._watch()

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            for end, asked in zip(self._ends, self._asked, strict=True):
                if asked:
                    self._selector.unregister(end)
                end.close()

    def _act(self, which: int) -> None:
        try:
            self._hear(which)
            self._say(which)
        except OSError:
            self.close()
            return
        if all(self._told):
            self.close()
        else:
            self._watch()

    def _hear(self, which: int) -> None:
        other = 1 - which
        if self._finished[which] or self._waiting[other]:
            return
        with contextlib.suppress(BlockingIOError):
            data = self._ends[which].recv(PIECE_BYTES)
            self._finished[which] = not data
            self._waiting[other] = data
            self._say(other)

    def _say(self, which: int) -> None:
        if self._waiting[which]:
            with contextlib.suppress(BlockingIOError):
                self._waiting[which] = self._waiting[which][self._ends[which].send(self._waiting[which]) :]
        if self._finished[1 - which] and not self._waiting[which] and not self._told[which]:
            self._told[which] = True
            self._ends[which].shutdown(socket.SHUT_WR)

    def _watch(self) -> None:
        for which, end in enumerate(self._ends):
            wanted = 0
            if not self._finished[which] and not self._waiting[1 - which]:
                wanted |= selectors.EVENT_READ
            if self._waiting[which]:
                wanted |= selectors.EVENT_WRITE
            self._ask(which, end, wanted)

    def _ask(self, which: int, end: socket.socket, wanted: int) -> None:
        had, self._asked[which] = self._asked[which], wanted
        if wanted and had:
            self._selector.modify(end, wanted, lambda: self._act(which))
        elif wanted:
            self._selector.register(end, wanted, lambda: self._act(which))
        elif had:
            self._selector.unregister(end)


class Streams:
    """A TCP port."""

    def __init__(self, selector: selectors.BaseSelector, port: int, to: tuple[str, int]) -> None:
        self._selector, self._to = selector, to
        self._pairs: set[Pair] = set()
        self._calling: set[socket.socket] = set()
        self._listener = _bound(socket.SOCK_STREAM, port)
        self._listener.listen(128)
        selector.register(self._listener, selectors.EVENT_READ, self._accept)

    def close(self) -> None:
        self._selector.unregister(self._listener)
        self._listener.close()
        for pair in self._pairs:
            pair.close()

    def expire(self) -> None:
        self._pairs = {pair for pair in self._pairs if not pair.closed}

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            caller, _ = self._listener.accept()
            self.expire()
            if len(self._pairs) >= CONNECTIONS_MAX:
                caller.close()
                return
            self._call(caller)

    def _call(self, caller: socket.socket) -> None:
        caller.setblocking(False)
        called = socket.socket(socket.AF_INET6, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        failed = called.connect_ex(self._to)
        if failed not in (0, errno.EINPROGRESS):
            called.close()
            _reset(caller)
            return
        self._selector.register(called, selectors.EVENT_WRITE, lambda: self._connected(caller, called))

    def _connected(self, caller: socket.socket, called: socket.socket) -> None:
        self._selector.unregister(called)
        if called.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            called.close()
            _reset(caller)
            return
        self._pairs.add(Pair(self._selector, (caller, called)))


class Datagrams:
    """A UDP port: each caller has a socket of its own towards the container, until it was silent for a while."""

    def __init__(self, selector: selectors.BaseSelector, port: int, to: tuple[str, int]) -> None:
        self._selector, self._to = selector, to
        self._callers: dict[tuple[str, int], tuple[socket.socket, list[float]]] = {}
        self._listener = _bound(socket.SOCK_DGRAM, port)
        selector.register(self._listener, selectors.EVENT_READ, self._receive)

    def close(self) -> None:
        self._selector.unregister(self._listener)
        self._listener.close()
        for caller in list(self._callers):
            self._forget(caller)

    def expire(self) -> None:
        then = time.monotonic() - DATAGRAM_IDLE_S
        for caller in [caller for caller, (_, last) in self._callers.items() if last[0] < then]:
            self._forget(caller)

    def _forget(self, caller: tuple[str, int]) -> None:
        called, _ = self._callers.pop(caller)
        self._selector.unregister(called)
        called.close()

    def _receive(self) -> None:
        with contextlib.suppress(OSError):
            data, source = self._listener.recvfrom(PIECE_BYTES)
            caller = (source[0], source[1])
            if caller not in self._callers and len(self._callers) < CALLERS_MAX:
                called = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
                called.connect(self._to)
                self._callers[caller] = (called, [0.0])
                self._selector.register(called, selectors.EVENT_READ, lambda: self._answer(caller))
            if caller in self._callers:
                called, last = self._callers[caller]
                last[0] = time.monotonic()
                called.send(data)

    def _answer(self, caller: tuple[str, int]) -> None:
        called, last = self._callers[caller]
        last[0] = time.monotonic()
        with contextlib.suppress(OSError):
            self._listener.sendto(called.recv(PIECE_BYTES), caller)


def _bound(kind: int, port: int) -> socket.socket:
    """Beside the socket that holds the port for its container (`engine.network.ports`)."""
    made = socket.socket(socket.AF_INET6, kind | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        made.bind((HOST, port))
    except OSError:
        made.close()
        raise
    return made


def _reset(caller: socket.socket) -> None:
    """So that the caller sees what we saw: nobody is there."""
    caller.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    caller.close()


class Server:
    """The ways in force."""

    def __init__(self, run_directory: str) -> None:
        self._table = os.path.join(run_directory, "relay.table")
        self._selector = selectors.DefaultSelector()
        self._ways: dict[Way, Streams | Datagrams] = {}

    def load(self) -> dict[str, str]:
        """Take the table into force; say of each port that fails why."""
        with open(self._table, encoding="utf-8") as file:
            wanted = {(str(kind), int(port), str(address), int(to)) for kind, port, address, to in json.load(file)}
        for way in [way for way in self._ways if way not in wanted]:
            self._ways.pop(way).close()
        failed = {}
        for way in sorted(wanted - self._ways.keys()):
            kind, port, address, to = way
            try:
                self._ways[way] = (Streams if kind == "tcp" else Datagrams)(self._selector, port, (address, to))
            except OSError as error:
                failed[f"[{HOST}]:{port}/{kind}"] = error.strerror or str(error)
        return failed

    def serve(self, control: socket.socket) -> None:
        self._selector.register(control, selectors.EVENT_READ, lambda: self._told(control))
        while True:
            for key, _ in self._selector.select(SILENCE_S if self._ways else None):
                if key.fileobj in self._selector.get_map():  # what was closed a moment ago has nothing to say
                    self._survive(key.data)
            for way in self._ways.values():
                self._survive(way.expire)

    def _survive(self, act: Callable[[], None]) -> None:
        try:
            act()
        except Exception as error:
            sys.stderr.write(f"unexpected: {error!r}\n")

    def _told(self, control: socket.socket) -> None:
        """One question of the daemon's; it waits for the answer."""
        try:
            connection, _ = control.accept()
        except OSError:
            return
        with connection:
            connection.settimeout(1.0)
            with contextlib.suppress(OSError, ValueError, TypeError):
                connection.recv(1 << 16)
                connection.send(json.dumps({"failed": self.load()}).encode())


def listen(path: str) -> socket.socket:
    """Open relay.sock, over what a dead predecessor left behind. Whoever can connect to it is root: the directory is 0700."""
    control = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    before = os.umask(0o077)
    try:
        control.bind(path)
    finally:
        os.umask(before)
    control.listen(8)
    control.setblocking(False)
    return control


def main(run_directory: str) -> None:
    """Serve until killed, once standard input brings a byte; end where it ends instead."""
    from engine.process import title

    title.show(title.area(), b"corral relay " + os.fsencode(run_directory))
    os.chdir("/")
    if not os.read(0, 1):
        return  # who started us died before a record named us
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    server = Server(run_directory)
    with contextlib.suppress(OSError, ValueError, TypeError):
        server.load()
    server.serve(listen(os.path.join(run_directory, "relay.sock")))
