"""Read a container's log (the format is in `engine.process.logs`) from the end, since a time, or on and on.

A reader keeps its file open and its offset in it, so neither a rotation nor a new run makes it read anything twice; it loses
records only where the writer has thrown their file away before it came to them.
"""

import datetime
import json
import os
from collections.abc import AsyncIterator, Iterator
from itertools import count
from typing import NamedTuple

import anyio

from engine.process import logs

BLOCK_BYTES = 64 * 1024
POLL_S = 0.1
TIME_BYTES = 30
JSON_HEAD = b'{"time":"'


class Record(NamedTuple):
    """`time`: as in the file, UTC, of one width. `is_end`: the container's line ends here."""

    time: str
    stream: str
    is_end: bool
    text: bytes


def parse(line: bytes) -> Record | None:
    """Give the record of a line without its newline; None for one that was cut off or is not ours."""
    if line.startswith(JSON_HEAD):
        return _parse_json(line)
    fields = line.split(b" ", 3)
    if len(fields) != 4 or len(fields[0]) != TIME_BYTES or fields[2] not in (b"F", b"P"):
        return None
    return Record(
        fields[0].decode("ascii", "replace"), fields[1].decode("ascii", "replace"), fields[2] == b"F", fields[3]
    )


def _parse_json(line: bytes) -> Record | None:
    try:
        found = json.loads(line)
        time, stream, log = found["time"], found["stream"], found["log"].encode()
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    if not isinstance(stream, str) or len(time) != TIME_BYTES:
        return None
    return Record(time, stream, log.endswith(b"\n"), log.removesuffix(b"\n"))


def time_text(seconds: float) -> str:
    """A time since the epoch as it is written in logs."""
    moment = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%f") + "000Z"


class Reader:
    """Begins at the last `tail` lines (None: at the first), and gives nothing from before `since` (seconds since the epoch).

    The log need not exist yet. To be closed. `after`: begins where another reader was (`position`).
    """

    def __init__(
        self, path: str, *, tail: int | None = None, since: float | None = None, after: tuple[str, int] | None = None
    ) -> None:
        self._path = path
        self._since = "" if since is None else time_text(since)
        self._files: list[tuple[int, int]] = []  # (descriptor, offset), oldest first
        self.has_lost = False  # files that came and went between two reads
        self._open(tail)
        if after is not None:
            self._skip(*after)

    def read(self) -> list[Record]:
        """Give the next records that are complete by now, at least one if there is one; never waits."""
        while True:
            records = self._read_block()
            if records is None:
                if not self._advance():
                    return []
                continue
            wanted = [record for record in records if record.time >= self._since]
            if wanted:
                return wanted

    @property
    def position(self) -> tuple[str, int]:
        """How far it has read: the time of the file's first record, by which it is known (the inode of a file that is gone may be
        another's by now), and the offset in it."""
        if not self._files:
            return "", 0
        descriptor, offset = self._files[0]
        return _first_time(descriptor), offset

    def _skip(self, first: str, offset: int) -> None:
        """Where that file is gone, what is left is all news."""
        found = [number for number, (each, _) in enumerate(self._files) if _first_time(each) == first]
        self.has_lost = not found and first != ""
        if found:
            for descriptor, _ in self._files[: found[0]]:
                os.close(descriptor)
            self._files = self._files[found[0] :]
            self._files[0] = (self._files[0][0], min(offset, os.fstat(self._files[0][0]).st_size))

    def close(self) -> None:
        for descriptor, _ in self._files:
            os.close(descriptor)
        self._files = []

    def _open(self, tail: int | None) -> None:
        missing = tail
        for descriptor in _existing(self._path):
            if missing is None:
                self._files.insert(0, (descriptor, _first_since(descriptor, self._since) if self._since else 0))
                continue
            if missing < 0 or (missing == 0 and self._files):
                os.close(descriptor)
                continue
            offset, found = _last_lines(descriptor, missing)
            self._files.insert(0, (descriptor, offset))
            missing -= found

    def _read_block(self) -> list[Record] | None:
        """Give the records of the next block, None where there is no complete line."""
        if not self._files:
            return None
        descriptor, offset = self._files[0]
        block = os.pread(descriptor, BLOCK_BYTES, offset)
        end = block.rfind(b"\n") + 1
        if not end:
            return None
        self._files[0] = (descriptor, offset + end)
        return [record for line in block[:end].split(b"\n") if (record := parse(line)) is not None]

    def _advance(self) -> bool:
        """Go on to the next file, if there is one: then nobody writes to this one any more."""
        if len(self._files) <= 1:
            self._find_newer()
        if len(self._files) <= 1:
            return False
        descriptor, offset = self._files[0]
        if os.fstat(descriptor).st_size > offset and os.pread(descriptor, BLOCK_BYTES, offset).rfind(b"\n") >= 0:
            return True  # written between our last look and the rotation
        os.close(descriptor)
        del self._files[0]
        return True

    def _find_newer(self) -> None:
        """Open what has been begun since: all files that are newer than ours, or all, if ours is none of them any more."""
        current = os.fstat(self._files[0][0]).st_ino if self._files else None
        try:
            if current == os.stat(self._path, follow_symlinks=False).st_ino:
                return
        except FileNotFoundError:
            return
        newer: list[tuple[int, int]] = []
        is_over = False
        for descriptor in _existing(self._path):
            is_over = is_over or os.fstat(descriptor).st_ino == current
            if is_over:
                os.close(descriptor)
            else:
                newer.insert(0, (descriptor, 0))
        self.has_lost = self.has_lost or (current is not None and not is_over)
        self._files += newer


