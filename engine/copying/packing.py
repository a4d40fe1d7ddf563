"""A file or a tree as a tar stream, read by descriptor: no link in it is followed, whoever swaps one in meanwhile.

A regular file is opened twice: once as O_PATH, to see what it is, and then that very file through /proc/self/fd. So nothing
that has an effect when it is opened (a device, a fifo) is ever opened. Content passes in pieces; a file that shrinks meanwhile
is filled up with zeros, one that grows is cut off.
"""

import os
import stat
import tarfile
from collections.abc import Callable, Iterator
from typing import NamedTuple

from engine.copying import attributes

CHUNK_BYTES = 1 << 20
KERNEL_OWN = ("dev", "proc", "sys")
ZEROS = bytes(CHUNK_BYTES)
KINDS = {
    stat.S_IFREG: tarfile.REGTYPE,
    stat.S_IFDIR: tarfile.DIRTYPE,
    stat.S_IFLNK: tarfile.SYMTYPE,
    stat.S_IFIFO: tarfile.FIFOTYPE,
    stat.S_IFCHR: tarfile.CHRTYPE,
    stat.S_IFBLK: tarfile.BLKTYPE,
}


class Entry(NamedTuple):
    """A thing to pack: `place` is O_PATH, `name` its name in the stream."""

    place: int
    name: str
    found: os.stat_result

    @property
    def is_directory(self) -> bool:
        return stat.S_ISDIR(self.found.st_mode)


class Open(NamedTuple):
    """A directory that is being packed, and what is still to come of it."""

    entry: Entry
    names: Iterator[str]


class Packer:
    """`write` takes the stream; `handles` is /proc/self/fd, opened where that is the machine's. Afterwards, `notes` says what is
    not as it was: (name, why) pairs."""

    def __init__(self, write: Callable[[bytes], object], handles: int) -> None:
        self._write, self._handles = write, handles
        self._linked: dict[tuple[int, int], str] = {}
        self.notes: list[tuple[str, str]] = []

    def pack(self, place: int, base: str, *, is_root: bool = False) -> None:
        """Pack what `place` (O_PATH) is, under the name `base`, to the end of the stream. `is_root`: of a container's root the
        kernel's own directories are left empty."""
        top = Entry(os.dup(place), base, os.fstat(place))
        self._entry(top)
        if top.is_directory:
            self._tree(top, KERNEL_OWN if is_root else ())
        else:
            os.close(top.place)
        self._write(tarfile.NUL * (2 * tarfile.BLOCKSIZE))

    def _tree(self, top: Entry, left_empty: tuple[str, ...]) -> None:
        """A directory comes before what is in it; as many are open at a time as the tree is deep."""
        opened = [Open(top, iter(self._names(top)))]
        try:
            while opened:
                here = opened[-1]
                name = next(here.names, None)
                if name is None:
                    os.close(opened.pop().entry.place)
                elif (entry := _find(here.entry, name)) is not None:
                    self._entry(entry)
                    if entry.is_directory and not (len(opened) == 1 and name in left_empty):
                        opened.append(Open(entry, iter(self._names(entry))))
                    else:
                        os.close(entry.place)
        finally:
            for here in opened:
                os.close(here.entry.place)

    def _names(self, directory: Entry) -> list[str]:
        try:
            readable = self._open(directory.place, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            self.notes.append((directory.name, f"cannot be read: {error.strerror}"))
            return []
        try:
            return sorted(os.listdir(readable))
        finally:
            os.close(readable)

    def _open(self, place: int, flags: int) -> int:
        """Open that very thing, not what has its name by now."""
        return os.open(str(place), flags | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=self._handles)

    def _entry(self, entry: Entry) -> None:
        kind = KINDS.get(stat.S_IFMT(entry.found.st_mode))
        if kind is None:
            return  # a socket: no tar has any
        info = header(entry, kind)
        if kind == tarfile.SYMTYPE:
            info.linkname = os.readlink("", dir_fd=entry.place)
        elif kind != tarfile.DIRTYPE and entry.found.st_nlink > 1:
            key = entry.found.st_dev, entry.found.st_ino
            if (first := self._linked.setdefault(key, entry.name)) != entry.name:
                info.type, info.linkname, info.size = tarfile.LNKTYPE, first, 0
        if info.type == tarfile.REGTYPE:
            self._file(entry, info)
        elif info.type == tarfile.DIRTYPE:
            self._directory(entry, info)
        else:
            self._write(encoded(info))

    def _directory(self, entry: Entry, info: tarfile.TarInfo) -> None:
        try:
            readable = self._open(entry.place, os.O_RDONLY | os.O_DIRECTORY)
        except OSError:
            readable = -1  # which is told where its names are looked for
        if readable >= 0:
            self._attributes(readable, info)
            os.close(readable)
        self._write(encoded(info))

    def _attributes(self, readable: int, info: tarfile.TarInfo) -> None:
        info.pax_headers, why = attributes.read(readable)
        if why:
            self.notes.append((info.name, why))

    def _file(self, entry: Entry, info: tarfile.TarInfo) -> None:
        try:
            source = self._open(entry.place, os.O_RDONLY)
        except OSError as error:
            self.notes.append((entry.name, f"cannot be read: {error.strerror}"))
            return
        try:
            self._attributes(source, info)
            self._write(encoded(info))
            left = info.size
            while left and (data := self._read(source, min(left, CHUNK_BYTES), entry.name)):
                self._write(data)
                left -= len(data)
        finally:
            os.close(source)
        if left:
            self.notes.append((entry.name, "became shorter while it was read: its end is zeros"))
        while left:
            data = ZEROS[: min(left, CHUNK_BYTES)]
            self._write(data)
            left -= len(data)
        self._write(ZEROS[: -info.size % tarfile.BLOCKSIZE])

    def _read(self, source: int, count: int, name: str) -> bytes:
        try:
            return os.read(source, count)
        except OSError as error:
            self.notes.append((name, f"cannot be read to its end: {error.strerror}"))
            return b""


def _find(directory: Entry, name: str) -> Entry | None:
    try:
        place = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory.place)
    except FileNotFoundError:
        return None  # it has gone meanwhile
    return Entry(place, f"{directory.name}/{name}", os.fstat(place))


def header(entry: Entry, kind: bytes) -> tarfile.TarInfo:
    found = entry.found
    info = tarfile.TarInfo(entry.name)
    info.type, info.mode, info.uid, info.gid = kind, stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid
    info.mtime = found.st_mtime_ns // 10**9
    info.size = found.st_size if kind == tarfile.REGTYPE else 0
    if kind in (tarfile.CHRTYPE, tarfile.BLKTYPE):
        info.devmajor, info.devminor = os.major(found.st_rdev), os.minor(found.st_rdev)
    return info


def encoded(info: tarfile.TarInfo) -> bytes:
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")
