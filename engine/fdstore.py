"""Copies of another process's sockets, held for the process that takes its place: what arrives at them in between waits in the
kernel, and nobody is refused."""

import json
import os
import socket

import anyio

from engine.process import frames

PART = 100
"""Keys in one message, with at most two descriptors each: the kernel takes 253."""


class FdStore:
    """Descriptors by key, up to two for each, and as many for one as for another."""

    def __init__(self) -> None:
        self._held: dict[str, list[int]] = {}

    async def take(self, connection: socket.socket) -> None:
        """Hold what arrives instead of what was held: messages of a JSON list of keys with their descriptors, the last an empty
        list. Raises OSError, ValueError or `frames.WireError`; then all is as it was."""
        found: dict[str, list[int]] = {}
        try:
            while await _take_part(connection, found):
                pass
        except BaseException:
            _close(found)
            raise
        self.close()
        self._held = found

    def give(self, connection: socket.socket) -> None:
        """Send copies of all. Raises OSError."""
        keys = list(self._held)
        for start in range(0, len(keys), PART):
            part = keys[start : start + PART]
            descriptors = [descriptor for key in part for descriptor in self._held[key]]
            frames.send_raw(connection, json.dumps(part).encode(), tuple(descriptors))

    def close(self) -> None:
        """Hold nothing any more."""
        _close(self._held)


async def _take_part(connection: socket.socket, found: dict[str, list[int]]) -> bool:
    await anyio.wait_readable(connection)
    said, descriptors = frames.receive_raw(connection) or (b"", [])
    found[""] = descriptors  # closed with the others if what comes with them makes no sense
    keys = json.loads(said)
    each, rest = divmod(len(descriptors), max(1, len(keys)))
    if rest or (descriptors and not keys):
        raise ValueError(f"{len(descriptors)} descriptors for {len(keys)} keys")
    del found[""]
    for index, key in enumerate(keys):
        found[str(key)] = descriptors[each * index : each * (index + 1)]
    return bool(keys)


def _close(held: dict[str, list[int]]) -> None:
    while held:
        for descriptor in held.popitem()[1]:
            os.close(descriptor)
