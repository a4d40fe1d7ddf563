"""What users see: text that is safe for a terminal, colours, tables, errors. Nothing else in corral prints.

Text from outside (names, messages, labels) may hold control characters that a terminal obeys: `clean` shows them instead.
"""

import os
from collections.abc import Mapping, Sequence
from typing import TextIO

from orchestrator import errors

RED, GREEN, YELLOW, BLUE, MAGENTA, CYAN, DIM = "31", "32", "33", "34", "35", "36", "2"
AUTO, ALWAYS, NEVER = ANSI = ("auto", "always", "never")
PREFIX_COLOURS = (CYAN, YELLOW, GREEN, MAGENTA, BLUE, "96", "93", "92", "95", "94")
"""One after the other for the containers of `logs`, as docker compose does."""


def clean(text: str) -> str:
    """`text` with everything that a terminal would obey shown as an escape: C0, DEL, C1, line and direction marks."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() or each == " " else _escape(each) for each in text)


def _escape(character: str) -> str:
    code = ord(character)
    named = {"\n": "\\n", "\t": "\\t", "\r": "\\r"}.get(character)
    return named or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}")


def is_terminal(stream: TextIO) -> bool:
    try:
        return os.isatty(stream.fileno())
    except (OSError, ValueError, AttributeError):
        return False


def may_colour(stream: TextIO, environ: Mapping[str, str], *, ansi: str = AUTO) -> bool:
    """Only on a terminal that can, and not where the user said NO_COLOR (https://no-color.org); `ansi` (--ansi) wins."""
    if ansi != AUTO:
        return ansi == ALWAYS
    return is_terminal(stream) and not environ.get("NO_COLOR") and environ.get("TERM", "") != "dumb"


def painted(text: str, colour: str, on: bool) -> str:
    return f"\x1b[{colour}m{text}\x1b[0m" if on and colour else text


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns under their heads, three spaces apart, cleaned; the last one is not padded."""
    cells = [list(head), *([clean(cell) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    lines = ("   ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells)
    return "".join(f"{line}\n" for line in lines)


def complain(err: TextIO, error: errors.OrchestratorError) -> None:
    """Say what went wrong, with the hint under it."""
    colour = may_colour(err, os.environ)
    err.write(f"{painted('corral:', RED, colour)} {_lines(error.message)}\n")
    if isinstance(error, errors.Refused):
        for problem in error.problems:
            place = ".".join(map(str, problem.path))
            said = f"{place}: {problem.message}" if place else problem.message
            err.write(f"  {clean(said)}\n" + (f"    {clean(problem.hint)}\n" if problem.hint else ""))
    if error.hint:
        err.write(f"  {_lines(error.hint)}\n")


def _lines(text: str) -> str:
    return "\n".join(clean(line) for line in text.splitlines())
