"""A process that copies to or from one container, and ends with that.

It joins the container's mount namespace, or mounts the layers of one that does not run in a namespace of its own, and has that
root as its root; it stays outside of the container's pid namespace, so nobody in there sees it. Then it gives up every right
but those over files, and can load no module any more. Every path is resolved by the kernel inside that root. The streams go
straight to the caller; it dies with the daemon.

    worker <connection> <pidfd, or -1> <pid of the daemon>

Runs as `python -I -S`, with the standard library's tarfile; never in a shim.
"""

import bz2  # noqa: F401 - what tarfile would load when it meets one: from then on, out of the container's file system
import encodings.idna  # noqa: F401
import errno
import fcntl
import gzip  # noqa: F401
import lzma  # noqa: F401
import os
import resource
import signal
import socket
import stat
import sys
import zlib  # noqa: F401
from typing import NamedTuple, NoReturn

from engine import errors
from engine.copying import packing, placing, unpacking
from engine.process import (
    backing,
    capabilities,
    frames,
    mounting,
    paths,
    rootfs,
    staging,
    syscalls,
    user_namespaces,
    wire,
)

RIGHTS = ("CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "SETFCAP")
PIPE_BYTES = 1 << 20
LINKS_MAX = 40  # linux/namei.h, MAXSYMLINKS
NOTES_MAX = 100
MEMORY_BYTES = 1 << 30
"""A tar stream may ask for any amount in one header."""


def main(arguments: list[str]) -> NoReturn:
    connection = socket.socket(fileno=int(arguments[0]))
    pidfd, daemon = int(arguments[1]), int(arguments[2])
    try:
        keep = _settle_down(daemon)
        frame, _ = frames.receive(connection) or (None, ())
        if frame is not None:
            _serve(connection, frame.body, pidfd, keep)
    finally:
        os._exit(0)


def _settle_down(daemon: int) -> int:
    """Give the capabilities that are kept inside."""
    syscalls.prctl(syscalls.PR_SET_DUMPABLE, 0)
    syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != daemon:
        os._exit(0)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    os.umask(0)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    return capabilities.mask(RIGHTS) & capabilities.ours()


def _serve(connection: socket.socket, copy: wire.Copy, pidfd: int, keep: int) -> None:
    try:
        handles = os.open("/proc/self/fd", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        _enter(copy, pidfd)
        root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        _confine(keep)
        service = Service(connection, root, handles)
        body: wire.CopyEnded | wire.Failed = service.perform(copy.order)
    except BrokenPipeError:
        return  # the caller is gone
    except errors.EngineError as error:
        body = wire.Failed(str(error), True)
    except OSError as error:
        body = wire.Failed(f"cannot copy: {error.strerror or error}", True)
    except MemoryError:
        body = wire.Failed("cannot copy: the tar stream asks for too much memory", True)
    except Exception as error:
        body = wire.Failed(f"cannot copy: {error!r}")
    frames.send(connection, wire.Frame(1, body))


def _enter(copy: wire.Copy, pidfd: int) -> None:
    """Have the container's root as ours."""
    if pidfd >= 0 and copy.ids:
        syscalls.setns(pidfd, syscalls.CLONE_NEWNS | syscalls.CLONE_NEWUSER)
        user_namespaces.join_as_root()
    elif pidfd >= 0:
        syscalls.setns(pidfd, syscalls.CLONE_NEWNS)
    else:
        _mount(copy)


def _mount(copy: wire.Copy) -> None:
    """In a user namespace as at a start: what is the machine's is shown there under the owners that it has inside."""
    operations = rootfs.at_rest(copy.overlays, copy.mounts, read_only=copy.read_only)
    trees = backing.trees(copy.mounts)
    if copy.ids:
        userns = user_namespaces.make(b"%d %d" % copy.ids)
        staging.build_for(operations, copy.root_path, copy.ids, userns, trees)
        syscalls.setns(userns, syscalls.CLONE_NEWUSER)
        user_namespaces.join_as_root()
    syscalls.unshare(syscalls.CLONE_NEWNS)
    syscalls.mount(None, "/", None, syscalls.MS_REC | syscalls.MS_PRIVATE)
    place = mounting.Mounting(copy.root_path, (), trees, is_staged=copy.ids is not None)
    for operation in operations:
        place.perform(operation)
    os.fchdir(place.root)
    os.chroot(".")


def _confine(keep: int) -> None:
    os.chdir("/")
    sys.meta_path.clear()
    sys.path_hooks.clear()
    sys.path.clear()
    capabilities.drop_bounding(keep)
    capabilities.keep_only(keep)
    syscalls.prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1)


class Target(NamedTuple):
    """Where a copy goes: into the directory `place`, or, where it is `called` something, as that entry of it."""

    place: int
    called: str = ""


class Service:
    """Performs one order in the root directory `root`."""

    def __init__(self, connection: socket.socket, root: int, handles: int) -> None:
        self._connection, self._root, self._handles = connection, root, handles

    def perform(self, order: wire.CopyOut | wire.CopyIn) -> wire.CopyEnded:
        """Raises `EngineError`, `OSError`."""
        notes = self._copy_out(order) if isinstance(order, wire.CopyOut) else self._copy_in(order)
        return wire.CopyEnded(tuple(notes[:NOTES_MAX]), max(len(notes) - NOTES_MAX, 0))

    # ----------------------------------------------------------------------------------------------------------- out

    def _copy_out(self, order: wire.CopyOut) -> list[tuple[str, str]]:
        place, base = self._source(order)
        theirs, ours = _pipe()
        started = wire.CopyStarted(base, stat.S_ISDIR(os.fstat(place).st_mode))
        frames.send(self._connection, wire.Frame(1, started), (theirs,))
        os.close(theirs)
        packer = packing.Packer(lambda data: _write_all(ours, data), self._handles)
        packer.pack(place, base, is_root=os.path.samestat(os.fstat(place), os.fstat(self._root)))
        os.close(ours)
        return packer.notes

    def _source(self, order: wire.CopyOut) -> tuple[int, str]:
        """What is copied, and what it is called. A link is followed where that is asked for, or a path can only mean a
        directory."""
        asserted = placing.asserts_directory(order.path)
        follow = order.follow or asserted
        flags = os.O_PATH | (os.O_DIRECTORY if asserted else 0) | (0 if follow else os.O_NOFOLLOW)
        try:
            place = paths.find(self._root, order.path, flags=flags)
        except OSError as error:
            raise errors.EngineError(f"cannot copy {order.path}: {_why(error)}") from error
        base = placing.base_of(order.path)
        if base == ".." or (order.follow and not asserted):
            base = placing.base_of(self._name_of(place))
        return place, base

    def _name_of(self, place: int) -> str:
        """Where that is in the root, by the kernel."""
        return os.readlink(str(place), dir_fd=self._handles)

    # ------------------------------------------------------------------------------------------------------------ in

    def _copy_in(self, order: wire.CopyIn) -> list[tuple[str, str]]:
        target = self._target(order)
        ours, theirs = _pipe()
        frames.send(self._connection, wire.Frame(1, wire.CopyStarted()), (theirs,))
        os.close(theirs)
        owners = None if order.keep_owners or not order.base else (0, 0)
        trust = unpacking.Trust(owners, set_ids=True, open_modes=True, any_links=True)
        unpacker = unpacking.Unpacker(target.place, trust, base=order.base, called=target.called)
        with open(ours, "rb") as stream:
            unpacker.unpack(stream)
            while stream.read(PIPE_BYTES):
                pass  # what follows the archive's end
        return unpacker.notes

    def _target(self, order: wire.CopyIn) -> Target:
        path = order.path
        try:
            found = paths.find(self._root, path)
        except FileNotFoundError:
            if not order.base:
                raise errors.EngineError(f"cannot copy to {path}: there is no such directory") from None
            placing.place(path, exists=False, is_directory=False, from_directory=order.is_directory)
            return self._missing(path, LINKS_MAX)
        except OSError as error:
            raise errors.EngineError(f"cannot copy to {path}: {_why(error)}") from error
        is_directory = stat.S_ISDIR(os.fstat(found).st_mode)
        if not order.base and not is_directory:
            raise errors.EngineError(f"cannot copy an archive to {path}: it is no directory")
        where = placing.place(path, exists=True, is_directory=is_directory, from_directory=order.is_directory)
        if where is placing.Where.INTO:
            return Target(found)
        return self._missing(self._name_of(found), 0)

    def _missing(self, path: str, links: int) -> Target:
        """What is not there yet, or is to be replaced: its directory, and its name in that. A link to nothing is followed."""
        above, _, name = path.rstrip("/").removesuffix("/.").rpartition("/")
        try:
            parent = paths.find(self._root, above, flags=os.O_PATH | os.O_DIRECTORY)
        except OSError as error:
            raise errors.EngineError(f"cannot copy to {path}: {above or '/'}: {_why(error)}") from error
        try:
            text = os.readlink(name, dir_fd=parent)
        except OSError:
            return Target(parent, name)
        if not links:
            raise errors.EngineError(f"cannot copy to {path}: it is a link that leads nowhere")
        return self._missing(text if text.startswith("/") else f"{above}/{text}", links - 1)


def _why(error: OSError) -> str:
    number = error.errno or 0
    if number == errno.ENOENT:
        return "there is no such file or directory"
    return os.strerror(number).lower()


def _pipe() -> tuple[int, int]:
    read, write = os.pipe2(os.O_CLOEXEC)
    try:
        fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    except OSError:
        pass  # the user has enough of them
    return read, write


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
