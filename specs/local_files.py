"""Files of this machine, read with the rights of whoever runs the command; and which ones were looked for, for somebody who waits
until one of them is saved again."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

Print = tuple[int, int, int, int] | None
"""What tells one state of a file from another: its device, inode, size and time of its last change (ns). None: no file."""

TEXT_BYTES_MAX = 1 << 20
"""Of a file of variables or labels."""

_noted: list[dict[str, Print]] = []


@contextmanager
def noted() -> Iterator[dict[str, Print]]:
    """The paths of all that is read or looked for meanwhile, also of what is not there, and how it was just before."""
    found: dict[str, Print] = {}
    _noted.append(found)
    try:
        yield found
    finally:
        _noted[:] = [each for each in _noted if each is not found]


def print_of(path: str) -> Print:
    try:
        found = os.stat(path)
    except (OSError, ValueError):  # the second: a NUL character
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def note(path: str) -> str:
    """The path itself, which counts as looked for."""
    for each in _noted:
        each.setdefault(path, print_of(path))
    return path


def exists(path: str) -> bool:
    return os.path.exists(note(path))


def is_file(path: str) -> bool:
    return os.path.isfile(note(path))


def content(path: str, bytes_max: int = -1) -> bytes:
    """No more than so many bytes of it. Raises OSError."""
    _refuse_nul(path)
    with open(note(path), "rb") as stream:
        return stream.read(bytes_max)


def text(path: str) -> str:
    """Without a byte order mark, every end of line a newline. Raises OSError, UnicodeDecodeError."""
    found = content(path, TEXT_BYTES_MAX + 1)
    if len(found) > TEXT_BYTES_MAX:
        raise OSError(errno.EFBIG, f"it has more than {TEXT_BYTES_MAX >> 20} MiB", path)
    return found.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")


def _refuse_nul(path: str) -> None:
    if "\0" in path:
        raise OSError(errno.EINVAL, "no path has a NUL character", path)
