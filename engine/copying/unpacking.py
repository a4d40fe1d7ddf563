"""A tar stream laid into a directory, by descriptor: nothing that it names, links to or planted before leads outside.

Each name is walked down from the top, component by component, and no link is followed on the way. A file that is there is
replaced, never written into. What is refused of an untrusted stream is what tarfile's data filter refuses: absolute names and
`..`, links that lead outside, devices and fifos; and of the modes, set-uid bits and what others may write.
"""

import os
import stat
import tarfile
from typing import IO, Any, NamedTuple

from engine import errors
from engine.copying import attributes

CHUNK_BYTES = 1 << 16
ZEROS = bytes(CHUNK_BYTES)
DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
Names = tuple[str, ...]


class Trust(NamedTuple):
    """What is taken over from a stream. `owners`: (uid, gid) for everything, None for what the stream says, (-1, -1) for ours.
    `set_ids`: set-uid, set-gid and sticky bits, and capabilities of programs; `open_modes`: what group and others may write;
    `any_links`: wherever they lead."""

    owners: tuple[int, int] | None = (-1, -1)
    set_ids: bool = False
    open_modes: bool = False
    any_links: bool = False


class Refusal(Exception):
    """An entry that is left out, and why."""


class Unpacker:
    """Lays entries below `top`, a directory's descriptor. `base` becomes `called`: the first component of every name. Both "":
    names stay. Afterwards, `notes` says what was left out: (name, why) pairs."""

    def __init__(self, top: int, trust: Trust, *, base: str = "", called: str = "") -> None:
        self._top, self._trust, self._base, self._called = top, trust, base, called
        self._directories: dict[Names, tarfile.TarInfo] = {}
        self.notes: list[tuple[str, str]] = []

    def unpack(self, stream: IO[bytes]) -> None:
        """To the end of the tar stream, compressed or not. Raises `EngineError`; what was laid so far stays."""
        try:
            with tarfile.open(mode="r|*", fileobj=stream) as tar:
                for member in tar:
                    tar.members.clear()  # type: ignore[attr-defined] # of a million entries it would keep every one
                    self._take(tar, member)
                    _skip(tar)
                self._finish()
        except RecursionError as error:
            raise errors.EngineError("cannot read the tar stream: it has too many headers about headers") from error
        except (TypeError, LookupError, AttributeError) as error:  # tarfile's own, where a header ends too early
            raise errors.EngineError("cannot read the tar stream: it is broken") from error
        except (tarfile.TarError, EOFError, ValueError, OverflowError) as error:
            raise errors.EngineError(f"cannot read the tar stream: {error}") from error

    def _take(self, tar: tarfile.TarFile, member: tarfile.TarInfo) -> None:
        if member.size < 0:
            raise tarfile.ReadError(
                f"{member.name} ends before it begins"
            )  # tarfile would go back, or stop, without a word
        try:
            names = self._names(member.name)
            if not names:
                return  # the top itself, which is there
            self._lay(tar, member, names)
        except Refusal as refusal:
            self.notes.append((member.name, str(refusal)))
        except OSError as error:
            raise errors.EngineError(f"cannot copy {member.name}: {error.strerror}") from error

    def _names(self, name: str) -> Names:
        """The components of where an entry goes. Raises Refusal."""
        if name.startswith("/"):
            raise Refusal("its name is absolute")
        names = tuple(each for each in name.split("/") if each not in ("", "."))
        if ".." in names or any("\0" in each for each in names):
            raise Refusal("its name leads elsewhere")
        if not self._called:
            return names
        if self._base == ".":
            return (self._called, *names)
        if names[:1] != (self._base,):
            raise Refusal("it is no part of what was asked for")
        return (self._called, *names[1:])

    # ------------------------------------------------------------------------------------------------------- entries

    def _lay(self, tar: tarfile.TarFile, member: tarfile.TarInfo, names: Names) -> None:
        parent = self._parent(names)
        try:
            if member.isdir():
                self._directory(parent, names, member)
                return
            self._clear(parent, names)
            if member.isreg():
                self._file(parent, names[-1], tar, member)
            elif member.issym():
                self._symlink(parent, names, member)
            elif member.islnk():
                self._hard_link(parent, names[-1], member)
            else:
                raise Refusal("it is a device or a fifo")
        finally:
            os.close(parent)

    def _parent(self, names: Names) -> int:
        """The directory above, made where it is missing. Raises `OSError` for one that is a link."""
        place = os.dup(self._top)
        for name in names[:-1]:
            try:
                below = os.open(name, DIRECTORY, dir_fd=place)
            except FileNotFoundError:
                os.mkdir(name, 0o755, dir_fd=place)
                below = os.open(name, DIRECTORY, dir_fd=place)
            finally:
                above, place = place, -1
                os.close(above)
            place = below
        return place

    def _directory(self, parent: int, names: Names, member: tarfile.TarInfo) -> None:
        found = _look(parent, names[-1])
        if found and not stat.S_ISDIR(found.st_mode):
            raise errors.EngineError(f"cannot copy {member.name}: a directory cannot replace what is no directory")
        if not found:
            os.mkdir(names[-1], 0o700, dir_fd=parent)
        self._directories[names] = member

    def _clear(self, parent: int, names: Names) -> None:
        """Take away what is in the place of a file."""
        found = _look(parent, names[-1])
        if found and stat.S_ISDIR(found.st_mode):
            raise errors.EngineError(f"cannot copy {'/'.join(names)}: a file cannot replace a directory")
        if found:
            os.unlink(names[-1], dir_fd=parent)

    def _file(self, parent: int, name: str, tar: tarfile.TarFile, member: tarfile.TarInfo) -> None:
        assert tar.fileobj is not None
        tar.fileobj.seek(member.offset_data)
        target = os.open(name, NEW_FILE, 0o600, dir_fd=parent)
        try:
            for offset, length in _parts(member):
                os.lseek(target, offset, os.SEEK_SET)
                _copy(tar.fileobj, target, length)
            os.ftruncate(target, member.size)
            self._attributes(target, member)
        finally:
            os.close(target)

    def _symlink(self, parent: int, names: Names, member: tarfile.TarInfo) -> None:
        if not self._trust.any_links and _leads_outside(names[:-1], member.linkname, bool(self._called)):
            raise Refusal(f"it is a link that leads outside, to {member.linkname}")
        os.symlink(member.linkname, names[-1], dir_fd=parent)
        uid, gid = self._owners(member)
        os.chown(names[-1], uid, gid, dir_fd=parent, follow_symlinks=False)

    def _hard_link(self, parent: int, name: str, member: tarfile.TarInfo) -> None:
        target = self._names(member.linkname)
        if not target:
            raise Refusal("it is a link to nothing")
        above = self._parent(target)
        try:
            found = _look(above, target[-1])
            if not found or not stat.S_ISREG(found.st_mode):
                raise Refusal(f"{member.linkname}, which it is a link to, is not there")
            os.link(target[-1], name, src_dir_fd=above, dst_dir_fd=parent, follow_symlinks=False)
        finally:
            os.close(above)

    # ---------------------------------------------------------------------------------------------------- attributes

    def _finish(self) -> None:
        """Directories get theirs last, the deepest first: one that is read-only is filled by then."""
        for names, member in reversed(self._directories.items()):
            try:
                parent = self._parent(names)
                try:
                    place = os.open(names[-1], DIRECTORY, dir_fd=parent)
                finally:
                    os.close(parent)
            except OSError:
                continue  # somebody has put something else there meanwhile
            try:
                self._attributes(place, member)
            finally:
                os.close(place)

    def _attributes(self, place: int, member: tarfile.TarInfo) -> None:
        """Of a file or a directory; the mode after the owners, whose change takes set-uid bits and capabilities away."""
        os.fchown(place, *self._owners(member))
        mode = member.mode & 0o7777
        if not self._trust.set_ids:
            mode &= 0o777
        if not self._trust.open_modes:
            mode = mode & ~0o022 | (0o700 if member.isdir() else 0o600)
        os.fchmod(place, mode)
        if why := attributes.write(place, member, capabilities=self._trust.set_ids):
            self.notes.append((member.name, why))
        try:
            os.utime(place, (member.mtime, member.mtime))
        except (OSError, OverflowError, ValueError):
            pass  # a time that this file system does not know

    def _owners(self, member: tarfile.TarInfo) -> tuple[int, int]:
        return (member.uid, member.gid) if self._trust.owners is None else self._trust.owners


