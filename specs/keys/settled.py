"""A document once all is merged: what must be there is."""

from __future__ import annotations

from specs.errors import Path
from specs.findings import Findings
from specs.keys import shapes
from specs.keys.shapes import Entries, Items, Keys, Shape, Single
from specs.node import Node


def check(root: Node, shape: Shape, findings: Findings) -> None:
    """What is still empty, still missing, or no word of the specification is an error."""
    _check_below(root, shape, (), findings)


def _check_below(node: Node, shape: Shape, path: Path, findings: Findings) -> None:
    value = node.value
    if value is None:
        if not shape.can_be_null:
            findings.error(node, path, "is empty: give it a value or remove it")
        return
    match shapes.fitting(shape, value):
        case Single() as single:
            _check_word(node, single, path, findings)
        case Items(item, unique):
            for index, child in enumerate(node.sequence()):
                _check_below(child, item, (*path, index), findings)
            if unique:
                _check_each_once(node, path, findings)
        case Entries(of_each):
            for name, child in node.mapping().items():
                _check_below(child, of_each, (*path, name), findings)
        case Keys() as keys:
            for key in keys.needs:
                if key not in node.mapping():
                    findings.error(node, path, f"{key} is missing")
            for key, child in node.mapping().items():
                if (expected := keys.shape_of(key)) is not None:
                    _check_below(child, expected, (*path, key), findings)


def _check_each_once(node: Node, path: Path, findings: Findings) -> None:
    """Also what several documents say together."""
    seen: set[tuple[type, object]] = set()
    for index, item in enumerate(node.sequence()):
        if isinstance(item.value, str | int | float):
            if (type(item.value), item.value) in seen:
                findings.error(item, (*path, index), f"'{item.value}' is given twice")
            seen.add((type(item.value), item.value))


def _check_word(node: Node, shape: Single, path: Path, findings: Findings) -> None:
    if shape.check is None or isinstance(node.value, dict | list):
        return
    try:
        shape.check(node.value)
    except ValueError as error:
        findings.error(node, path, str(error))


def without_extensions(node: Node, shape: Shape) -> Node:
    """The document without what only others know."""
    match shapes.fitting(shape, node.value):
        case Items(item):
            return node.with_value([without_extensions(child, item) for child in node.sequence()])
        case Entries(of_each):
            entries = node.mapping().items()
            return node.with_value({key: without_extensions(child, of_each) for key, child in entries})
        case Keys() as keys:
            found: dict[str, Node] = {}
            for key, child in node.mapping().items():
                if (expected := keys.shape_of(key)) is not None:
                    found[key] = without_extensions(child, expected)
            return node.with_value(found)
    return node
