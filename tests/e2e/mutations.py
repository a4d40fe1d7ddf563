"""Ways to spoil a file of corral's own: lost, cut off, swapped, something else in its place, one leaf of valid JSON changed.

Each is deterministic. A `Spoiler` takes the path of the file, and that of a file of the same sort that belongs to somebody else.
"""

import copy
import json
import os
import pathlib
import re
import socket
from collections.abc import Callable, Iterator
from typing import Any

Spoiler = Callable[[pathlib.Path, pathlib.Path], None]


def _write(change: Callable[[bytes], bytes]) -> Spoiler:
    def spoil(path: pathlib.Path, other: pathlib.Path) -> None:
        path.write_bytes(change(path.read_bytes()))

    return spoil


def _instead(make: Callable[[pathlib.Path], object]) -> Spoiler:
    def spoil(path: pathlib.Path, other: pathlib.Path) -> None:
        path.unlink()
        make(path)

    return spoil


def _swapped(path: pathlib.Path, other: pathlib.Path) -> None:
    path.write_bytes(other.read_bytes())


def _listen(path: pathlib.Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(f"/proc/self/fd/{os.open(path.parent, os.O_PATH)}/{path.name}")


def _flip(text: bytes, at: int) -> bytes:
    at = at % max(1, len(text))
    return text[:at] + bytes([text[at] ^ 1]) + text[at + 1 :] if text else text


WHOLE: dict[str, Spoiler] = {
    "gone": _instead(lambda path: None),
    "empty": _write(lambda text: b""),
    "cut in the middle": _write(lambda text: text[: len(text) // 2]),
    "without its last byte": _write(lambda text: text[:-1]),
    "garbage": _write(lambda text: bytes(range(256)) * 3),
    "zeros": _write(lambda text: bytes(len(text))),
    "a list": _write(lambda text: b"[]"),
    "an empty mapping": _write(lambda text: b"{}"),
    "null": _write(lambda text: b"null"),
    "NaN": _write(lambda text: b"NaN"),
    "deep": _write(lambda text: b"[" * 200_000),
    "deep mapping": _write(lambda text: b'{"config":' * 50_000 + b"1" + b"}" * 50_000),
    "a bit flipped early": _write(lambda text: _flip(text, 40)),
    "a bit flipped in the middle": _write(lambda text: _flip(text, len(text) // 2)),
    "twice": _write(lambda text: text * 2),
    "somebody else's": _swapped,
    "a directory": _instead(lambda path: path.mkdir()),
    "a pipe": _instead(lambda path: os.mkfifo(path)),
    "a socket": _instead(_listen),
    "a link to a device": _instead(lambda path: path.symlink_to("/dev/zero")),
    "a dangling link": _instead(lambda path: path.symlink_to("/nonexistent/at-all")),
    "a stranger's": lambda path, other: os.chown(path, 12345, 12345),
    "everybody's": lambda path, other: path.chmod(0o666),
}

SEAL = re.compile(rb',"seal":"[0-9a-f]{16}"')
LEAVES: tuple[Any, ...] = (
    None,
    True,
    -1,
    0,
    10**30,
    1e300,
    "",
    "../../../../tmp/corral-mutant",
    "/etc",
    "a\0b",
    "a\nb",
    "x" * 5000,
    [],
    {},
    [[]],
    "eth0",
    "lo",
    "10.0.0.0/33",
)


def leaves_of(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths of all that is no mapping or list, and of these themselves."""
    if path:
        yield path
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in pairs:
        yield from leaves_of(each, (*path, key))


def with_leaf(value: Any, path: tuple[Any, ...], leaf: Any) -> Any:
    found = copy.deepcopy(value)
    inner = found
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = leaf
    return found


def one_leaf(path: tuple[Any, ...], leaf: Any, *, sealed: bool) -> Spoiler:
    """`sealed`: the seal stays as it was; else it is taken off, as by somebody who means it."""

    def spoil(file: pathlib.Path, other: pathlib.Path) -> None:
        text = file.read_bytes()
        said = json.loads(text if sealed else SEAL.sub(b"", text))
        file.write_text(json.dumps(with_leaf(said, path, leaf), separators=(",", ":")))

    return spoil


def leaf_spoilers(text: bytes, theirs: bytes, *, sealed: bool) -> Iterator[tuple[str, Spoiler]]:
    """One for each leaf and each value, and the leaf that somebody else's file has in that place."""
    try:
        said, other = json.loads(SEAL.sub(b"", text)), json.loads(SEAL.sub(b"", theirs))
    except ValueError:
        return
    for path in leaves_of(said):
        for leaf in (*LEAVES, _at(other, path)):
            if leaf != _at(said, path) or type(leaf) is not type(_at(said, path)):
                name = f"{'.'.join(map(str, path))} = {json.dumps(leaf)[:40]}"
                yield name, one_leaf(path, leaf, sealed=sealed)


def _at(value: Any, path: tuple[Any, ...]) -> Any:
    try:
        for key in path:
            value = value[key]
    except (KeyError, IndexError, TypeError):
        return "nothing there"
    return value
