"""Tells which v2 cgroups began or ceased to have processes.

cgroup.events raises POLLPRI when it changes, and is always "readable" besides, so it cannot be waited for like a socket.
One epoll descriptor that asks for POLLPRI alone can: it is readable exactly while a change is unread.
"""

import os
import select
from collections.abc import Hashable

from engine.errors import EngineError


class Watch:
    """Wait for `fileno()` to be readable, then ask `changed()`. A change is only a hint: look at the cgroup."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._descriptors: dict[Hashable, int] = {}
        self._keys: dict[int, Hashable] = {}

    def fileno(self) -> int:
        return self._epoll.fileno()

    def add(self, key: Hashable, v2_directory: str) -> None:
        """Watch the cgroup under this key, instead of what it watched before. Raises EngineError if it is gone."""
        self.discard(key)
        path = os.path.join(v2_directory, "cgroup.events")
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise EngineError(f"cannot watch {path}: {error.strerror}") from error
        os.read(descriptor, 256)
        self._descriptors[key] = descriptor
        self._keys[descriptor] = key
        self._epoll.register(descriptor, select.EPOLLPRI)

    def discard(self, key: Hashable) -> None:
        """Watch no longer. Does nothing for a key that is not watched."""
        descriptor = self._descriptors.pop(key, None)
        if descriptor is not None:
            del self._keys[descriptor]
            self._epoll.unregister(descriptor)
            os.close(descriptor)

    def changed(self) -> dict[Hashable, bool]:
        """Mapping from each key whose cgroup changed since it was last asked to whether it has processes now. A cgroup
        that was removed has none, and is not watched any more."""
        found: dict[Hashable, bool] = {}
        for descriptor, _ in self._epoll.poll(0):
            key = self._keys[descriptor]
            try:
                os.lseek(descriptor, 0, os.SEEK_SET)
                found[key] = b"populated 1" in os.read(descriptor, 256)
            except OSError:
                found[key] = False
                self.discard(key)
        return found

    def close(self) -> None:
        for key in list(self._descriptors):
            self.discard(key)
        self._epoll.close()
