"""Records of the shim, which are whole or not there after any crash: temp, fsync, rename, fsync of the directory.

Runs in the zygote: the listed stdlib modules only.
"""

import os
from typing import Any

from engine.process import frames


def write(path: str, record: Any) -> None:
    """Replace the file at `path` by this record of `engine.process.wire`."""
    write_raw(path, frames.encode(record))


def write_raw(path: str, content: bytes) -> None:
    draft = f"{path}.tmp"
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    descriptor = os.open(draft, flags, 0o600)
    try:
        os.write(descriptor, content)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    os.rename(draft, path)
    sync_directory(os.path.dirname(path))


def remove(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        return
    sync_directory(os.path.dirname(path))


def sync_directory(directory: str) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
