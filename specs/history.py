"""What was laid over what while files were made one document, for who asks where a value came from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from specs.errors import Path
from specs.node import Node, Place


class Layer(NamedTuple):
    """A document that was laid over all before it. `step`: what brought it. `dropped`: the paths that it takes away from those
    before. `variables`: what was filled in."""

    step: str
    document: Node
    dropped: Sequence[Path]
    variables: Mapping[str, str]


class History:
    """`layers`, the lowest first. `written`: texts with variables as they are in the files. `env_files`: where some of the
    variables are from."""

    def __init__(self) -> None:
        self.layers: list[Layer] = []
        self.written: dict[Place, str] = {}
        self.env_files: list[str] = []

    def note_written(self, document: Node) -> None:
        todo = [document]
        while todo:
            node = todo.pop()
            todo += [*node.mapping().values(), *node.sequence()]
            if isinstance(node.value, str) and "$" in node.value:
                self.written[node.place] = node.value
