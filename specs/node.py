"""A document as a tree of nodes that know where they were written.

A node is never changed once made: aliases share it. Steps of the pipeline make new nodes that keep the place of the old.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, TypeAlias

from specs.errors import Path

Place: TypeAlias = tuple[str, int, int]
"""File, line, column; both counted from 1. Of a mapping's entry: where its key is."""


class Timestamp(NamedTuple):
    """A plain scalar that YAML takes for a date or a time."""

    text: str


Scalar: TypeAlias = "str | int | float | bool | Timestamp | None"
Value: TypeAlias = "Scalar | dict[str, Node] | list[Node]"


class Node:
    """`tag` is "reset" or "override" where the user wrote that, else "". `size` counts the node and all below it."""

    __slots__ = ("place", "size", "tag", "value")

    def __init__(self, value: Value, place: Place, tag: str = "", size: int = 1) -> None:
        self.value = value
        self.place = place
        self.tag = tag
        self.size = size

    def mapping(self) -> dict[str, Node]:
        """The entries; none where this is no mapping."""
        return self.value if isinstance(self.value, dict) else {}

    def sequence(self) -> list[Node]:
        """The items; none where this is no sequence."""
        return self.value if isinstance(self.value, list) else []

    def get(self, *keys: str) -> Node | None:
        """The node below these keys, None where there is none or it is null."""
        node: Node | None = self
        for key in keys:
            node = node.mapping().get(key) if node is not None else None
        return node if node is not None and node.value is not None else None

    def with_value(self, value: Value) -> Node:
        """Another value at the same place, without the tag."""
        return Node(value, self.place)


Plain: TypeAlias = "str | int | float | bool | dict[str, Plain] | list[Plain] | None"


def plain(node: Node) -> Plain:
    """The tree without places, as JSON would have it."""
    value = node.value
    if isinstance(value, dict):
        return {key: plain(child) for key, child in value.items()}
    if isinstance(value, list):
        return [plain(child) for child in value]
    return value.text if isinstance(value, Timestamp) else value


def text_of(node: Node, key: str) -> str:
    """The scalar below the key as text, "" where there is none."""
    child = node.get(key)
    return "" if child is None or isinstance(child.value, dict | list) else str(child.value)


def place_of(root: Node, path: Path) -> Place:
    """Where the path, or the nearest parent of it that exists, was written."""
    node = root
    for part in path:
        child = _child(node, part)
        if child is None:
            break
        node = child
    return node.place


def places(root: Node) -> Iterator[tuple[Path, Place]]:
    """Every path below the root, with its place."""
    todo: list[tuple[Path, Node]] = [((), root)]
    while todo:
        path, node = todo.pop()
        yield path, node.place
        todo += [((*path, key), child) for key, child in node.mapping().items()]
        todo += [((*path, index), child) for index, child in enumerate(node.sequence())]


def _child(node: Node, part: str | int) -> Node | None:
    if isinstance(part, int):
        items = node.sequence()
        return items[part] if part < len(items) else None
    return node.mapping().get(part)
