"""Variables in values: $NAME, ${NAME}, ${NAME:-default}, ${NAME-default}, ${NAME:?why}, ${NAME?why}, ${NAME:+other},
${NAME+other}, nested in each other's right side; $$ is a dollar sign.

The grammar is that of compose-go's template/template.go, a regular expression with one twist: it takes everything to the
last brace of the line, and the matching brace is searched in that. A branch that is not taken is not looked at.
"""

import contextlib
import re
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from specs.errors import Path
from specs.findings import Findings
from specs.node import Node
from specs.patterns import pattern

_NAME = pattern(r"[_a-z][_a-z0-9]*", re.IGNORECASE | re.ASCII)
_BRACES = pattern(r"\{.?|\}", re.DOTALL)  # compose-go skips what follows an opening brace
_OPERATOR = pattern(r":?[-+?]")

DEEPEST = 100
"""Of defaults in defaults."""
BRACES_DEEPEST = 500
LONGEST = 4 << 20
"""Characters of one text, and of all texts of a document together that variables were filled into: more is no project."""

Unset = Callable[[str], None]


class InterpolationError(ValueError):
    """A text whose variables cannot be filled in."""


class Variable(NamedTuple):
    """`operator` is "", or one of - + ?, perhaps after a colon; `right`: what comes after it."""

    name: str
    operator: str = ""
    right: str = ""


def substitute(text: str, variables: Mapping[str, str], unset: Unset) -> str:
    """The text with its variables filled in; `unset` hears of each that has neither value nor default.

    Raises InterpolationError: the text is malformed, or a variable that it requires has no value.
    """
    return _substitute(text, variables, unset, 0) if "$" in text else text


def _substitute(text: str, variables: Mapping[str, str], unset: Unset, depth: int) -> str:
    if depth > DEEPEST:
        raise InterpolationError(f"defaults are nested deeper than {DEEPEST} levels")
    found: list[str] = []
    length = 0
    for part in _parts(text):
        if part is None:
            raise InterpolationError(f"'{text}' has a '${{' that begins no variable; write $$ for a dollar sign")
        found.append(part if isinstance(part, str) else _value(part, variables, unset, depth))
        length += len(found[-1])
        if length > LONGEST:
            raise InterpolationError(f"with its variables it is longer than {LONGEST >> 20} Mi characters")
    return "".join(found)


def variables(text: str) -> list[Variable]:
    """The variables of the text. What is malformed has none."""
    found: list[Variable] = []
    with contextlib.suppress(InterpolationError):
        found += (part for part in _parts(text) if isinstance(part, Variable))
    return found


def interpolate(root: Node, variables: Mapping[str, str], findings: Findings) -> Node:
    """The document with the variables of all its values filled in (keys are left alone)."""
    return _Walk(variables, findings).node(root, ())


class _Walk:
    def __init__(self, variables: Mapping[str, str], findings: Findings) -> None:
        self.variables = variables
        self.findings = findings
        self.unset: set[str] = set()
        self.length = 0

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

        if self.length > LONGEST:
            return text
        try:
            found = substitute(text, self.variables, unset)
        except InterpolationError as error:
            self.findings.error(node, path, str(error))
            return text
        self.length += len(found)
        if self.length > LONGEST:
            self.findings.error(
                node, path, f"with their variables the texts are longer than {LONGEST >> 20} Mi characters"
            )
        return found


def _parts(text: str) -> Iterator[str | Variable | None]:
    """Plain text, variables, and None for what begins none."""
    position, line_end, last_brace = 0, -1, -1
    while (dollar := text.find("$", position)) >= 0:
        if dollar > position:
            yield text[position:dollar]
        following = text[dollar + 1 : dollar + 2]
        if following == "$":
            yield "$"
            position = dollar + 2
        elif following == "{":
            if dollar >= line_end:
                line_end = text.find("\n", dollar)
                line_end = len(text) if line_end < 0 else line_end
                last_brace = text.rfind("}", dollar, line_end)
            variable, position = _braced(text, dollar, last_brace)
            yield variable
        elif name := _NAME.match(text, dollar + 1):
            yield Variable(name[0])
            position = name.end()
        else:
            yield "$"
            position = dollar + 1
    yield text[position:]


def _braced(text: str, dollar: int, last_brace: int) -> tuple[Variable | None, int]:
    """The variable in braces that begins at the dollar, and where the text goes on. `last_brace`: of the line."""
    name = _NAME.match(text, dollar + 2)
    if name is None or last_brace < name.end():
        return None, dollar + 2
    operator = _OPERATOR.match(text, name.end())
    if operator is None or operator.end() > last_brace:
        is_plain = text[name.end()] == "}"
        return (Variable(name[0]), name.end() + 1) if is_plain else (None, dollar + 2)
    end = _matching(text, dollar + 1, last_brace)
    return Variable(name[0], operator[0], text[operator.end() : end]), end + 1


def _matching(text: str, opening: int, last_brace: int) -> int:
    """The brace that closes the one at `opening`; the last one of the line where none does."""
    depth = 0
    for brace in _BRACES.finditer(text, opening, last_brace + 1):
        depth += 1 if brace[0] != "}" else -1
        if depth > BRACES_DEEPEST:
            raise InterpolationError(f"braces are nested deeper than {BRACES_DEEPEST} levels")
        if depth == 0:
            return brace.start()
    return last_brace


def _value(variable: Variable, variables: Mapping[str, str], unset: Unset, depth: int) -> str:
    name, operator, right = variable
    value = variables.get(name)
    if not operator:
        if value is None:
            unset(name)
        return value or ""
    has_value = bool(value) if operator.startswith(":") else value is not None
    if operator.endswith("+"):
        return _substitute(right, variables, unset, depth + 1) if has_value else ""
    if has_value:
        return value or ""
    if operator.endswith("-"):
        return _substitute(right, variables, unset, depth + 1)
    reason = _substitute(right, variables, unset, depth + 1)
    raise InterpolationError(f"required variable {name} is missing a value" + (f": {reason}" if reason else ""))
