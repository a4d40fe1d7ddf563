"""The client's half of the protocol: HTTP/1.1 over the daemon's socket, by hand.

`http.client` would cost every command 20 ms of imports, and `socket` 2 for what `_socket` has already. One request a
connection: `ask` returns a JSON answer, `follow` a stream of events, `receive_descriptor` an answer that brings an open file.
Other failures than a daemon's No are DaemonError; `launch` knows what to do about the ones that starting a daemon would cure.
"""

import _socket
import json
import os
import select
import struct
from collections.abc import Iterator
from typing import Any

from orchestrator import encoding, errors, protocol, version

ANSWER_S = 120.0
"""Longer than any answer takes that is not a stream."""

SIGN_OF_LIFE_S = 5.0
"""A daemon that lives says so within this."""

OTHER_HOLDS_THE_ROOT = 75
"""The exit status of a daemon that found another on its root; sysexits.h: EX_TEMPFAIL."""

CHUNK_BYTES = 1 << 16


class NoDaemon(errors.DaemonError):
    """Nobody listens on the socket, or who did has ended before the request was read."""


class OtherVersion(errors.DaemonError):
    """The daemon is of another version than this client."""

    def __init__(self, theirs: str) -> None:
        super().__init__(
            f"the daemon is corral {theirs or '(unknown)'}, this is {version.VERSION}",
            hint="root's next command replaces it (containers stay): run with sudo",
        )
        self.theirs = theirs


def connect(path: str) -> _socket.socket:
    """A connection to the socket at `path`. Raises NoDaemon, or DaemonError that says what the user may do."""
    connection = _socket.socket(_socket.AF_UNIX)
    try:
        connection.connect(path)
    except (FileNotFoundError, ConnectionRefusedError):
        connection.close()
        raise NoDaemon(f"no daemon listens on {path}", hint="corral daemon start") from None
    except PermissionError:
        connection.close()
        raise errors.DaemonError(
            f"cannot talk to the daemon: the socket {path} belongs to root",
            hint="run with sudo, or set a group that may (CORRAL_GROUP; it is equivalent to root) and join it",
        ) from None
    except OSError as error:
        connection.close()
        raise errors.DaemonError(f"cannot talk to the daemon at {path}: {error.strerror}") from error
    return connection


