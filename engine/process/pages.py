"""A shim gives back what it has come to own of the zygote's memory without having changed it.

Python counts references in what it uses, so a shim gets copies of the pages that its code comes by; half of them are soon as
they were in the zygote, only as copies. Memory that comes from a file can be had again from it. So the zygote, before its first
fork, moves its own into one without a name (`share`), and a shim at rest drops those of its copies that are equal to the file's
(`give_back`). Both are done by a few instructions (`engine.process.page_program`). For processors that they are not written for,
and where something is refused, all stays as it is.

Nothing else may write to these pages meanwhile: neither another thread, nor a handler of a signal, nor the kernel, which writes
to a thread's own area at any time (rseq(2)): that one stays where it is.

Runs in the zygote: the listed stdlib modules only.
"""

import contextlib
import fcntl
import os
import struct
from typing import NamedTuple

from engine.process import page_program, syscalls

PAGE = 4096  # of the processors of `page_program`
OWN = 0x81
"""The first byte of what /proc/PID/pagemap says of a page that is present, and nobody's but this process's: neither of a file nor
shared with the parent."""


class Region(NamedTuple):
    address: int
    length: int
    place: int
    """In the file, as all are in bytes."""


class Shared:
    """What the zygote's memory was, and where. Made before it is shared: nothing can be given back until then."""

    def __init__(self) -> None:
        """Raises OSError where the system refuses."""
        self._share, self._return_same = syscalls.functions(page_program.code(), (0, len(page_program.SHARE)))
        self._file = os.memfd_create("corral-zygote", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        self._regions = _regions()

    def share(self) -> None:
        """Once, of the zygote, which has but one thread, and no handler for a signal."""
        self._regions = _regions()
        packed = b"".join(struct.pack("=3Q", *region) for region in self._regions)
        self._share(packed, len(self._regions), self._file)
        with contextlib.suppress(OSError):  # one who looks at a page of it just now
            fcntl.fcntl(self._file, fcntl.F_ADD_SEALS, syscalls.SEALS)

    def give_back(self) -> int:
        """Of a fork of who has shared it. Returns how many of its pages were copies, and are the zygote's again."""
        try:
            pages = self._copies()
        except OSError:
            return 0
        return self._return_same(struct.pack(f"={len(pages)}Q", *pages), len(pages) // 2, self._file)

    def _copies(self) -> list[int]:
        """Of each, the address and the place in the file."""
        pages: list[int] = []
        pagemap = os.open("/proc/self/pagemap", os.O_RDONLY | os.O_CLOEXEC)
        try:
            for address, length, place in self._regions:
                kinds = os.pread(pagemap, length // PAGE * 8, address // PAGE * 8)[7::8]
                number = kinds.find(OWN)
                while number >= 0:
                    pages += (address + number * PAGE, place + number * PAGE)
                    number = kinds.find(OWN, number + 1)
        finally:
            os.close(pagemap)
        return pages


def prepare() -> Shared | None:
    """None where it cannot be done."""
    if not page_program.code() or "shared-pages" in syscalls.missing:
        return None
    try:
        return Shared()
    except OSError:
        return None


def _regions() -> tuple[Region, ...]:
    """What is private and writable here, but the stack and the thread's own area."""
    found: list[Region] = []
    place, own = 0, syscalls.thread_area()
    with open("/proc/self/maps", "rb") as file:
        for line in file:
            span, modes, *rest = line.split()
            start, end = (int(word, 16) for word in span.split(b"-"))
            if modes == b"rw-p" and rest[3:4] != [b"[stack]"] and not start <= own < end:
                found.append(Region(start, end - start, place))
                place += end - start
    return tuple(found)
