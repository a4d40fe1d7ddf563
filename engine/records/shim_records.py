"""What shims say and write, checked: a message that is none of ours, or of another shape, is an error and no surprise later.

The types are those that `engine.process.wire` declares. Records of an older or newer shim pass: fields that it does not know, or
has beside ours, are dropped by `engine.process.frames`.
"""

import os
import types
import typing
from functools import cache
from typing import Any, TypeVar

from engine import errors
from engine.process import frames, wire
from engine.records import trusted

Record = TypeVar("Record")


def read(kind: type[Record], path: str) -> Record:
    """The record in a file. Raises `RecordError`; FileNotFoundError is left to the caller."""
    content = trusted.content(path, frames.MESSAGE_BYTES_MAX)
    try:
        found = frames.decode(content)
    except frames.WireError as error:
        raise errors.RecordError(f"cannot read {path}: {error}") from error
    if not isinstance(found, kind) or not conforms(found):
        raise errors.RecordError(f"cannot read {path}: it is no record of {kind.__name__.lower()}")
    return found


def identity_of(directory: str) -> wire.Identity | None:
    """Read the identity record of a sandbox's shim; None: it never got that far. Raises `RecordError`."""
    try:
        return read(wire.Identity, os.path.join(directory, wire.SHIM_RECORD))
    except FileNotFoundError:
        return None


def conforms(record: Any) -> bool:
    """Whether each field of a record of `wire` is what it is declared to be, down to the leaves."""
    return all(_is(getattr(record, name), hint) for name, hint in _hints(type(record).__name__).items())


@cache
def _hints(kind_name: str) -> dict[str, Any]:
    return typing.get_type_hints(getattr(wire, kind_name))


def _is(value: Any, hint: Any) -> bool:
    if hint is Any:
        return True
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        return any(_is(value, each) for each in arguments)
    if origin is tuple:
        if not isinstance(value, tuple):
            return False
        if len(arguments) == 2 and arguments[1] is Ellipsis:
            return all(_is(each, arguments[0]) for each in value)
        return len(value) == len(arguments) and all(map(_is, value, arguments))
    if hint is None or hint is type(None):
        return value is None
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool) and value == value and abs(value) < 1e18
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool) and abs(value) < trusted.INTEGER_MAX
    return isinstance(value, hint) and (not hasattr(value, "_fields") or conforms(value))


def title_of(pid: int) -> str:
    """What a process calls itself; "" for one that is gone, or just going."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return os.fsdecode(file.read(4096).partition(b"\0")[0])
    except OSError:
        return ""
