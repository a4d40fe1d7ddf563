"""A document once all is merged: what must be there is, and what is not supported yet goes no further."""

from __future__ import annotations

from specs import shapes
from specs.errors import Path
from specs.findings import Findings
from specs.node import Node
from specs.shapes import Entries, Items, Keys, Shape, Single


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
        case Items(item):
            for index, child in enumerate(node.sequence()):
                _check_below(child, item, (*path, index), findings)
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


def _check_word(node: Node, shape: Single, path: Path, findings: Findings) -> None:
    if shape.check is None or isinstance(node.value, dict | list):
        return
    try:
        shape.check(node.value)
    except ValueError as error:
        findings.error(node, path, str(error))


def supported(root: Node, shape: Shape, findings: Findings) -> Node:
    """The document without extensions. What is not supported yet is an error, and left out."""
    return _supported(root, shape, (), findings)


def _supported(node: Node, shape: Shape, path: Path, findings: Findings) -> Node:
    match shapes.fitting(shape, node.value):
        case Items(item):
            items = enumerate(node.sequence())
            return node.with_value([_supported(child, item, (*path, index), findings) for index, child in items])
        case Entries(of_each):
            entries = node.mapping().items()
            return node.with_value({key: _supported(child, of_each, (*path, key), findings) for key, child in entries})
        case Keys() as keys:
            found: dict[str, Node] = {}
            for key, child in node.mapping().items():
                expected = keys.known.get(key) or keys.others
                if expected is not None:
                    found[key] = _supported(child, expected, (*path, key), findings)
                elif key in keys.later:
                    findings.error(child, (*path, key), f"{key} is not supported yet")
            return node.with_value(found)
    return node
