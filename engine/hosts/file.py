"""Blocks of ours in the machine's /etc/hosts, one a project, between lines that say so:

    # corral lab begin 1a2b3c4d
    10.20.0.2	namenode.lab namenode-1.lab
    # corral lab end 1a2b3c4d

The number is the corral's (`<root>/instance`): several live side by side in one file. What else is in the file is nobody's of
ours, and stays as it is, byte for byte; a block stays where it stands. What is left of a block that somebody has cut is ours
where it is in the project's domain.
"""

import contextlib
import errno
import math
import os
import re
import stat
import time
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass

from engine import errors
from engine.hosts.names import Line, domains_of

PATH = "/etc/hosts"
BYTES_MAX = 16 << 20
TRIES = 5
QUIET_S = 0.5
"""So long nobody else has changed the file when we do. An editor or a shell that writes it in place empties it first, and would
write the rest into a file that has been replaced."""
_MARK = re.compile(rb"# corral (\S+) (begin|end) ([0-9a-f]{8})\s*")


@dataclass(frozen=True, slots=True)
class Mark:
    project: str
    begins: bool
    instance: str


def mark_of(line: bytes) -> Mark | None:
    found = _MARK.fullmatch(line)
    return Mark(found[1].decode(errors="replace"), found[2] == b"begin", found[3].decode()) if found else None


def block(project: str, instance: str, lines: Sequence[Line]) -> bytes:
    """The text of a block; nothing for no lines."""
    if not lines:
        return b""
    whole = [f"# corral {project} begin {instance}", *map(str, lines), f"# corral {project} end {instance}"]
    return "".join(f"{line}\n" for line in whole).encode()


def edited(content: bytes, instance: str, wanted: Mapping[str, Sequence[Line]], unknown: Set[str]) -> bytes:
    """The file with exactly these blocks of this corral's, and those of `unknown` projects as they are."""
    kept, places = _without(content.splitlines(keepends=True), instance, unknown)
    new = {project: block(project, instance, lines) for project, lines in wanted.items() if lines}
    for project in sorted(new.keys() & places.keys(), key=lambda each: places[each], reverse=True):
        kept.insert(places[project], new[project])
    last = b"".join(new[project] for project in sorted(new.keys() - places.keys()))
    text = b"".join(kept)
    return text + (b"\n" if last and text and not text.endswith(b"\n") else b"") + last


def _without(lines: list[bytes], instance: str, unknown: Set[str]) -> tuple[list[bytes], dict[str, int]]:
    """The lines that are not ours, and before which of them each project's first block stood."""
    kept: list[bytes] = []
    places: dict[str, int] = {}
    at = 0
    while at < len(lines):
        mark = mark_of(lines[at])
        if mark is None or mark.instance != instance or mark.project in unknown:
            kept.append(lines[at])
            at += 1
            continue
        if mark.begins:
            places.setdefault(mark.project, len(kept))
            at = _after(lines, at, mark)
        else:  # somebody took away how it began
            while kept and _is_named(kept[-1], mark.project):
                kept.pop()
            places.setdefault(mark.project, len(kept))
            at += 1
    return kept, places


def _after(lines: list[bytes], begin: int, mark: Mark) -> int:
    """Where what follows the block begins."""
    for at in range(begin + 1, len(lines)):
        found = mark_of(lines[at])
        if found == Mark(mark.project, False, mark.instance):
            return at + 1
        if found:
            break
    at = begin + 1
    while at < len(lines) and _is_named(lines[at], mark.project):
        at += 1
    return at


def _is_named(line: bytes, project: str) -> bool:
    """Whether it is a line of a project's, by its domain."""
    domains = tuple(f".{domain}" for domain in domains_of(project))
    words = line.decode(errors="replace").partition("#")[0].split()
    return any(name.lower().endswith(domains) for name in words[1:])


# ------------------------------------------------------------------------------------------------------ on this machine


Seen = tuple[int, int, int, int]


def seen(path: str) -> Seen | None:
    """What changes with every change of the file; None: it is not there."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size


def put(
    path: str, instance: str, wanted: Mapping[str, Sequence[Line]], unknown: Set[str], ours: Seen | None = None
) -> Seen | None:
    """See that the file has exactly these blocks of ours; what was seen of it then, which is `ours` the next time. It is replaced
    whole, with its mode and its owner; where it is mounted, or its directory cannot be written, it is written in place. Where
    somebody else has just changed it, not before `QUIET_S` have gone by. Raises `EngineError`."""
    path = os.path.realpath(path)
    with contextlib.suppress(OSError):
        os.unlink(_draft(path, instance))  # of one of us who was killed over it
    try:
        for _ in range(TRIES):
            before = seen(path)
            content = _content(path) if before else b""
            text = edited(content, instance, wanted, unknown)
            if text == content:
                return before
            if before and before != ours and (rest_s := QUIET_S - _age_s(before)) > 0:
                time.sleep(rest_s)
                continue
            if after := _written(path, instance, text, before):
                return after
    except OSError as error:
        raise errors.EngineError(f"cannot write {path}: {error.strerror}") from error
    raise errors.EngineError(f"cannot write {path}: somebody else writes it all the time")


def _age_s(found: Seen) -> float:
    """How long ago it was changed; for ever, where that is still to come."""
    age_s = time.time() - found[2] / 1e9
    return age_s if age_s >= 0 else math.inf


def _content(path: str) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise errors.EngineError(f"cannot write {path}: it is no file")
        content = file.read(BYTES_MAX + 1)
    if len(content) > BYTES_MAX:
        raise errors.EngineError(f"cannot write {path}: it is larger than {BYTES_MAX >> 20} MB")
    return content


def _draft(path: str, instance: str) -> str:
    return os.path.join(os.path.dirname(path), f".{os.path.basename(path)}.corral-{instance}")


def _written(path: str, instance: str, text: bytes, before: Seen | None) -> Seen | None:
    """None where somebody else was quicker, and nothing was written."""
    draft = _draft(path, instance)
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
    except OSError:
        if before is None:
            raise
        return _written_in_place(path, text, before)
    try:
        try:
            _write(descriptor, text)
            _look_like(path if before else "", descriptor)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        after = seen(draft)
        if seen(path) != before:
            return None
        try:
            os.rename(draft, path)
        except OSError:  # EBUSY: something is mounted there
            return _written_in_place(path, text, before)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(draft)
    return after


def _look_like(path: str, descriptor: int) -> None:
    """Give it the mode, the owner and the labels that the file has; "": those of any."""
    if not path:
        os.fchmod(descriptor, 0o644)
        return
    found = os.stat(path)
    os.fchown(descriptor, found.st_uid, found.st_gid)
    os.fchmod(descriptor, stat.S_IMODE(found.st_mode))
    with contextlib.suppress(OSError):  # not every file system has them
        for name in os.listxattr(path):
            with contextlib.suppress(OSError):
                os.setxattr(descriptor, name, os.getxattr(path, name))


def _written_in_place(path: str, text: bytes, before: Seen | None) -> Seen | None:
    """First with empty lines over what is longer: who reads meanwhile, or finds it after we were killed, reads what is meant."""
    if seen(path) != before:
        return None
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        _write(descriptor, text.ljust(os.fstat(descriptor).st_size, b"\n"))
        os.ftruncate(descriptor, len(text))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return seen(path)


def _write(descriptor: int, text: bytes) -> None:
    if os.pwrite(descriptor, text, 0) != len(text):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
