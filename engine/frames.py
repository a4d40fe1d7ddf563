"""How the messages of `engine.wire` travel.

One message is one datagram of a SOCK_SEQPACKET unix socket: a `Frame` in JSON, with file descriptors beside it where the
message says so. What does not fit into a datagram travels in a memfd: the datagram is then one space, and the memfd its first
descriptor.

Every record is a NamedTuple and is written as an object whose "is" names its type. Reading is tolerant, because a shim outlives
the daemon that started it and meets newer ones: unknown fields are dropped, missing ones take their default.

Runs in the zygote: the listed stdlib modules only.
"""

import json
import os
import socket
from typing import Any

from engine import wire
from engine.wire import Frame

DATAGRAM_BYTES = 64 * 1024  # below the default net.core.wmem_default, so that one send never fails for its size
DESCRIPTORS_MAX = 250  # linux/net/scm.h, SCM_MAX_FD is 253
MESSAGE_BYTES_MAX = 16 * 1024 * 1024

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


# ------------------------------------------------------------------------------------------------------------ sending


def pack(frame: Frame, descriptors: tuple[int, ...] = ()) -> tuple[bytes, tuple[int, ...], int]:
    """Give the datagram, its descriptors, and the memfd among them (-1: none) which the caller closes after sending."""
    data = encode(frame)
    if len(data) <= DATAGRAM_BYTES:
        return data, descriptors, -1
    memfd = os.memfd_create("corral-message", os.MFD_CLOEXEC)
    os.write(memfd, data)
    return b" ", (memfd, *descriptors), memfd


def send(connection: socket.socket, frame: Frame, descriptors: tuple[int, ...] = ()) -> None:
    """Send one message; the descriptors stay the caller's to close. Raises `OSError`, `BlockingIOError` among it."""
    data, carried, memfd = pack(frame, descriptors)
    try:
        socket.send_fds(connection, [data], list(carried), socket.MSG_NOSIGNAL)
    finally:
        if memfd >= 0:
            os.close(memfd)


def receive(connection: socket.socket) -> tuple[Frame, list[int]] | None:
    """Give the next message and its descriptors (the caller's to close, close-on-exec); None: the other side is gone.

    Raises `BlockingIOError` on a non-blocking socket with nothing there, `WireError` for what is no message.
    """
    try:
        data, descriptors, flags, _ = socket.recv_fds(
            connection, DATAGRAM_BYTES, DESCRIPTORS_MAX, socket.MSG_CMSG_CLOEXEC
        )
    except ConnectionResetError:
        return None
    if not data and not descriptors:
        return None
    try:
        if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
            raise WireError("cannot read a message: it was cut off")
        if data == b" " and descriptors:
            data = _drain(descriptors.pop(0))
        frame = decode(data)
        if not isinstance(frame, Frame):
            raise WireError(f"cannot read a message: it is no frame but {type(frame).__name__}")
    except WireError:
        for descriptor in descriptors:
            os.close(descriptor)
        raise
    return frame, descriptors


def _drain(memfd: int) -> bytes:
    try:
        size = os.fstat(memfd).st_size
        if size > MESSAGE_BYTES_MAX:
            raise WireError(f"cannot read a message of {size} bytes: at most {MESSAGE_BYTES_MAX}")
        return os.pread(memfd, size, 0)
    finally:
        os.close(memfd)
