"""`x-corral` of a service: what only corral knows of it. Canonical form, key by key."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from specs.canonical import hooks, on_change, pages
from specs.context import Context
from specs.errors import Path
from specs.node import Node


def _as_written(node: Node, path: Path, context: Context) -> Node | None:
    return node


_CONVERT: Mapping[str, Callable[[Node, Path, Context], Node | None]] = {
    "leave": hooks.canonical_leave,
    "on_change": on_change.canonical,
    "pages": pages.canonical,
    "replica": _as_written,
}


def canonical(node: Node, path: Path, context: Context) -> Node | None:
    """None where it says nothing."""
    found = {
        key: _CONVERT[key](child, (*path, key), context)
        for key, child in node.mapping().items()
        if key in _CONVERT and child.value is not None
    }
    said = {key: child for key, child in found.items() if child is not None}
    return node.with_value(said) if said else None
