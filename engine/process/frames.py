"""How the messages of `engine.process.wire` travel.

One message is one datagram of a SOCK_SEQPACKET unix socket: a `Frame` in JSON, with file descriptors beside it where the
message says so. What does not fit into a datagram travels in a memfd: the datagram is then one space, and the memfd its first
descriptor.

Every record is a NamedTuple and is written as an object whose "is" names its type. Reading is tolerant, because a shim outlives
the daemon that started it and meets newer ones: unknown fields are dropped, missing ones take their default.

Runs in the zygote: the listed stdlib modules only.
"""

import _socket
import json
import os
import socket
import struct
from collections.abc import Iterable, Sequence
from typing import Any

from engine.process import wire
from engine.process.wire import Frame

DATAGRAM_BYTES = 64 * 1024  # below the default net.core.wmem_default, so that one send never fails for its size
DESCRIPTORS_MAX = 250  # linux/net/scm.h, SCM_MAX_FD is 253
MESSAGE_BYTES_MAX = 16 * 1024 * 1024

Socket = _socket.socket
"""What a shim's sockets are: `socket.socket` is this and 20 kB of memory for each shim that runs its Python part."""

_TYPES: dict[str, Any] = {
    name: kind for name, kind in vars(wire).items() if isinstance(kind, type) and hasattr(kind, "_fields")
}


class WireError(Exception):
    """What arrived is not a message of ours."""


def encode(record: Any) -> bytes:
    """Give a record as JSON. Text that came from bytes which are no UTF-8 (`os.fsdecode`) survives the way."""
    return json.dumps(_plain(record), separators=(",", ":")).encode("ascii")


def decode(data: bytes) -> Any:
    """Give the record that `encode` was given. Raises `WireError`."""
    try:
        return json.loads(data, object_hook=_revive)
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise WireError(f"cannot read a message of {len(data)} bytes: {error!r}") from error


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        if hasattr(value, "_fields"):
            return {"is": type(value).__name__} | {name: _plain(getattr(value, name)) for name in value._fields}
        return [_plain(item) for item in value]
    return value


def _revive(fields: dict[str, Any]) -> Any:
    kind = _TYPES[fields.pop("is")]
    return kind(**{name: _frozen(value) for name, value in fields.items() if name in kind._fields})


def _frozen(value: Any) -> Any:
    return tuple(_frozen(item) for item in value) if isinstance(value, list) else value


# ----------------------------------------------------------------------------------------- without a record being made
# A shim reads and answers most messages without making records of them: whatever code runs in it, its pages are its own.

_BEGIN = b'{"is":"Frame","number":'
_BODY = b',"body":{"is":"'


def head(data: bytes) -> tuple[int, str]:
    """Give the number of a frame, and the kind of its body, from its first bytes: every frame begins so."""
    number, body, rest = data.removeprefix(_BEGIN).partition(_BODY)
    kind, quote, _ = rest.partition(b'"')
    if not data.startswith(_BEGIN) or not body or not quote or not number.isdigit():
        raise WireError(f"cannot read a message of {len(data)} bytes: it is no frame")
    return int(number), kind.decode("ascii", "replace")


def fields(data: bytes) -> dict[str, Any]:
    """Give the fields of a frame's body as they are in JSON. Raises `WireError`."""
    try:
        found = _SCANNER.raw_decode(data.decode("ascii"))[0]["body"]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise WireError(f"cannot read a message of {len(data)} bytes: {error!r}") from error
    if not isinstance(found, dict):
        raise WireError(f"cannot read a message of {len(data)} bytes: it has no body")
    return found


def join_fork(spec: wire.SandboxSpec) -> bytes:
    """Give what the zygote is sent: as much of a SandboxSpec as a shim needs."""
    name = os.fsencode(f"{spec.project}/{spec.name} {spec.run_directory}")
    ids = b"%d %d" % spec.ids if spec.ids else b""
    return b"\0".join((name, spec.mode.encode(), ids))


def join_forks(forks: Sequence[bytes]) -> bytes:
    """Give several of them as one message."""
    return b"\0".join(forks)


def split_fork(data: bytes, number: int) -> tuple[bytes, bool, bytes]:
    """Of the fork with this number in a message, give the shim's name, whether it has a network of its own, and its ids
    ("first length", or nothing)."""
    name, mode, ids = data.split(b"\0")[3 * number : 3 * number + 3]
    return name, mode != b"host", ids


def container_of(data: bytes) -> str:
    """Give the container that a Start or an Exec is about, which is the first field of their spec."""
    _, found, rest = data.partition(b'"container":"')
    if not found:
        raise WireError(f"cannot read a message of {len(data)} bytes: it names no container")
    return rest.partition(b'"')[0].decode("ascii", "replace")


