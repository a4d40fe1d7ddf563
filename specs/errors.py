"""What can be wrong with what the user wrote.

SpecErrors        all errors that were found, at once; `located` puts file, line and column to those with only a path
└── SpecError     one of them: where, what, and a way out where we know one

A message is lowercase and says the value and the rule. Printed: `compose.yaml:14:7: services.dn1.user: why`.
"""

from collections.abc import Iterable
from typing import NamedTuple, Protocol

Path = tuple[str | int, ...]
"""Where in the document: keys and indexes, from the top."""


SHOWN_MOST = 1000
LONGEST = 1000
"""Characters of a message: it may quote what was written."""


class Locator(Protocol):
    """Knows where in the user's files a path was written."""

    def locate(self, path: Path) -> tuple[str, int, int] | None: ...


class SpecError(NamedTuple):
    """One error. `line` and `column` count from 1; 0 and an empty `file`: not known."""

    path: Path
    message: str
    file: str = ""
    line: int = 0
    column: int = 0
    hint: str = ""

    def __str__(self) -> str:
        where = ""
        if self.file:
            where = f"{self.file}:{self.line}:{self.column}: " if self.line else f"{self.file}: "
        path = f"{dotted(self.path)}: " if self.path else ""
        hint = f" ({self.hint})" if self.hint else ""
        return f"{where}{_cut(path)}{_cut(self.message)}{_cut(hint)}"


class SpecErrors(Exception):
    """What was wrong: `errors`, at least one, in the order of the files."""

    def __init__(self, errors: Iterable[SpecError]) -> None:
        self.errors = tuple(errors)
        super().__init__(self.errors)

    def __str__(self) -> str:
        more = len(self.errors) - SHOWN_MOST
        lines = [str(error) for error in self.errors[:SHOWN_MOST]]
        return "\n".join([*lines, f"and {more} more"] if more > 0 else lines)

    def located(self, locator: Locator) -> "SpecErrors":
        """The same errors with positions, sorted by them."""
        return SpecErrors(sorted((located(error, locator) for error in self.errors), key=_order))


def located(error: SpecError, locator: Locator) -> SpecError:
    """The error with the position of its path, or of the nearest parent that was written."""
    if error.file:
        return error
    position = locator.locate(error.path)
    if position is None:
        return error
    return error._replace(file=position[0], line=position[1], column=position[2])


def dotted(path: Path) -> str:
    """The path as text: services.dn1.ports[0].target."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{part}" if text else part
    return text


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Of the known words the one that was meant, as a hint; "" where none is close."""
    from difflib import get_close_matches  # only where something is wrong: its import costs

    close = get_close_matches(word, list(known), n=1)
    return f"did you mean {close[0]}?" if close else ""


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[: LONGEST // 2]} … {text[-LONGEST // 2 :]}"


def _order(error: SpecError) -> tuple[str, int, int]:
    return error.file, error.line, error.column
