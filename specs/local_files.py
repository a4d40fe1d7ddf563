"""Files of this machine, read with the rights of whoever runs the command; and which ones were looked for, for somebody who waits
until one of them is saved again."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

_sets: list[set[str]] = []


@contextmanager
def noted() -> Iterator[set[str]]:
    """The paths of all that is read or looked for meanwhile, also of what is not there."""
    found: set[str] = set()
    _sets.append(found)
    try:
        yield found
    finally:
        _sets.remove(found)


def note(path: str) -> str:
    """The path itself, which counts as looked for."""
    for each in _sets:
        each.add(path)
    return path


def exists(path: str) -> bool:
    return os.path.exists(note(path))


def is_file(path: str) -> bool:
    return os.path.isfile(note(path))


def content(path: str, bytes_max: int = -1) -> bytes:
    """No more than so many bytes of it. Raises OSError."""
    with open(note(path), "rb") as stream:
        return stream.read(bytes_max)


def text(path: str) -> str:
    """Without a byte order mark, every end of line a newline. Raises OSError, UnicodeDecodeError."""
    with open(note(path), encoding="utf-8-sig") as stream:
        return stream.read()
