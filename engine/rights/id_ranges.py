"""Which user and group ids of this machine somebody has: its users, to whom ranges were handed out, whose user namespaces there
are just now, our containers."""

import os
import time
from collections.abc import Iterable, Iterator

from engine.types.parts import IdRange

LOW = 65536
"""What is below is everybody's to know, and no range of ours."""
LIVING_IS_FRESH_S, STRANGE_IS_FRESH_S = 5.0, 0.2


class IdRanges:
    """What the machine has, asked again when the files have changed."""

    def __init__(self, etc: str = "/etc", proc: str = "/proc") -> None:
        self._etc, self._proc = etc, proc
        self._files: dict[str, tuple[tuple[int, int], tuple[tuple[IdRange, str], ...]]] = {}
        self._living: tuple[float, frozenset[IdRange]] = (-LIVING_IS_FRESH_S, frozenset())

    def elsewhere(self, ours: Iterable[IdRange]) -> tuple[tuple[IdRange, str], ...]:
        """All that is had, but `ours`, with the words for who has it."""
        known = set(ours)
        found = [entry for name in ("passwd", "group", "subuid", "subgid") for entry in self._file(name)]
        strange = self._maps(LIVING_IS_FRESH_S) - known
        if strange:  # perhaps one of ours that has just gone
            strange = self._maps(STRANGE_IS_FRESH_S) - known
        return (
            *found,
            *((ids, "a user namespace of the machine") for ids in sorted(strange, key=lambda ids: ids.first)),
        )

    def _file(self, name: str) -> tuple[tuple[IdRange, str], ...]:
        path = os.path.join(self._etc, name)
        try:
            seen = os.stat(path)
            version = seen.st_mtime_ns, seen.st_ino
            if name not in self._files or self._files[name][0] != version:
                with open(path, encoding="utf-8", errors="replace") as file:
                    self._files[name] = version, tuple(parsed(name, file))
        except OSError:
            return ()
        return self._files[name][1]

    def _maps(self, fresh_s: float) -> frozenset[IdRange]:
        """Of all user namespaces that a process is in, as they were at most so long ago."""
        now = time.monotonic()
        if now - self._living[0] > fresh_s:
            self._living = now, frozenset(living(self._proc))
        return self._living[1]


def parsed(name: str, lines: Iterable[str]) -> Iterator[tuple[IdRange, str]]:
    """The ids in a file of /etc that are high enough to matter."""
    for line in lines:
        fields = line.strip().split(":")
        is_range = name.startswith("sub")
        numbers = fields[1:3] if is_range else fields[2:3]
        if len(fields) < 3 or not all(number.isdecimal() for number in numbers):
            continue
        ids = IdRange(int(numbers[0]), int(numbers[1]) if is_range else 1)
        if ids.length and ids.end > LOW:
            yield ids, f"{fields[0]} in /etc/{name}"


def living(proc: str) -> Iterator[IdRange]:
    """The ids that are others in some user namespace; one that shows the machine's own takes none."""
    seen = {"", _namespace(proc, "self")}
    for pid in os.listdir(proc):
        if not pid.isdecimal() or (namespace := _namespace(proc, pid)) in seen:
            continue
        seen.add(namespace)
        for name in ("uid_map", "gid_map"):
            try:
                with open(f"{proc}/{pid}/{name}", encoding="ascii") as file:
                    maps = [[int(number) for number in line.split()] for line in file]
            except OSError:
                continue  # it is gone
            yield from (IdRange(first, count) for inside, first, count in maps if inside != first)


def _namespace(proc: str, pid: str) -> str:
    try:
        return os.readlink(f"{proc}/{pid}/ns/user")
    except OSError:
        return ""