def _look(parent: int, name: str) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return None


def _leads_outside(above: Names, text: str, is_renamed: bool) -> bool:
    """Whether a link in the directory `above` may lead out of what is copied: out of the top, or, where the copy has a name of
    its own, out of that. `..` is counted from the link's own directory only, which is a real one: after a name, it counts from
    wherever that name leads, a link of the same stream too."""
    if text.startswith("/"):
        return True
    depth, is_after_a_name = len(above), False
    for each in text.split("/"):
        if each == ".." and is_after_a_name:
            return True
        is_after_a_name |= each not in ("", ".", "..")
        depth += -1 if each == ".." else 0 if each in ("", ".") else 1
        if depth < (1 if is_renamed else 0):
            return True
    return False


def _parts(member: tarfile.TarInfo) -> list[tuple[int, int]]:
    """(offset, length) of what the stream has of a file, one after the other; of holes it has nothing, however long they are."""
    parts: Any = member.sparse  # by its stub it is bytes
    return [(0, member.size)] if parts is None else list(parts)


def _copy(stream: Any, target: int, length: int) -> None:
    """`stream`: the tar stream, where the part begins."""
    while length > 0:
        data = stream.read(min(length, CHUNK_BYTES))
        if not data:
            raise tarfile.ReadError("unexpected end of data")
        if data == ZEROS:
            os.lseek(target, CHUNK_BYTES, os.SEEK_CUR)  # a hole
        else:
            _write_all(target, data)
        length -= len(data)


def _skip(tar: tarfile.TarFile) -> None:
    """Go on to the next header; tarfile would look for the end of an entry as long as it is said to be, also where nothing is."""
    stream: Any = tar.fileobj
    while (left := tar.offset - stream.tell()) > 0:
        if not stream.read(min(left, CHUNK_BYTES)):
            raise tarfile.ReadError("unexpected end of data")


def _write_all(target: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(target, view) :]
