"""Messages of `engine.process.wire` over a socket, without blocking the daemon: what `Shim`, `Zygote` and `Session` share."""

import os
import socket
import struct
from typing import Any

import anyio

from engine import errors
from engine.process import frames, wire


class ShimGone(errors.EngineError):
    """The shim died; its sandbox is gone with it, or going."""


async def connect(directory: str) -> socket.socket:
    """Connect to the shim of a sandbox. The path goes through a descriptor: a socket's address has room for 107 bytes.

    Raises FileNotFoundError or ConnectionRefusedError where nobody listens.
    """
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    connection.setblocking(False)
    place = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        while True:
            try:
                connection.connect(f"/proc/self/fd/{place}/{wire.SHIM_SOCKET}")
                return connection
            except BlockingIOError:  # its backlog is full
                await anyio.sleep(0.005)
    except BaseException:
        connection.close()
        raise
    finally:
        os.close(place)


async def send(connection: socket.socket, frame: wire.Frame, descriptors: tuple[int, ...] = ()) -> None:
    await send_raw(connection, frames.encode(frame), descriptors)


async def send_raw(connection: socket.socket, data: bytes, descriptors: tuple[int, ...] = ()) -> None:
    while True:
        try:
            frames.send_raw(connection, data, descriptors)
            return
        except BlockingIOError:
            await anyio.wait_writable(connection)


async def receive(connection: socket.socket) -> tuple[wire.Frame, list[int]] | None:
    """Give the next message and its descriptors; None: the other side is gone."""
    while True:
        try:
            return frames.receive(connection)
        except BlockingIOError:
            await anyio.wait_readable(connection)


async def answer(connection: socket.socket, what: str) -> Any:
    """Give the next message's body, which has no descriptors. Raises what `success` raises, and `ShimGone`."""
    body, descriptors = await answer_with_descriptors(connection, what)
    for descriptor in descriptors:
        os.close(descriptor)
    return body


async def answer_with_descriptors(connection: socket.socket, what: str) -> tuple[Any, list[int]]:
    received = await receive(connection)
    if received is None:
        raise ShimGone(f"cannot {what}: the shim died before it answered")
    return success(received[0].body), received[1]


def success(body: Any) -> Any:
    """Give an answer back unless it is Failed: then raises `TerminalEngineError` or `EngineError` with its words."""
    if isinstance(body, wire.Failed):
        raise errors.TerminalEngineError(body.message) if body.terminal else errors.EngineError(body.message)
    return body


def peer_pid(connection: socket.socket) -> int:
    """The process that listened on the other end."""
    packed = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    return int(struct.unpack("=iII", packed)[0])