def born_in(data: bytes) -> str | None:
    """Give the first field of a Start; None where a worker has to start it."""
    _, found, rest = data.partition(b'"is":"Start","born_in":"')
    return rest.partition(b'"')[0].decode("ascii") if found else None


def cgroup_of(data: bytes) -> str:
    """Give the v2 cgroup of the container that a Start is about ("": none)."""
    _, found, rest = data.partition(b'"cgroups":{"is":"Cgroups","v2":')
    return str(_SCANNER.raw_decode(rest.partition(b',"v1":')[0].decode("ascii"))[0]) if found else ""


def answer(number: int, body: bytes) -> bytes:
    """Give the frame of a body that is encoded already."""
    return b"%b%d%b%b}" % (_BEGIN, number, b',"body":', body)


def body(data: bytes) -> bytes:
    """Give the body of a frame as it is encoded."""
    return data[data.index(b',"body":') + 8 : -1]


def encode_failed(message: str, terminal: bool = False) -> bytes:
    return b'{"is":"Failed","message":%b,"terminal":%b}' % (text(message), b"true" if terminal else b"false")


def text(value: str) -> bytes:
    """Give a text as JSON."""
    return json.encoder.encode_basestring_ascii(value).encode("ascii")


_SCANNER = json.JSONDecoder()
ANCILLARY_BYTES = socket.CMSG_SPACE(4 * DESCRIPTORS_MAX)
NOSIGNAL, CLOEXEC = int(socket.MSG_NOSIGNAL), int(socket.MSG_CMSG_CLOEXEC)
CUT_OFF = int(socket.MSG_TRUNC | socket.MSG_CTRUNC)


# ------------------------------------------------------------------------------------------------------------ sending


def send(connection: Socket, frame: Frame, descriptors: tuple[int, ...] = ()) -> None:
    """Send one message; the descriptors stay the caller's to close. Raises `OSError`, `BlockingIOError` among it."""
    send_raw(connection, encode(frame), descriptors)


def receive(connection: Socket) -> tuple[Frame, list[int]] | None:
    """Give the next message and its descriptors (the caller's to close, close-on-exec); None: the other side is gone.

    Raises `BlockingIOError` on a non-blocking socket with nothing there, `WireError` for what is no message.
    """
    received = receive_raw(connection)
    if received is None:
        return None
    data, descriptors = received
    try:
        frame = decode(data)
        if not isinstance(frame, Frame):
            raise WireError(f"cannot read a message: it is no frame but {type(frame).__name__}")
    except WireError:
        close_all(descriptors)
        raise
    return frame, descriptors


def send_raw(connection: Socket, data: bytes, descriptors: tuple[int, ...] = ()) -> None:
    if len(data) <= DATAGRAM_BYTES:
        if descriptors:
            _send_with(connection, data, descriptors)
        else:
            connection.send(data, NOSIGNAL)
        return
    memfd = os.memfd_create("corral-message", os.MFD_CLOEXEC)
    try:
        os.write(memfd, data)
        _send_with(connection, b" ", (memfd, *descriptors))
    finally:
        os.close(memfd)


def _send_with(connection: Socket, data: bytes, descriptors: tuple[int, ...]) -> None:
    rights = struct.pack(f"={len(descriptors)}i", *descriptors)
    connection.sendmsg([data], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, rights)], NOSIGNAL)


def receive_raw(connection: Socket) -> tuple[bytes, list[int]] | None:
    try:
        return unpack(connection.recvmsg(DATAGRAM_BYTES, ANCILLARY_BYTES, CLOEXEC))
    except (
        ConnectionResetError
    ):  # said once, when the other side has ended before it read all: what it sent is still to be read
        return unpack(connection.recvmsg(DATAGRAM_BYTES, ANCILLARY_BYTES, CLOEXEC))


def unpack(received: tuple[bytes, list[tuple[int, int, bytes]], int, object]) -> tuple[bytes, list[int]] | None:
    """What `recvmsg` gave as a message and its descriptors; None: the other side is gone. Raises WireError."""
    data, ancillary, flags, _ = received
    descriptors: list[int] = []
    for _, _, content in ancillary:  # we ask for nothing but SCM_RIGHTS
        descriptors += memoryview(content[: len(content) // 4 * 4]).cast("i")
    if not data and not descriptors:
        return None
    if flags & CUT_OFF:
        close_all(descriptors)
        raise WireError("cannot read a message: it was cut off")
    if data == b" " and descriptors:
        try:
            data = _drain(descriptors.pop(0))
        except WireError:
            close_all(descriptors)
            raise
    return data, descriptors


def close_all(descriptors: Iterable[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


def _drain(memfd: int) -> bytes:
    try:
        size = os.fstat(memfd).st_size
        if size > MESSAGE_BYTES_MAX:
            raise WireError(f"cannot read a message of {size} bytes: at most {MESSAGE_BYTES_MAX}")
        return os.pread(memfd, size, 0)
    finally:
        os.close(memfd)