class Answer:
    """An answer whose head was read. The rest is read from it; close it after use."""

    def __init__(self, connection: _socket.socket) -> None:
        self.connection = connection
        self.descriptors: list[int] = []
        head, self.rest = self._head()
        lines = head.decode("latin-1").split("\r\n")
        try:
            self.status = int(lines[0].split(" ")[1])
        except (IndexError, ValueError):
            raise errors.DaemonError(f"the daemon's answer is not HTTP: {lines[0][:80]!r}") from None
        pairs = (line.partition(":") for line in lines[1:])
        self.headers = {name.strip().lower(): value.strip() for name, _, value in pairs}

    def _receive(self, *, is_first: bool = False) -> bytes:
        """A Unix socket is reset where its other end went with something unread. So a request whose answer begins with that was
        not carried out."""
        try:
            data, ancillary, _, _ = self.connection.recvmsg(
                CHUNK_BYTES, _socket.CMSG_SPACE(4), _socket.MSG_CMSG_CLOEXEC
            )
        except TimeoutError:
            raise errors.DaemonError(
                "the daemon does not answer", hint="see its log: daemon.log in the run folder"
            ) from None
        except OSError as error:
            if is_first and isinstance(error, ConnectionResetError):
                raise NoDaemon("the daemon ended before it read the request") from error
            raise errors.DaemonError(f"the daemon hung up: {error.strerror}") from error
        for level, kind, value in ancillary:
            if level == _socket.SOL_SOCKET and kind == _socket.SCM_RIGHTS:
                self.descriptors += struct.unpack(f"{len(value) // 4}i", value[: len(value) // 4 * 4])
        return data

    def _head(self) -> tuple[bytes, bytes]:
        data = b""
        while b"\r\n\r\n" not in data:
            chunk = self._receive(is_first=not data)
            if not chunk:
                raise errors.DaemonError("the daemon hung up before it answered")
            data += chunk
        head, _, rest = data.partition(b"\r\n\r\n")
        return head, rest

    def body(self) -> dict[str, Any]:
        """The whole answer, parsed. Raises DaemonError for one that is cut off."""
        length = int(self.headers.get("content-length", "0"))
        while len(self.rest) < length:
            chunk = self._receive()
            if not chunk:
                raise errors.DaemonError("the daemon hung up in the middle of its answer")
            self.rest += chunk
        try:
            found = json.loads(self.rest[:length] or b"{}")
        except ValueError as error:
            raise errors.DaemonError(f"the daemon's answer is not JSON: {error}") from error
        if not isinstance(found, dict):
            raise errors.DaemonError("the daemon's answer is not a mapping")
        return found

    def check(self) -> None:
        """Raise what the daemon said, if it was not 200."""
        if self.status == protocol.OTHER_VERSION_STATUS:
            raise OtherVersion(self.headers.get(protocol.VERSION_HEADER, ""))
        if self.status != 200:
            said = self.body().get("error")
            raise errors.from_json(said if isinstance(said, dict) else {"message": f"the daemon said {self.status}"})


class Events:
    """A stream of events: iterate over it, or ask for the `next` one from time to time. `over`: there will be none."""

    def __init__(self, answer: Answer) -> None:
        self._connection = answer.connection
        self._connection.settimeout(None)
        self._data = answer.rest
        self._hung_up = False

    @property
    def over(self) -> bool:
        return self._hung_up and b"\n" not in self._data

    def close(self) -> None:
        self._connection.close()
        self._hung_up, self._data = True, b""

    def next(self, timeout_s: float | None = None) -> protocol.Event | None:
        """The next event; None where none came within the time (None: no end), or none will."""
        while b"\n" not in self._data:
            if self._hung_up or not select.select([self._connection], [], [], timeout_s)[0]:
                return None
            try:
                chunk = self._connection.recv(CHUNK_BYTES)
            except OSError:
                chunk = b""
            self._hung_up = not chunk
            self._data += chunk
        line, _, self._data = self._data.partition(b"\n")
        return encoding.event_of(line)

    def __iter__(self) -> Iterator[protocol.Event]:
        while (event := self.next()) is not None:
            yield event


def open_answer(path: str, verb: str, url: str, request: Any = None, *, timeout_s: float = ANSWER_S) -> Answer:
    """Send one request; its answer with its head read and its status checked. Raises Refused, DaemonError."""
    connection = connect(path)
    try:
        connection.settimeout(timeout_s)
        body = b"" if request is None else json.dumps(encoding.to_json(request), separators=(",", ":")).encode()
        head = (
            f"{verb} {url} HTTP/1.1\r\nHost: corral\r\nContent-Length: {len(body)}\r\n"
            f"{protocol.VERSION_HEADER}: {version.VERSION}\r\n\r\n"
        )
        try:
            connection.sendall(head.encode() + body)
        except OSError:
            pass  # it may have answered and hung up before it read all: what it said tells why
        answer = Answer(connection)
        answer.check()
    except BaseException:
        connection.close()
        raise
    return answer


def ask(path: str, verb: str, url: str, request: Any = None, *, timeout_s: float = ANSWER_S) -> dict[str, Any]:
    """The daemon's answer to one request. Raises Refused, DaemonError."""
    answer = open_answer(path, verb, url, request, timeout_s=timeout_s)
    try:
        return answer.body()
    finally:
        answer.connection.close()


def answers(path: str) -> bool:
    """Whether a daemon, of whatever version, serves this socket now."""
    try:
        ask(path, "GET", "/v1/daemon", timeout_s=SIGN_OF_LIFE_S)
    except errors.OrchestratorError:
        return False
    return True


def follow(path: str, url: str, request: Any) -> Events:
    """The stream of events that a request begins. Raises Refused, DaemonError."""
    return Events(open_answer(path, "POST", url, request))


def receive_descriptor(path: str, url: str, request: Any) -> int:
    """The open file that comes with the answer; the caller closes it. Raises Refused, DaemonError."""
    answer = open_answer(path, "POST", url, request)
    try:
        answer.body()
        if len(answer.descriptors) != 1:
            for descriptor in answer.descriptors:
                os.close(descriptor)
            raise errors.DaemonError("the daemon's answer brought no descriptor")
        return answer.descriptors[0]
    finally:
        answer.connection.close()
