"""Variables in values: $NAME, ${NAME}, ${NAME:-default}, ${NAME-default}, ${NAME:?why}, ${NAME?why}, ${NAME:+other},
${NAME+other}, nested in each other's right side; $$ is a dollar sign.

The grammar is that of compose-go's template/template.go, a regular expression with one twist: it takes everything to the
last brace of the line, and the matching brace is searched in that. A branch that is not taken is not looked at.
"""

import re
from collections.abc import Callable, Mapping

from specs.errors import Path
from specs.findings import Findings
from specs.node import Node

_VARIABLE = re.compile(
    r"\$(?:(?P<escaped>\$)|(?P<named>[_a-z][_a-z0-9]*)"
    r"|\{(?:(?P<braced>[_a-z][_a-z0-9]*(?::?[-+?](?:.*))?)\}|(?P<invalid>)))",
    re.IGNORECASE | re.ASCII,
)
_BRACED = re.compile(r"([_a-z][_a-z0-9]*)(:?[-+?])?(.*)", re.IGNORECASE | re.ASCII | re.DOTALL)

Unset = Callable[[str], None]


class InterpolationError(ValueError):
    """A text whose variables cannot be filled in."""


def substitute(text: str, variables: Mapping[str, str], unset: Unset) -> str:
    """The text with its variables filled in; `unset` hears of each that has neither value nor default.

    Raises InterpolationError: the text is malformed, or a variable that it requires has no value.
    """
    if "$" not in text:
        return text

    def replacement(match: re.Match[str]) -> str:
        if match["escaped"]:
            return "$"
        if match["named"]:
            return _value(match["named"], variables, unset)
        if match["braced"] is None:
            raise InterpolationError(f"'{text}' has a '${{' that begins no variable; write $$ for a dollar sign")
        inside, rest = _split(match[0])
        return _braced(inside, variables, unset) + substitute(rest, variables, unset)

    return _VARIABLE.sub(replacement, text)


def variables(text: str) -> list[tuple[str, str, str]]:
    """The variables of the text: name, operator, and what is right of it. What is malformed has none."""
    found: list[tuple[str, str, str]] = []
    for match in _VARIABLE.finditer(text):
        if match["named"]:
            found.append((match["named"], "", ""))
        elif match["braced"] is not None:
            inside, rest = _split(match[0])
            if braced := _BRACED.fullmatch(inside):
                found.append((braced[1], braced[2] or "", braced[3]))
            found += variables(rest)
    return found


def interpolate(root: Node, variables: Mapping[str, str], findings: Findings) -> Node:
    """The document with the variables of all its values filled in (keys are left alone)."""
    return _Walk(variables, findings).node(root, ())


class _Walk:
    def __init__(self, variables: Mapping[str, str], findings: Findings) -> None:
        self.variables = variables
        self.findings = findings
        self.unset: set[str] = set()

    def node(self, node: Node, path: Path) -> Node:
        value = node.value
        if isinstance(value, dict):
            return node.with_value({key: self.node(child, (*path, key)) for key, child in value.items()})
        if isinstance(value, list):
            return node.with_value([self.node(child, (*path, i)) for i, child in enumerate(value)])
        if isinstance(value, str) and "$" in value:
            return node.with_value(self.text(value, node, path))
        return node

    def text(self, text: str, node: Node, path: Path) -> str:
        def unset(name: str) -> None:
            if name not in self.unset:
                self.findings.note(node, path, f"the variable {name} is not set, an empty text stands for it")
            self.unset.add(name)

        try:
            return substitute(text, self.variables, unset)
        except InterpolationError as error:
            self.findings.error(node, path, str(error))
            return text


def _value(name: str, variables: Mapping[str, str], unset: Unset) -> str:
    if name not in variables:
        unset(name)
    return variables.get(name, "")


def _braced(inside: str, variables: Mapping[str, str], unset: Unset) -> str:
    match = _BRACED.fullmatch(inside)
    assert match is not None
    name, operator, right = match[1], match[2], match[3]
    if not operator:
        return _value(name, variables, unset)
    value = variables.get(name)
    has_value = bool(value) if operator.startswith(":") else value is not None
    if operator.endswith("+"):
        return substitute(right, variables, unset) if has_value else ""
    if has_value:
        return value or ""
    if operator.endswith("-"):
        return substitute(right, variables, unset)
    reason = substitute(right, variables, unset)
    raise InterpolationError(f"required variable {name} is missing a value" + (f": {reason}" if reason else ""))


def _split(text: str) -> tuple[str, str]:
    """What is inside the braces that "${…}…" begins with, and what follows them."""
    depth, position = 0, 0
    while position < len(text):
        if text[position] == "}":
            depth -= 1
            if depth == 0:
                return text[2:position], text[position + 1 :]
        elif text[position] == "{":
            depth += 1
            position += 1  # compose-go skips what follows an opening brace
        position += 1
    return text[2:-1], ""
