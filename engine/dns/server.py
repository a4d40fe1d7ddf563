"""The dns process: `corral dns RUN_DIR`. It answers the questions of all sandboxes, also while the daemon is dead.

    <run>/dns/<network>.json   a table each (`engine.dns.names`), replaced atomically by the daemon
    <run>/dns.sock             where the daemon says that tables have changed, and hears that they are in force
    <run>/dns.port             the port on each network's gateway to which questions to port 53 are redirected

Each network has two sockets, UDP and TCP, on each of its gateway's addresses and our port. They may be opened before the bridge
is there (IP_FREEBIND), and outlive its re-creation. Port 53 itself stays free for whoever has it on this machine; the firewall
redirects what members ask their gateway there to us (`engine.network.portmap`).

One question on dns.sock is a JSON list of file names (or null: all there are); the answer, `{"failed": {file name: why}}`, comes
when what those files say is in force, with their sockets open. So names are published before anybody needs them. Beside "failed"
is "sockets", which changes whenever a socket is opened or closed; to the question `{"sockets": true}` the answer is copies of
all of them (`engine.dns.sockets`).

One thread, one selector, no library but the standard one: `python -I -S`.
"""

import contextlib
import json
import os
import selectors
import signal
import socket
import stat
import struct
import sys
import time
from collections.abc import Callable

from engine.dns import forwarding, packets, tables
from engine.dns.sockets import STREAMS_MAX, Sockets, give, inherited

BATCH = 64
"""Datagrams read from one socket before the others get their turn."""
STREAMS_PER_CLIENT_MAX = 16
STREAM_IDLE_S = 10.0  # longer than a question takes that is passed on
TABLE_BYTES_MAX = 16 << 20
PLAIN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Stream:
    """A client's TCP connection."""

    __slots__ = ("buffer", "client", "closed", "deadline", "file_name", "out", "socket")

    def __init__(self, connection: socket.socket, client: bytes, file_name: str) -> None:
        self.socket, self.client, self.file_name = connection, client, file_name
        self.buffer = self.out = b""
        self.closed = False
        self.deadline = time.monotonic() + STREAM_IDLE_S


