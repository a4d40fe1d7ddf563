"""Files of our own, read back as if somebody else had written them.

What is in a file is believed only if it is a plain file, ours, that nobody else may write to, of a size that we would write. A
link, a pipe or a device in its place is neither followed nor waited for. JSON is JSON: no key twice, no number that is none, no
NUL in a text, and no depth that only a joker writes.

A record that is sealed carries a digest of all that is before it, as its last field. So an edit, a lost page and a bit that fell
over are known as what they are, however sensible the result looks. One without a seal is of an older corral, or of somebody who
took the seal off because he means what he wrote: it is validated, and believed.
"""

import errno
import hashlib
import json
import math
import os
import re
import stat
from typing import Any

from engine import errors

BYTES_MAX = 64 << 20
INTEGER_MAX = 1 << 63
_SEAL = re.compile(rb',"seal":"([0-9a-f]{16})"\}\s*\Z')
_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_NO_FILE = {errno.ELOOP: "it is a symbolic link", errno.ENXIO: "it is no file", errno.EISDIR: "it is a directory"}


def content(path: str, most: int = BYTES_MAX) -> bytes:
    """All that is in the file, without waiting for anybody. Raises `RecordError`; FileNotFoundError is left to the caller."""
    try:
        descriptor = os.open(path, _OPEN)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise errors.RecordError(f"cannot read {path}: {_NO_FILE.get(error.errno or 0, error.strerror)}") from error
    try:
        if why := _distrust(os.fstat(descriptor), most):
            raise errors.RecordError(f"cannot read {path}: {why}")
        return _all(descriptor, most)
    except OSError as error:
        raise errors.RecordError(f"cannot read {path}: {error.strerror}") from error
    finally:
        os.close(descriptor)


def _distrust(found: os.stat_result, most: int) -> str:
    """Why not to read it; "": it may be read."""
    if stat.S_ISDIR(found.st_mode):
        return "it is a directory"
    if not stat.S_ISREG(found.st_mode):
        return "it is no file"
    if found.st_uid != os.geteuid():
        return f"it belongs to user {found.st_uid}"
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return "others may write to it"
    return f"it is longer than {most >> 20} MiB" if found.st_size > most else ""


def _all(descriptor: int, most: int) -> bytes:
    parts: list[bytes] = []
    while len(part := os.read(descriptor, most + 1)):
        parts.append(part)
    return b"".join(parts)[:most]


# ------------------------------------------------------------------------------------------------------------- seals


def sealed(text: bytes) -> bytes:
    """A JSON object, with the seal as its last field."""
    return b'%b,"seal":"%b"}' % (text[:-1], _digest(text[:-1])) if len(text) > 2 else text


def unsealed(path: str, text: bytes) -> bytes:
    """The object without its seal; one that has none as it is. Raises `RecordError` where the seal is broken."""
    found = _SEAL.search(text)
    if found is None:
        if b'"seal":' in text[-64:]:
            raise errors.RecordError(f"cannot read {path}: its seal is broken: it was edited, or half of it is lost")
        return text
    if _digest(text[: found.start()]) != found[1]:
        raise errors.RecordError(
            f"cannot read {path}: it was edited since corral wrote it (its seal, the last field, says so)"
        )
    return text[: found.start()] + b"}"


def _digest(text: bytes) -> bytes:
    return hashlib.sha256(text).hexdigest()[:16].encode()


# -------------------------------------------------------------------------------------------------------------- JSON


def json_of(path: str, text: bytes) -> Any:
    """What the text says. Raises `RecordError`."""
    try:
        found = json.loads(text.decode(), object_pairs_hook=_object, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise errors.RecordError(f"cannot read {path}: it is not JSON: {error}") from error
    if why := oddity(found):
        raise errors.RecordError(f"cannot read {path}: {why}")
    return found


def mapping_of(path: str, most: int = BYTES_MAX) -> dict[str, Any]:
    """The sealed or unsealed object in a file. Raises `RecordError`; FileNotFoundError is left to the caller."""
    found = json_of(path, unsealed(path, content(path, most)))
    if not isinstance(found, dict):
        raise errors.RecordError(f"cannot read {path}: it is not a mapping")
    return found


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        twice = next(key for number, (key, _) in enumerate(pairs) if key in dict(pairs[:number]))
        raise ValueError(f"{twice!r} is in it twice")
    return found


def _no_number(text: str) -> None:
    raise ValueError(f"{text} is no number")


def oddity(value: Any) -> str:
    """What is in no JSON that means something to the kernel; "": nothing of that kind. Without recursion."""
    left = [value]
    while left:
        match left.pop():
            case dict() as found:
                left.extend(found.keys())
                left.extend(found.values())
            case list() as several:
                left.extend(several)
            case str() as text if "\0" in text:
                return f"a NUL is in {text!r:.80}"
            case str() as text if _is_half(text):
                return f"half a character is in {text!r:.80}"
            case float() as number if not math.isfinite(number):
                return "a number in it is infinite"
            case int() as number if abs(number) >= INTEGER_MAX:
                return "a number in it is huge"
    return ""


def _is_half(text: str) -> bool:
    """Whether no bytes can be made of it; those that came from bytes which are no UTF-8 can."""
    try:
        text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return True
    return False
