"""The log of a container: what it is, and its writer. `engine.logs.reading` reads it.

One record is one line, as in Kubernetes' CRI logs:

    2025-03-01T12:00:00.123456789Z stdout F the text that the container wrote
    2025-03-01T12:00:00.123456789Z stderr P the first 16 KiB of a very long li

`F` ends a line of the container's, `P` is a part of one that goes on in the next record of the same stream. Where `json-file` is
asked for by name, a record is a line of JSON with Docker's keys, and the text of one that ends a line ends with a newline:

    {"time":"2025-03-01T12:00:00.123456789Z","stream":"stdout","attrs":{"tag":"web"},"log":"the text\n"}

A line is cut between two characters of UTF-8, so what is no UTF-8 is all that JSON loses. Times are UTC, of one width and in
one place, so records of a file sort as text. A crash in the middle of a write leaves at most one last record that is cut
off; the next writer ends it with a newline, and readers pass over what is no record. Nothing is synced: a log is not worth
the disk's time, and the kernel keeps what was written when we die.

At its size limit the file becomes NAME.1, what was that NAME.2, and so on; the last of them makes room. Where only one file is
asked for, it begins anew.

Runs in the zygote: the listed stdlib modules only.
"""

import os
import time
from json.encoder import encode_basestring

LINE_BYTES = 16 * 1024  # moby/daemon/logger/copier.go
RETRY_S = 1.0
STREAMS = ("stdout", "stderr")


class Writer:
    """`limit_bytes`: of one of `files` files; 0 is none. `attributes`: an object of JSON, and so are the records; empty: text. A
    full disk loses records and says so, once it is not full any more; it stops nobody."""

    def __init__(self, path: str, limit_bytes: int = 0, files: int = 2, attributes: bytes = b"") -> None:
        self._path = path
        self._attributes = attributes
        self._limit_bytes, self._files = limit_bytes, files
        self._rest = dict.fromkeys(STREAMS, b"")
        self._second, self._second_text = -1, ""
        self._lost = 0
        self._file, self._size = _open(path)

    def write(self, stream: str, data: bytes) -> None:
        """Write the lines that are complete, keep the rest for the next call."""
        *lines, rest = (self._rest[stream] + data).split(b"\n")
        head, records = self._head(stream), []
        for line in lines:
            *parts, last = _cut(line)
            records += [self._record(head, part, False) for part in parts]
            records.append(self._record(head, last, True))
        *parts, self._rest[stream] = _cut(rest)
        records += [self._record(head, part, False) for part in parts]
        if records:
            self._put(records)

    def flush(self) -> None:
        """Write what has no end of line; at the end of a run."""
        for stream in STREAMS:
            if self._rest[stream]:
                record = self._record(self._head(stream), self._rest[stream], False)
                self._rest[stream] = b""
                self._put([record])

    def close(self) -> None:
        self.flush()
        os.close(self._file)

    def _put(self, records: list[bytes]) -> None:
        """As many at once as fit into the file."""
        first, size = 0, self._size
        for number, record in enumerate(records if self._limit_bytes else ()):
            if size and size + len(record) > self._limit_bytes:
                self._append(b"".join(records[first:number]), number - first)
                self._begin_another()
                first, size = number, 0
            size += len(record)
        self._append(b"".join(records[first:]), len(records) - first)

    def _append(self, data: bytes, count: int) -> None:
        try:
            if self._lost:
                words = b"corral: %d lines are lost: no space" % self._lost
                data = self._record(self._head("stderr"), words, True) + data
            while data:
                written = os.write(self._file, data)
                self._size += written
                data = data[written:]
            self._lost = 0
        except OSError:
            self._lost += count

    def _begin_another(self) -> None:
        try:
            self._rotate()
        except OSError:
            pass  # it goes on in the file that there is

    def _rotate(self) -> None:
        if self._files == 1:
            os.unlink(self._path)
        for number in range(self._files - 2, -1, -1):
            try:
                os.rename(numbered(self._path, number), numbered(self._path, number + 1))
            except FileNotFoundError:
                pass  # not so many yet
        before = self._file
        self._file, self._size = _open(self._path)
        os.close(before)

    def _head(self, stream: str) -> bytes:
        if not self._attributes:
            return f"{self._timestamp()} {stream} ".encode()
        attributes = b"" if self._attributes == b"{}" else b',"attrs":' + self._attributes
        return b'{"time":"%b","stream":"%b"%b,"log":' % (self._timestamp().encode(), stream.encode(), attributes)

    def _record(self, head: bytes, text: bytes, is_end: bool) -> bytes:
        if not self._attributes:
            return b"%b%b %b\n" % (head, b"F" if is_end else b"P", text)
        whole = text + b"\n" if is_end else text
        return b"%b%b}\n" % (head, encode_basestring(whole.decode(errors="replace")).encode())

    def _timestamp(self) -> str:
        second, rest_ns = divmod(time.time_ns(), 1_000_000_000)
        if second != self._second:
            self._second, self._second_text = second, time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        return f"{self._second_text}.{rest_ns:09d}Z"


def numbered(path: str, number: int) -> str:
    """The name of a log's file; 0 is the one that is written to, the highest number the oldest."""
    return f"{path}.{number}" if number else path


def _cut(line: bytes) -> list[bytes]:
    """In parts of at most LINE_BYTES, the last of which may be empty; not within a character."""
    parts, start = [], 0
    while len(line) - start > LINE_BYTES:
        end = start + LINE_BYTES
        for back in range(4):
            if line[end - back] & 0xC0 != 0x80:  # no byte that continues a character
                end -= back
                break
        parts.append(line[start:end])
        start = end
    parts.append(line[start:])
    return parts


def _open(path: str) -> tuple[int, int]:
    """Open for appending, behind a whole record; gives (descriptor, size)."""
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
    descriptor = os.open(path, flags, 0o600)
    size = os.fstat(descriptor).st_size
    if size and os.pread(descriptor, 1, size - 1) != b"\n":
        size += os.write(descriptor, b"\n")
    return descriptor, size
