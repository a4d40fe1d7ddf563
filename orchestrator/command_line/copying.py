"""The client's half of a copy: the local tree, and the tar stream between it and a copy worker in the container.

What comes out of a container is not trusted: it is laid down as whoever runs the command, below the place that he named.
"""

import io
import os
import socket
import stat
from collections.abc import Callable, Iterator
from typing import IO, NamedTuple

from engine import errors as engine_errors
from engine.copying import packing, placing, unpacking
from engine.process import frames, wire
from orchestrator import errors

CHUNK_BYTES = 1 << 20
SHOWN = 20
Notes = list[tuple[str, str]]


class Source(NamedTuple):
    """What is copied into containers: `place` is its O_PATH, or -1 for a tar stream from standard input."""

    place: int
    base: str
    is_directory: bool


# ----------------------------------------------------------------------------------------------------------------- local


def source_of(path: str, *, follow: bool) -> Source:
    """A local path. A link is followed where that is asked for, or the path can only mean a directory. Raises NotFound."""
    if path == "-":
        return Source(-1, "", False)
    followed = follow or placing.asserts_directory(path)
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC | (0 if followed else os.O_NOFOLLOW))
    except OSError as error:
        raise errors.NotFound(f"cannot copy {path}: {_why(error)}") from error
    base = placing.base_of(path)
    if base == "..":
        base = placing.base_of(os.path.realpath(path))
    return Source(place, base, stat.S_ISDIR(os.fstat(place).st_mode))


def target_of(path: str, *, from_directory: bool) -> tuple[int, str]:
    """The directory (a descriptor) that a copy to a local path goes into, and what it is called there; "": what it is called
    already. Raises Refused."""
    try:
        is_directory = stat.S_ISDIR(os.stat(path).st_mode)
        exists = True
    except FileNotFoundError:
        exists = is_directory = False
    except OSError as error:
        raise errors.Refused(f"cannot copy to {path}: {_why(error)}") from error
    try:
        where = placing.place(path, exists=exists, is_directory=is_directory, from_directory=from_directory)
    except engine_errors.EngineError as error:
        raise errors.Refused(str(error)) from error
    real = os.path.realpath(path)
    folder, called = (real, "") if where is placing.Where.INTO else os.path.split(real)
    try:
        return os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC), called
    except OSError as error:
        raise errors.Refused(f"cannot copy to {path}: {folder}: {_why(error)}") from error


# ---------------------------------------------------------------------------------------------------------------- copies


def into(descriptor: int, source: Source, standard_input: int = 0) -> Notes:
    """Send the source to the worker at the other end of the connection `descriptor`, which is closed. Raises Refused."""
    with socket.socket(fileno=descriptor) as connection:
        _, pipe = _started(connection)
        notes: Notes = []
        try:
            write = _writer(pipe)
            if source.place < 0:
                while data := os.read(standard_input, CHUNK_BYTES):
                    write(data)
            else:
                handles = os.open("/proc/self/fd", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
                packer = packing.Packer(write, handles)
                packer.pack(source.place, source.base)
                os.close(handles)
                notes = packer.notes
        except BrokenPipeError:
            pass  # the worker says why
        finally:
            os.close(pipe)
        return [*notes, *_ended(connection)]


def out_of(descriptor: int, target: Callable[[bool], tuple[int, str]], *, keep_owners: bool) -> Notes:
    """Lay what the worker sends where `target`, asked whether it is a directory, says. Closes `descriptor`. Raises Refused."""
    with socket.socket(fileno=descriptor) as connection:
        started, pipe = _started(connection)
        with open(pipe, "rb", buffering=0) as stream:
            top, called = target(started.is_directory)
            try:
                unpacker = unpacking.Unpacker(top, _trust(keep_owners), base=started.base, called=called)
                unpacker.unpack(_until_broken(stream))
            except engine_errors.EngineError as error:
                stream.close()
                _ended(connection)  # which knows better why there is no more to read
                raise errors.Refused(str(error)) from error
            finally:
                os.close(top)
        return [*unpacker.notes, *_ended(connection)]


def to_stream(descriptor: int, standard_output: int = 1) -> Notes:
    """Pass the tar stream on as it is. Closes `descriptor`. Raises Refused."""
    with socket.socket(fileno=descriptor) as connection:
        _, pipe = _started(connection)
        with open(pipe, "rb", buffering=0) as stream:
            write = _writer(standard_output)
            while data := stream.read(CHUNK_BYTES):
                write(data)
        return _ended(connection)


def told(notes: Notes) -> Iterator[str]:
    """One line a note, and how many more there are."""
    for name, why in notes[:SHOWN]:
        yield f"{name}: {why}" if name else why
    if len(notes) > SHOWN:
        yield f"and {len(notes) - SHOWN} more"


def _trust(keep_owners: bool) -> unpacking.Trust:
    if not keep_owners:
        return unpacking.Trust()
    return unpacking.Trust(owners=None if os.geteuid() == 0 else (-1, -1), open_modes=True)


def _started(connection: socket.socket) -> tuple[wire.CopyStarted, int]:
    received = frames.receive(connection)
    if received is None:
        raise _broken()
    frame, descriptors = received
    if isinstance(frame.body, wire.CopyStarted) and len(descriptors) == 1:
        return frame.body, descriptors[0]
    for each in descriptors:
        os.close(each)
    if isinstance(frame.body, wire.Failed):
        raise errors.Refused(frame.body.message)
    raise errors.DaemonError(f"cannot copy: unexpected {type(frame.body).__name__}")


def _ended(connection: socket.socket) -> Notes:
    received = frames.receive(connection)
    if received is None:
        raise _broken()
    body = received[0].body
    if isinstance(body, wire.Failed):
        raise errors.Refused(body.message)
    notes = [(str(name), str(why)) for name, why in body.notes]
    return [*notes, *(("", "and more") for _ in range(body.more))]


def _broken() -> errors.OrchestratorError:
    return errors.DaemonError("the copy was broken off: the container was started or removed, or the daemon ended")


def _until_broken(stream: io.FileIO) -> IO[bytes]:
    return io.BufferedReader(stream, CHUNK_BYTES)


def _writer(descriptor: int) -> Callable[[bytes], None]:
    def write(data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]

    return write


def _why(error: OSError) -> str:
    return os.strerror(error.errno or 0).lower()
