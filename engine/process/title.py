"""What this process is called in `ps`: its argument area, overwritten, and its thread name.

Where the last byte of the area is not NUL, the kernel shows the area only up to its first NUL (proc(5), setproctitle), so a
title shorter than the area is shown exactly. The area is inherited by forks, at the same address.

Runs in the zygote: the listed stdlib modules only.
"""

import os
from typing import NamedTuple


class Area(NamedTuple):
    address: int
    size: int


def area() -> Area:
    """Find the argument area of this process."""
    with open("/proc/self/stat", "rb") as file:
        fields = file.read().rpartition(b")")[2].split()
    # proc(5), arg_start and arg_end: fields 48 and 49; the name is field 2
    start, end = int(fields[45]), int(fields[46])
    return Area(start, end - start)


def show(where: Area, title: bytes) -> None:
    """Name this process; what does not fit is cut off. Through files: a call by ctypes would be twenty pages of memory of each
    shim."""
    text = title.replace(b"\0", b" ")[: max(0, where.size - 2)]
    if where.size > 1:
        _write("/proc/self/mem", text.ljust(where.size - 1, b"\0") + b".", where.address)
    _write("/proc/self/comm", b" ".join(text.split(b" ")[:2])[:15])


def _write(path: str, data: bytes, offset: int = 0) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        if offset:
            os.lseek(descriptor, offset, os.SEEK_SET)
        os.write(descriptor, data)
    finally:
        os.close(descriptor)
