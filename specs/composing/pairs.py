"""NAME=VALUE lists, and maps, as maps to text."""

from __future__ import annotations

from specs import scalars
from specs.errors import Path
from specs.findings import Findings
from specs.node import Node


def spell_out(node: Node, path: Path, findings: Findings, *, bare: str | None) -> Node:
    """A mapping to text. `bare` is the value of a name that has none."""
    if isinstance(node.value, dict):
        found = node.value.items()
        return node.with_value({name: child.with_value(_pair_value(child, bare)) for name, child in found})
    entries: dict[str, Node] = {}
    for index, item in enumerate(node.sequence()):
        name, equals, value = scalars.as_text(scalar(item)).partition("=")
        if name != name.rstrip():
            findings.error(item, (*path, index), f"'{name}' is not a name: it ends with a space")
        entries[name] = item.with_value(value if equals else bare)
    return node.with_value(entries)


def _pair_value(node: Node, bare: str | None) -> str | None:
    return bare if node.value is None else scalars.as_text(scalar(node))


def scalar(node: Node) -> str | int | float | bool | None:
    return None if isinstance(node.value, dict | list) else scalars.unwrapped(node.value)
