"""The variables that a document names, and what it says of each: `config --variables`."""

from __future__ import annotations

from typing import NamedTuple

from specs.files import interpolation
from specs.node import Node


class Variable(NamedTuple):
    """`default`: what stands for it where it has no value; `alternate`: where it has one. `required`: it must have one."""

    name: str
    required: bool = False
    default: str = ""
    alternate: str = ""


def of_document(root: Node) -> list[Variable]:
    """By name; of what is said several times the last with more than the name."""
    found: dict[str, Variable] = {}
    todo = [root]
    while todo:
        node = todo.pop(0)
        todo = [*node.mapping().values(), *node.sequence(), *todo]
        if isinstance(node.value, str):
            for variable in of_text(node.value):
                if variable != Variable(variable.name) or variable.name not in found:
                    found[variable.name] = variable
    return [found[name] for name in sorted(found)]


def of_text(text: str, depth: int = 0) -> list[Variable]:
    """Those of the text, and those in their defaults."""
    found: list[Variable] = []
    if depth > interpolation.DEEPEST:
        return found
    for name, operator, right in interpolation.variables(text):
        kind = operator.removeprefix(":")
        found.append(Variable(name, kind == "?", right if kind == "-" else "", right if kind == "+" else ""))
        found += of_text(right, depth + 1)
    return found