class Server:
    """The tables in force, the sockets they are asked on, and everybody who asks."""

    def __init__(self, run_directory: str, port: int, *, resolv_conf: str, upstream_port: int) -> None:
        self._tables_directory = os.path.join(run_directory, "dns")
        self._port = port
        self._selector = selectors.DefaultSelector()
        self._forwarding = forwarding.Forwarding(self._selector, resolv_conf=resolv_conf, port=upstream_port)
        self._networks: dict[str, tables.Network] = {}
        self._sockets: dict[str, dict[str, Sockets]] = {}  # by file name and gateway
        self._spare: dict[str, Sockets] = {}  # by gateway: open, and of no network that is in force
        self._stamp = time.monotonic_ns()
        self._failed: dict[str, str] = {}
        self._tables = tables.Tables()
        self._streams: set[Stream] = set()

    def inherit(self, sockets: dict[str, Sockets]) -> None:
        """Use these, with what waits in them, for the networks of the next `load`."""
        self._spare.update(sockets)

    def serve(self, control: socket.socket) -> None:
        self._selector.register(control, selectors.EVENT_READ, lambda: self._hear(control))
        while True:
            timeouts = [self._forwarding.timeout_s(), STREAM_IDLE_S if self._streams else None]
            for key, _ in self._selector.select(min((each for each in timeouts if each is not None), default=None)):
                if key.fileobj in self._selector.get_map():  # what was closed a moment ago has nothing to say
                    self._survive(key.data)
            self._survive(self._forwarding.expire)
            self._survive(self._expire_streams)

    def _survive(self, act: Callable[[], None]) -> None:
        """Whatever somebody sent: all others still depend on this process."""
        try:
            act()
        except Exception as error:
            sys.stderr.write(f"unexpected: {error!r}\n")

    # ------------------------------------------------------------------------------------------------ tables

    def load(self, file_names: list[str] | None) -> dict[str, str]:
        """Take what these files say (None: all files) into force, and what failed before; say of each that fails why."""
        present = {name for name in os.listdir(self._tables_directory) if name.endswith(".json")}
        asked = present | self._networks.keys() if file_names is None else set(file_names)
        asked |= self._failed.keys()
        for file_name in asked - present:
            self._drop(file_name)
        failed = {}
        for file_name in sorted(asked & present):
            try:
                self._take(file_name)
            except (OSError, ValueError, RecursionError) as error:  # whatever is in one file: the others are served
                failed[file_name] = str(error)
        while self._spare:
            self._spare.popitem()[1].close()
        self._failed = failed
        self._tables = tables.Tables(self._networks.values())
        return failed

    def _take(self, file_name: str) -> None:
        network = tables.Network(self._text(file_name))
        before = self._sockets.get(file_name)
        if before is not None and not before.keys() <= set(network.gateways):
            self._drop(file_name)
        for gateway in network.gateways:
            if gateway not in self._sockets.setdefault(file_name, {}):
                self._sockets[file_name][gateway] = self._open(file_name, gateway)
        self._networks[file_name] = network

    def _text(self, file_name: str) -> str:
        """A table's text: of a plain file, and without waiting for anybody."""
        descriptor = os.open(os.path.join(self._tables_directory, file_name), PLAIN)
        with open(descriptor, encoding="utf-8") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise ValueError(f"{file_name} is no file")
            return file.read(TABLE_BYTES_MAX)

    def _open(self, file_name: str, gateway: str) -> Sockets:
        sockets = self._spare.pop(gateway, None) or Sockets.open(gateway, self._port)
        self._stamp = time.monotonic_ns()
        self._selector.register(sockets.datagrams, selectors.EVENT_READ, lambda: self._datagrams(file_name, sockets))
        self._selector.register(sockets.streams, selectors.EVENT_READ, lambda: self._accept(file_name, sockets))
        return sockets

    def _drop(self, file_name: str) -> None:
        self._networks.pop(file_name, None)
        for gateway, sockets in self._sockets.pop(file_name, {}).items():
            self._selector.unregister(sockets.datagrams)
            self._selector.unregister(sockets.streams)
            self._spare[gateway] = sockets
            self._stamp = time.monotonic_ns()
        for stream in [stream for stream in self._streams if stream.file_name == file_name]:
            self._close(stream)

    def _hear(self, control: socket.socket) -> None:
        """One question of the daemon's; it waits for the answer."""
        try:
            connection, _ = control.accept()
        except OSError:
            return
        with connection:
            connection.settimeout(1.0)
            with contextlib.suppress(OSError, ValueError, TypeError, RecursionError):
                asked = json.loads(connection.recv(1 << 20))
                if isinstance(asked, dict):
                    give(connection, {name: each for found in self._sockets.values() for name, each in found.items()})
                    return
                answer = {"failed": self.load(asked), "sockets": self._stamp}
                connection.send(json.dumps(answer).encode())

    # --------------------------------------------------------------------------------------------- questions

    def _datagrams(self, file_name: str, sockets: Sockets) -> None:
        receive, send = sockets.datagrams.recvfrom, sockets.datagrams.sendto

        def answer_to(client: tuple[str, int] | tuple[str, int, int, int]) -> Callable[[bytes], None]:
            def answer(message: bytes) -> None:
                with contextlib.suppress(OSError):  # the client is gone, or its network is: it asks again
                    send(message, client)

            return answer

        for _ in range(BATCH):
            try:
                message, client = receive(4096)
            except OSError:
                return
            self._answer(
                file_name, tables.packed(client[0].partition("%")[0]), message, answer_to(client), stream=False
            )

    def _answer(
        self, file_name: str, source: bytes, message: bytes, send: Callable[[bytes], None], *, stream: bool
    ) -> None:
        network = self._networks.get(file_name)
        if network is None or not network.has(source):
            return
        try:
            question = packets.parse(message)
        except packets.Malformed as error:
            if error.reply:
                send(error.reply)
            return
        answer = self._tables.answer(network, source, question)
        if answer is None:
            return
        if answer.forward:
            self._forwarding.ask(source, question, message, stream=stream, servers=answer.servers, send=send)
            return
        limit = packets.MESSAGE_BYTES_MAX if stream else question.limit
        send(packets.reply(question, answer.code, answer.records, ttl_s=tables.TTL_S, limit=limit))

    # ----------------------------------------------------------------------------------------------- streams

    def _accept(self, file_name: str, sockets: Sockets) -> None:
        try:
            connection, peer = sockets.streams.accept()
        except OSError:
            return
        client = tables.packed(peer[0].partition("%")[0])
        alike = sum(stream.client == client for stream in self._streams)
        if len(self._streams) >= STREAMS_MAX or alike >= STREAMS_PER_CLIENT_MAX:
            connection.close()
            return
        connection.setblocking(False)
        stream = Stream(connection, client, file_name)
        self._streams.add(stream)
        self._selector.register(connection, selectors.EVENT_READ, lambda: self._exchange(stream))

    def _exchange(self, stream: Stream) -> None:
        try:
            if stream.out:
                stream.out = stream.out[stream.socket.send(stream.out) :]
            else:
                data = stream.socket.recv(4096)
                if not data:
                    self._close(stream)
                    return
                stream.buffer += data
        except BlockingIOError:
            return
        except OSError:
            self._close(stream)
            return
        stream.deadline = time.monotonic() + STREAM_IDLE_S
        self._next_message(stream)
        self._watch(stream)

    def _next_message(self, stream: Stream) -> None:
        """Answer the messages that have arrived, as long as the client takes the answers."""
        while len(stream.buffer) >= 2 and not stream.out and not stream.closed:
            (length,) = struct.unpack_from("!H", stream.buffer)
            if len(stream.buffer) < 2 + length:
                return
            message, stream.buffer = stream.buffer[2 : 2 + length], stream.buffer[2 + length :]
            self._answer(stream.file_name, stream.client, message, lambda data: self._say(stream, data), stream=True)

    def _say(self, stream: Stream, message: bytes) -> None:
        if not stream.closed:
            stream.out += struct.pack("!H", len(message)) + message
            self._watch(stream)

    def _watch(self, stream: Stream) -> None:
        if not stream.closed:
            wanted = selectors.EVENT_WRITE if stream.out else selectors.EVENT_READ
            self._selector.modify(stream.socket, wanted, lambda: self._exchange(stream))

    def _expire_streams(self) -> None:
        if self._streams:
            now = time.monotonic()
            for stream in [stream for stream in self._streams if stream.deadline <= now]:
                self._close(stream)

    def _close(self, stream: Stream) -> None:
        if not stream.closed:
            stream.closed = True
            self._streams.discard(stream)
            self._selector.unregister(stream.socket)
            stream.socket.close()


def listen(path: str) -> socket.socket:
    """Open dns.sock, over what a dead predecessor left behind. Whoever can connect to it is root: the directory is 0700."""
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


def main(run_directory: str, *, resolv_conf: str = forwarding.RESOLV_CONF, upstream_port: int = 53) -> None:
    """Serve until killed, once standard input, a socket, brings an empty line; end where it ends instead. dns.sock appears when
    all tables that were there are in force."""
    from engine.process import title

    title.show(title.area(), b"corral dns " + os.fsencode(run_directory))
    os.chdir("/")
    with open(os.path.join(run_directory, "dns.port"), encoding="ascii") as file:
        port = int(file.read())
    with socket.socket(fileno=os.dup(0)) as starter:
        sockets = inherited(starter, port)
    if sockets is None:
        return  # who started us died before a record named us
    null = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    os.dup2(null, 0)
    os.close(null)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    server = Server(run_directory, port, resolv_conf=resolv_conf, upstream_port=upstream_port)
    server.inherit(sockets)
    for file_name, why in server.load(None).items():
        sys.stderr.write(f"cannot serve {file_name}: {why}\n")
    server.serve(listen(os.path.join(run_directory, "dns.sock")))