async def follow(path: str, *, tail: int | None = None, since: float | None = None) -> AsyncIterator[list[Record]]:
    """Yield records as they come, for ever, in batches. The log need not exist yet."""
    reader = Reader(path, tail=tail, since=since)
    try:
        while True:
            records = reader.read()
            if records:
                yield records
            else:
                await anyio.sleep(POLL_S)
    finally:
        reader.close()


def _existing(path: str) -> Iterator[int]:
    """The log's files, opened, the newest first. One that a rotation renames meanwhile comes once."""
    seen: set[int] = set()
    for number in count():
        descriptor = _open(logs.numbered(path, number))
        if descriptor is None:
            return
        inode = os.fstat(descriptor).st_ino
        if inode in seen:
            os.close(descriptor)
        else:
            seen.add(inode)
            yield descriptor


def _open(path: str) -> int | None:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None


def _first_time(descriptor: int) -> str:
    head = os.pread(descriptor, len(JSON_HEAD) + TIME_BYTES, 0)
    time = head[len(JSON_HEAD) :] if head.startswith(JSON_HEAD) else head[:TIME_BYTES]
    return time.decode("ascii", "replace")


def _last_lines(descriptor: int, count: int) -> tuple[int, int]:
    """Give the offset where the last `count` of the container's lines begin, and how many there are (at most `count`)."""
    size = end = os.fstat(descriptor).st_size
    if count <= 0:
        return size, 0
    found, rest = 0, b""
    while end > 0:
        start = max(0, end - BLOCK_BYTES)
        lines = (os.pread(descriptor, end - start, start) + rest).split(b"\n")
        rest, offset = lines[0], end + len(rest)
        for line in reversed(lines[1:]):
            offset -= len(line)
            record = parse(line)
            if record is not None and record.is_end:
                if found == count:
                    return offset + len(line) + 1, found
                found += 1
            offset -= 1
        end = start
    record = parse(rest)
    if record is not None and record.is_end:
        if found == count:
            return len(rest) + 1, found
        found += 1
    return 0, found


def _first_since(descriptor: int, since: str) -> int:
    """Give an offset at or before the first record from `since` on, by bisection: the start of a line."""
    low, high = 0, os.fstat(descriptor).st_size
    while high - low > BLOCK_BYTES:
        middle = (low + high) // 2
        block = os.pread(descriptor, BLOCK_BYTES, middle)
        start = block.find(b"\n") + 1
        end = block.find(b"\n", start)
        record = parse(block[start:end]) if start and end > 0 else None
        if record is None or record.time >= since:
            high = middle
        else:
            low = middle + start
    return low
